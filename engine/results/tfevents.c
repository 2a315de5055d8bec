/* Protobuf messages and TFRecord framing, as much as TensorBoard's scalars and texts take. */
#include "results/tfevents.h"

#include <stdlib.h>
#include <string.h>

uint32_t sak_crc32c(const void *data, size_t size)
{
    /* Remainders of the sixteen half bytes. */
    static const uint32_t half[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    const unsigned char *p = data;
    uint32_t crc = ~UINT32_C(0);
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ half[crc & 15];
        crc = crc >> 4 ^ half[crc & 15];
    }
    return ~crc;
}

/* --- protobuf ----------------------------------------------------------------------------------- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

static void put(sak_proto *p, const void *data, size_t size)
{
    if (size > p->room - p->size) {
        const size_t room = 2 * p->room + size + 64;
        unsigned char *more = realloc(p->data, room);
        if (!more) {
            p->failed = true;
            return;
        }
        p->data = more;
        p->room = room;
    }
    if (size)
        memcpy(p->data + p->size, data, size);
    p->size += size;
}

static void little_endian(unsigned char *out, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (unsigned char)(v >> 8 * i);
}

static void varint(sak_proto *p, uint64_t v)
{
    unsigned char bytes[10];
    size_t n = 0;
    for (; v > 127; v >>= 7)
        bytes[n++] = (unsigned char)(v | 128);
    bytes[n++] = (unsigned char)v;
    put(p, bytes, n);
}

static void key(sak_proto *p, int field, int type)
{
    varint(p, (uint64_t)field << 3 | (uint64_t)type);
}

static void put_int(sak_proto *p, int field, int64_t v)
{
    key(p, field, VARINT);
    varint(p, (uint64_t)v);
}

static void put_double(sak_proto *p, int field, double v)
{
    unsigned char bytes[8];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    little_endian(bytes, bits, 8);
    key(p, field, FIXED64);
    put(p, bytes, sizeof bytes);
}

static void put_float(sak_proto *p, int field, float v)
{
    unsigned char bytes[4];
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    little_endian(bytes, bits, 4);
    key(p, field, FIXED32);
    put(p, bytes, sizeof bytes);
}

static void put_bytes(sak_proto *p, int field, const void *data, size_t size)
{
    key(p, field, BYTES);
    varint(p, size);
    put(p, data, size);
}

static void put_text(sak_proto *p, int field, const char *text)
{
    put_bytes(p, field, text, strlen(text));
}

/* Puts a message made apart into p, and makes it empty. */
static void put_message(sak_proto *p, int field, sak_proto *message)
{
    p->failed = p->failed || message->failed;
    put_bytes(p, field, message->data, message->size);
    message->size = 0;
}

/* --- events -------------------------------------------------------------------------------------- */

enum { EVENT, SUMMARY, VALUE, INNER }; /* sak_tfevents.parts */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_FILE_VERSION = 3, EVENT_SUMMARY = 5 };
enum { SUMMARY_VALUE = 1 };
enum { VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_TENSOR = 8, VALUE_METADATA = 9 };
enum { METADATA_PLUGIN = 1, METADATA_CLASS = 4, PLUGIN_NAME = 1, CLASS_TENSOR = 2 };
enum { TENSOR_DTYPE = 1, TENSOR_SHAPE = 2, TENSOR_STRINGS = 8, DT_STRING = 7 };
enum { SHAPE_DIM = 2, DIM_SIZE = 1 };

static uint32_t masked(const void *data, size_t size)
{
    const uint32_t crc = sak_crc32c(data, size);
    return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

/* Length, its checksum, the event, its checksum; the event becomes empty. */
static sak_status write_event(sak_tfevents *f, sak_error *err)
{
    sak_proto *event = &f->parts[EVENT];
    if (event->failed)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    unsigned char head[12], foot[4];
    little_endian(head, event->size, 8);
    little_endian(head + 8, masked(head, 8), 4);
    little_endian(foot, masked(event->data, event->size), 4);
    SAK_TRY(sak_file_out_write(&f->out, head, sizeof head, err));
    SAK_TRY(sak_file_out_write(&f->out, event->data, event->size, err));
    SAK_TRY(sak_file_out_write(&f->out, foot, sizeof foot, err));
    event->size = 0;
    return SAK_OK;
}

/* Wraps parts[VALUE] into an event at a step and writes it. */
static sak_status write_value(sak_tfevents *f, double wall_time, int64_t step, sak_error *err)
{
    sak_proto *event = &f->parts[EVENT];
    put_double(event, EVENT_WALL_TIME, wall_time);
    put_int(event, EVENT_STEP, step);
    put_message(&f->parts[SUMMARY], SUMMARY_VALUE, &f->parts[VALUE]);
    put_message(event, EVENT_SUMMARY, &f->parts[SUMMARY]);
    return write_event(f, err);
}

sak_status sak_tfevents_open(sak_tfevents *f, const char *path, double wall_time, sak_error *err)
{
    *f = (sak_tfevents){0};
    SAK_TRY(sak_file_out_open(&f->out, path, err));
    put_double(&f->parts[EVENT], EVENT_WALL_TIME, wall_time);
    put_text(&f->parts[EVENT], EVENT_FILE_VERSION, "brain.Event:2");
    const sak_status st = write_event(f, err);
    if (st != SAK_OK)
        sak_tfevents_close(f);
    return st;
}

sak_status sak_tfevents_scalar(sak_tfevents *f, double wall_time, int64_t step, const char *tag,
                               float value, sak_error *err)
{
    put_text(&f->parts[VALUE], VALUE_TAG, tag);
    put_float(&f->parts[VALUE], VALUE_SIMPLE, value);
    return write_value(f, wall_time, step, err);
}

sak_status sak_tfevents_text(sak_tfevents *f, double wall_time, const char *tag, const char *text,
                             sak_error *err)
{
    sak_proto *value = &f->parts[VALUE], *inner = &f->parts[INNER], *outer = &f->parts[SUMMARY];
    put_text(value, VALUE_TAG, tag);
    /* tensor: one string */
    put_int(inner, DIM_SIZE, 1);
    put_message(outer, SHAPE_DIM, inner);
    put_int(inner, TENSOR_DTYPE, DT_STRING);
    put_message(inner, TENSOR_SHAPE, outer);
    put_text(inner, TENSOR_STRINGS, text);
    put_message(value, VALUE_TENSOR, inner);
    /* metadata: which plugin shows it */
    put_text(inner, PLUGIN_NAME, "text");
    put_message(outer, METADATA_PLUGIN, inner);
    put_int(outer, METADATA_CLASS, CLASS_TENSOR);
    put_message(value, VALUE_METADATA, outer);
    return write_value(f, wall_time, 0, err);
}

sak_status sak_tfevents_commit(sak_tfevents *f, sak_error *err)
{
    return sak_file_out_commit(&f->out, err);
}

void sak_tfevents_close(sak_tfevents *f)
{
    sak_file_out_close(&f->out);
    for (size_t i = 0; i < sizeof f->parts / sizeof *f->parts; i++)
        free(f->parts[i].data);
    *f = (sak_tfevents){.out = {.fd = -1}};
}
