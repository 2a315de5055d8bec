#!/usr/bin/python3
"""Writes tests/fixtures/verify/g*: teachers that PyTorch computes in float64, for `sak verify`.

    /usr/bin/python3 scripts/backbone_fixtures.py        (Debian: python3-torch, python3-numpy)

Forward only; config.json, model, inputs and expected as `sak verify` reads them. Written from the
published descriptions, apart from the engine: Swin (arXiv:2103.14030; timm's order of rolling and
padding), RADIO's cropped position embedding, Theia's and SigLIP's ViT as in Hugging Face, DINOv2
giant's SwiGLU with registers, SAM. Only developers need it; the dumps are committed.
"""
import json
import math
import os
import struct

import torch
import torch.nn.functional as F

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "verify")


def save(path, tensors):
    header, blobs, at = {}, [], 0
    for name, t in tensors.items():
        raw = t.detach().float().contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        blobs.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


class Params(dict):
    """Random float32 values in float64, made where they are first used."""

    def __call__(self, name, *shape, std=0.2, mean=0.0):
        if name not in self:
            self[name] = (mean + std * torch.randn(*shape)).float().double()
        return self[name]


def linear(p, name, x, out, bias=True):
    w = p(name + ".weight", out, x.shape[-1])
    return F.linear(x, w, p(name + ".bias", out) if bias else None)


def norm(p, name, x, eps):
    c = x.shape[-1]
    return F.layer_norm(x, (c,), p(name + ".weight", c, mean=1), p(name + ".bias", c), eps)


def patches(p, x, patch, dim, bias=True):
    """[B, 3, H, W] -> [B, h, w, dim]; what does not fill a patch is dropped."""
    w = p("patch_embed.proj.weight", dim, 3, patch, patch, std=0.05)
    return F.conv2d(x, w, p("patch_embed.proj.bias", dim) if bias else None, stride=patch).permute(0, 2, 3, 1)


def heads_of(p, name, x, heads):
    b, n, c = x.shape
    return linear(p, name, x, 3 * c).view(b, n, 3, heads, c // heads).permute(2, 0, 3, 1, 4)


def joined(x):
    b, h, n, d = x.shape
    return x.transpose(1, 2).reshape(b, n, h * d)


# --- ViT -------------------------------------------------------------------------------------------

ACT = {"gelu": F.gelu, "gelu_tanh": lambda x: 0.5 * x * (1 + torch.tanh(
    math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))}


def mlp(p, name, x, e):
    c = x.shape[-1]
    if e["act"] == "swiglu":
        hidden = (int(c * 4 * 2 / 3) + 7) // 8 * 8
        gate, up = linear(p, name + ".w12", x, 2 * hidden).chunk(2, dim=-1)
        return linear(p, name + ".w3", F.silu(gate) * up, c)
    return linear(p, name + ".fc2", ACT[e["act"]](linear(p, name + ".fc1", x, 4 * c)), c)


def positions(p, e, cfg, h, w):
    """[class] + grid positions, resampled as the model's own code does."""
    c, (oh, ow) = e["embed_dim"], cfg["pos_source_grid"]
    prefix = 1 if e["class_token"] else 0
    table = p("pos_embed", 1, prefix + oh * ow, c)
    grid = table[:, prefix:].reshape(1, oh, ow, c).permute(0, 3, 1, 2)
    if e.get("cpe"):
        side = max(h, w)
        grid = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=True)[..., :h, :w]
    else:
        grid = F.interpolate(grid, size=(h, w), mode="bicubic", align_corners=False,
                             antialias=cfg["pos_resample"] == "bicubic_antialias")
    return torch.cat([table[:, :prefix], grid.flatten(2).transpose(1, 2)], dim=1)


