"""Prints the events of TensorBoard files, one line each; fails on a checksum.  Standard library only,
written from the format's description alone, to hold engine/results/tfevents.c against."""
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def check(data, stored):
    crc = crc32c(data)
    mask = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert mask == struct.unpack("<I", stored)[0], "checksum"


def fields(data):
    """{field number: [values]} of a message."""
    out, at = {}, 0

    def varint():
        nonlocal at
        v = shift = 0
        while True:
            b = data[at]
            at += 1
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v
    while at < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            v = varint()
        else:
            n = {1: 8, 5: 4}.get(kind) or varint()
            assert kind in (1, 2, 5) and at + n <= len(data), "wire format"
            v = data[at:at + n]
            at += n
            v = struct.unpack("<d", v)[0] if kind == 1 else struct.unpack("<f", v)[0] if kind == 5 else v
        out.setdefault(key >> 3, []).append(v)
    return out


assert crc32c(b"123456789") == 0xE3069283
for path in sys.argv[1:]:
    data, at = open(path, "rb").read(), 0
    while at < len(data):
        (n,) = struct.unpack("<Q", data[at:at + 8])
        check(data[at:at + 8], data[at + 8:at + 12])
        body = data[at + 12:at + 12 + n]
        check(body, data[at + 12 + n:at + 16 + n])
        at += 16 + n
        e = fields(body)
        wall, step = e[1][0], e.get(2, [0])[0]
        if 3 in e:
            print("version", wall, e[3][0].decode())
            continue
        for value in fields(e[5][0])[1]:
            v = fields(value)
            if 2 in v:
                print("scalar", v[1][0].decode(), step, f"{wall:.6f}", v[2][0])
            else:
                tensor, meta = fields(v[8][0]), fields(v[9][0])
                assert fields(meta[1][0])[1] == [b"text"] and tensor[1] == [7]
                assert fields(fields(tensor[2][0])[2][0])[1] == [len(tensor[8])] and meta[4] == [2]
                print("text", v[1][0].decode(), step, repr(tensor[8][0].decode()))