def vit(p, x, e, cfg):
    c, b = e["embed_dim"], x.shape[0]
    t = patches(p, x, e["patch_size"], c, e.get("patch_bias", True))
    h, w = t.shape[1:3]
    t = t.flatten(1, 2)
    pos = positions(p, e, cfg, h, w)
    prefix = []
    if e["class_token"]:
        prefix.append(p("cls_token", 1, 1, c) + pos[:, :1])
        pos = pos[:, 1:]
    if e["registers"]:
        prefix.append(p("reg_token", 1, e["registers"], c))
    n = sum(q.shape[1] for q in prefix)
    t = torch.cat([q.expand(b, -1, -1) for q in prefix] + [t + pos], dim=1)
    outs = []
    for i in range(e["depth"]):
        k = "blocks.%d." % i

        def scale(name, y):
            return y * p(k + name + ".gamma", c, std=0.1, mean=0.5) if e.get("layer_scale") else y
        q, key, v = heads_of(p, k + "attn.qkv", norm(p, k + "norm1", t, e["ln_eps"]), e["num_heads"])
        a = torch.softmax(q @ key.transpose(2, 3) / math.sqrt(q.shape[-1]), dim=-1)
        t = t + scale("ls1", linear(p, k + "attn.proj", joined(a @ v), c))
        t = t + scale("ls2", mlp(p, k + "mlp", norm(p, k + "norm2", t, e["ln_eps"]), e))
        outs.append(t[:, n:].transpose(1, 2).reshape(b, c, h, w))
    return outs


# --- Swin ------------------------------------------------------------------------------------------

def windows(x, wh, ww):
    b, h, w, c = x.shape
    return x.view(b, h // wh, wh, w // ww, ww, c).transpose(2, 3).reshape(-1, wh * ww, c)


def swin_attention(p, k, x, heads, side, shifted):
    b, h, w, c = x.shape
    wh, ww = min(h, side), min(w, side)
    sh, sw = (side // 2 if shifted and h > side else 0), (side // 2 if shifted and w > side else 0)
    x = torch.roll(x, (-sh, -sw), (1, 2))
    x = F.pad(x, (0, 0, 0, -w % ww, 0, -h % wh))
    hp, wp = x.shape[1:3]
    table = p(k + "relative_position_bias_table", (2 * side - 1) ** 2, heads)
    at = torch.stack(torch.meshgrid(torch.arange(wh), torch.arange(ww), indexing="ij")).flatten(1)
    d = at[:, :, None] - at[:, None, :] + side - 1
    bias = table[d[0] * (2 * side - 1) + d[1]].permute(2, 0, 1)[None]
    if sh or sw:
        label, n = torch.zeros(1, hp, wp, 1, dtype=torch.double), 0
        for rows in (slice(0, -wh), slice(-wh, -sh if sh else hp), slice(-sh if sh else hp, None)):
            for cols in (slice(0, -ww), slice(-ww, -sw if sw else wp), slice(-sw if sw else wp, None)):
                label[:, rows if sh else slice(None), cols if sw else slice(None)] = n
                n += 1
        label = windows(label, wh, ww)[..., 0]
        mask = torch.where(label[:, :, None] == label[:, None, :], 0.0, -100.0).double()
        bias = bias + mask[:, None].repeat(b, 1, 1, 1)
    q, key, v = heads_of(p, k + "qkv", windows(x, wh, ww), heads)
    y = joined(torch.softmax(q @ key.transpose(2, 3) / math.sqrt(q.shape[-1]) + bias, dim=-1) @ v)
    y = linear(p, k + "proj", y, c).view(b, hp // wh, wp // ww, wh, ww, c).transpose(2, 3)
    return torch.roll(y.reshape(b, hp, wp, c)[:, :h, :w], (sh, sw), (1, 2))


def swin(p, x, e, cfg):
    c, eps = e["embed_dim"], e["ln_eps"]
    x = norm(p, "patch_embed.norm", patches(p, x, e["patch_size"], c), eps)
    outs = []
    for stage in range(4):
        k = "layers.%d." % stage
        if stage:
            x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
            x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
            c *= 2
            x = linear(p, k + "downsample.reduction", norm(p, k + "downsample.norm", x, eps), c, bias=False)
        for i in range(e["depths"][stage]):
            j = k + "blocks.%d." % i
            x = x + swin_attention(p, j + "attn.", norm(p, j + "norm1", x, eps), e["num_heads"][stage],
                                   e["window_size"], i % 2 == 1)
            x = x + linear(p, j + "mlp.fc2", F.gelu(linear(p, j + "mlp.fc1", norm(p, j + "norm2", x, eps),
                                                           4 * c)), c)
        outs.append(x.permute(0, 3, 1, 2))
    return outs


# --- SAM -------------------------------------------------------------------------------------------

def sam(p, x, e, cfg):
    """Long side to `resize_to`, zeros right and below; features of the padding cut away."""
    c, side, patch = e["embed_dim"], e["resize_to"], e["patch_size"]
    s = side / max(x.shape[2:])
    rows, cols = int(x.shape[2] * s + 0.5), int(x.shape[3] * s + 0.5)
    x = F.interpolate(x, size=(rows, cols), mode="bicubic", align_corners=False)
    t = patches(p, F.pad(x, (0, side - cols, 0, side - rows)), patch, c)
    g = side // patch
    t = t + p("pos_embed", 1, g, g, c)
    outs = []
    for i in range(e["depth"]):
        k = "blocks.%d." % i
        y = norm(p, k + "norm1", t, e["ln_eps"])
        win = g if i in e["global_attn_indexes"] else e["window_size"]
        y = F.pad(y, (0, 0, 0, -g % win, 0, -g % win))
        full = y.shape[1]
        q, key, v = heads_of(p, k + "attn.qkv", windows(y, win, win), e["num_heads"])
        a = q @ key.transpose(2, 3) / math.sqrt(q.shape[-1])
        d = torch.arange(win)[:, None] - torch.arange(win)[None] + win - 1
        rh = p(k + "attn.rel_pos_h", 2 * win - 1, q.shape[-1])[d]
        rw = p(k + "attn.rel_pos_w", 2 * win - 1, q.shape[-1])[d]
        grid = q.view(*q.shape[:2], win, win, -1)
        bias = torch.einsum("bnyxd,yjd->bnyxj", grid, rh)[..., None] + \
            torch.einsum("bnyxd,xjd->bnyxj", grid, rw)[..., None, :]
        a = torch.softmax(a + bias.reshape(a.shape), dim=-1)
        y = linear(p, k + "attn.proj", joined(a @ v), c)
        y = y.view(-1, full // win, full // win, win, win, c).transpose(2, 3).reshape(-1, full, full, c)
        t = t + y[:, :g, :g]
        t = t + linear(p, k + "mlp.fc2", F.gelu(linear(p, k + "mlp.fc1", norm(p, k + "norm2", t,
                                                                              e["ln_eps"]), 4 * c)), c)
        outs.append(t[:, :math.ceil(rows / patch), :math.ceil(cols / patch)].permute(0, 3, 1, 2))
    return outs


def base(**more):
    return dict(dict(kind="vit", patch_size=8, embed_dim=8, depth=4, num_heads=2, ln_eps=1e-6, act="gelu",
                     class_token=True, registers=0), **more)


CASES = {
    "g1_teacher_swin": (swin, dict(image=[28, 36], batch=2), dict(
        kind="swin", patch_size=4, embed_dim=4, depths=[2, 2, 2, 1], num_heads=[1, 2, 2, 4], window_size=3,
        ln_eps=1e-5)),
    "g2_teacher_radio": (vit, dict(image=[64, 48], pos_source_grid=[10, 10]), base(
        class_token=False, registers=8, cpe=True, grid=[10, 10], patch_bias=False)),
    "g3_teacher_theia": (vit, dict(image=[42, 56], pos_source_grid=[6, 6], pos_resample="bicubic"), base(
        ln_eps=1e-12)),
    "g4_teacher_siglip": (vit, dict(image=[64, 44], pos_source_grid=[4, 4], pos_resample="bicubic"), base(
        class_token=False, act="gelu_tanh")),
    "g5_teacher_giant": (vit, dict(image=[48, 56], pos_source_grid=[9, 9], pos_resample="bicubic_antialias"),
                         base(act="swiglu", layer_scale=1e-5, registers=3)),
    "g6_teacher_sam_cropped": (sam, dict(image=[36, 48]), dict(
        kind="sam", patch_size=8, embed_dim=8, depth=4, num_heads=2, window_size=3,
        global_attn_indexes=[1, 3], resize_to=40, crop=True, ln_eps=1e-5)),
}


def main():
    torch.manual_seed(5)
    for name, (run, cfg, e) in CASES.items():
        p, image = Params(), torch.randn(cfg.get("batch", 1), 3, *cfg["image"]).float().double()
        outs = run(p, image, e, cfg)
        e["img_size"] = [e["resize_to"]] * 2 if "resize_to" in e else cfg["image"]
        folder = os.path.join(OUT, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.json"), "w") as f:
            json.dump(dict(dict(batch=1), **cfg, name=name, out_indices=[0, 1, 2, 3], encoder=e), f, indent=1)
            f.write("\n")
        save(os.path.join(folder, "model.safetensors"), p)
        save(os.path.join(folder, "inputs.safetensors"), {"image": image})
        save(os.path.join(folder, "expected.safetensors"),
             {"feat/level%d" % (i + 1): o for i, o in enumerate(outs)})


main()
