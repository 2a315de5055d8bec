#!/usr/bin/env python3
"""Writes a reference dump of your own PyTorch model, for `sak verify DIR`.

PyTorch and NumPy are needed by whoever runs this, by nothing else.

    dump_reference.py OUT --model FILE.py [--build build] [--image 64x96] [--levels 2,5,8,11]
    dump_reference.py OUT --weights FILE.pth --heads 3 [--config FILE.json] [--image 64x96]

FILE.py defines build(), which returns a torch.nn.Module with timm's parameter names (patch_embed.proj,
blocks.<i>.attn.qkv ...).  Its block outputs are taken by hooks on model.blocks; a function
features(model, images, levels) in FILE.py, which returns the maps [B, C, h, w], replaces them.  With
--weights, a state dict (.pth, .pt, .bin, .safetensors) under timm's names is run by the plain ViT at the
end of this file.  What cannot be read off the parameters (heads, act, ln_eps) is asked from the module's
attributes, --heads, or --config, a JSON object with keys of `encoder` below.  --image of another size
than the position table's resamples the table as sak does.

A student with losses, gradients and optimiser steps is dumped from Python:

    import dump_reference
    dump_reference.dump_student("out", model, config, inputs, forward)

with config and inputs as described below and forward(model, inputs) -> (objective, values): the scalar to
be minimised, and a dict of tensors under names of expected.safetensors ("feat/clip/level1",
"loss/kd/total" ...).  inputs hold float64 or float32 tensors of the module's type.

The format ("sak-fixture-1"): a folder with

  config.json           what the model is; unknown keys are errors
    encoder dump:  encoder {kind "vit"|"sam", img_size, patch_size 16, embed_dim, depth, num_heads,
                   mlp_ratio 4, ln_eps (vit 1e-6, sam 1e-5), qkv_bias true, layer_scale (a number: there is
                   one), pre_norm false, patch_bias, act "gelu"|"quick_gelu"|"swiglu", class_token true,
                   registers 0; sam: window_size 14 (0: none), global_attn_indexes, resize_to}, out_indices
                   (0-based blocks), image [H, W], pos_source_grid [h, w], pos_resample
    student dump:  stem (an encoder without img_size), img_size, out_indices, teachers [{name, dim, grid}],
                   down_ratio 4, aligner false, loss_type "cos+l1"|"cos"|"l2", optimizer {kind
                   "adamw"|"adam"|"sgd", weight_decay, lr [one per step], betas, eps, momentum}, grad_clip 0;
                   with tasks also dataset "nyud"|"pascalcontext", tasks, router "mor"|"none", noisy_gating,
                   alpha 1; freeze_vit, freeze_backbone
  model.safetensors     the parameters; names of the published checkpoints (encoders: timm's)
  inputs.safetensors    image [B, 3, H, W]; teacher/<name>/level<k> [B, C, h, w]; label/<task> [B, 1 or 3, H,
                        W], 255 = ignore; noise/<block>_<task> [B, experts, h, w]
  expected.safetensors  stem/embed, stem/block<i> [B, tokens, C]; path/<teacher>/level<k> [B, h w, C];
                        feat/level<k> (encoder), feat/<teacher>/level<k> [B, C, h, w]; prob/<task>/level<k>
                        [B, experts, 1 or h w]; mor/<task>/level<k>, mor/level<k> [B, C, h, w]; head/<task>
                        [B, n, H/4, W/4]; out/<task> [1, n', H, W]: last image, every tenth channel;
                        eval/head/<task>: evaluation mode, every tenth channel; loss/kd/<teacher>_level<k>,
                        loss/kd/total, loss/task/<task>, loss/task/total, loss/objective, grad_norm [1];
                        grad/<parameter> before clipping; step<k>/<parameter or statistic> after k steps;
                        resampled/<parameter>.  Any of them may be left out.
  expected.json         optional: grad_norm and objective_per_step in full precision, adam_floor, and the errors
                        of a float32 run by group, which widen the tolerances where float32 itself is far off

Everything is computed in float64 from parameters and inputs rounded to float32, and stored as float32.
"""
import argparse
import importlib.util
import json
import math
import os
import struct
import sys
from collections import OrderedDict

try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    if __name__ != "__main__" or not {"-h", "--help"} & set(sys.argv):
        sys.exit("dump_reference.py needs PyTorch and NumPy (Debian: python3-torch): %s" % missing)

ADAM_FLOOR = 1e-5  # gradients below it are noise in float32, which Adam turns into whole steps

# -- safetensors ------------------------------------------------------------------------------------


def save_safetensors(path, tensors):
    """tensors: {name: tensor or array}; floating point is stored as F32, labels as U8, counters as I64."""
    kinds = {np.dtype("<f4"): "F32", np.dtype("u1"): "U8", np.dtype("<i8"): "I64"}
    header, blobs, at = OrderedDict(), [], 0
    for name, t in tensors.items():
        a = t.detach().cpu().numpy() if isinstance(t, torch.Tensor) else np.asarray(t)
        a = a.astype("<f4") if a.dtype.kind == "f" else a
        shape, a = list(a.shape), np.ascontiguousarray(a)
        if a.dtype not in kinds:
            raise TypeError("%s: cannot store %s" % (name, a.dtype))
        header[name] = {"dtype": kinds[a.dtype], "shape": shape, "data_offsets": [at, at + a.nbytes]}
        blobs.append(a.tobytes())
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def load_state(path):
    """A state dict from .safetensors (F32, F16, BF16) or any file of torch.save."""
    if not path.endswith(".safetensors"):
        try:  # never without weights_only: a pickle may run anything
            state = torch.load(path, map_location="cpu", weights_only=True)
        except TypeError:
            raise SystemExit("%s: PyTorch %s cannot read it without running what it holds; use PyTorch 1.13 or "
                             "later, or give a .safetensors file" % (path, torch.__version__))
        return OrderedDict(state.get("state_dict", state.get("model", state)))
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64,
             "I64": torch.int64}
    with open(path, "rb") as f:
        blob = f.read()
    (n,) = struct.unpack("<Q", blob[:8])
    out = OrderedDict()
    for name, info in json.loads(blob[8:8 + n]).items():
        if name != "__metadata__":
            lo, hi = info["data_offsets"]
            raw = torch.frombuffer(bytearray(blob[8 + n + lo:8 + n + hi]), dtype=kinds[info["dtype"]])
            out[name] = raw.reshape(info["shape"]).clone()
    return out


def _json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


def _write(out, config, model, inputs, expected, info):
    os.makedirs(out, exist_ok=True)
    _json(os.path.join(out, "config.json"), dict(config, format="sak-fixture-1"))
    save_safetensors(os.path.join(out, "model.safetensors"), model)
    save_safetensors(os.path.join(out, "inputs.safetensors"), inputs)
    save_safetensors(os.path.join(out, "expected.safetensors"), expected)
    _json(os.path.join(out, "expected.json"), info)


def _rounded(state):
    return OrderedDict((k, v.detach().float().clone() if v.is_floating_point() else v.clone())
                       for k, v in state.items())


# -- what a float32 run reaches ------------------------------------------------------------------------


def float32_errors(exact, single):
    """Largest absolute errors by group, under the keys that `sak verify` widens its tolerances by."""
    worst = {}

    def put(key, v):
        worst[key] = max(worst.get(key, 0.0), float(v))

    for name, want in exact.items():
        group, rest = (name.split("/", 1) + [""])[:2]
        d = (single[name].double() - want.double()).abs()
        if group.startswith("step"):
            g = exact.get("grad/" + rest)
            if g is None:
                put(group + " (BN statistics)", d.max())
                continue
            weak = g.abs() <= ADAM_FLOOR
            if weak.any():
                put(group + " (|grad| <= floor)", d[weak].max())
            if (~weak).any():
                put(group, d[~weak].max())
        elif group == "grad":
            put(group, d.max())
            if want.abs().max() > 1e-4:
                put("grad / max|grad of tensor| (tensors with max > 1e-4)", d.max() / want.abs().max())
        elif group in ("loss", "grad_norm"):
            put(group + " (relative)", (d / want.double().abs().clamp(min=1e-30)).max())
        else:
            put(group, d.max())
    return worst


# -- encoders -----------------------------------------------------------------------------------------


def resample_positions(table, grid, prefix):
    """(1, prefix + n, C), the old grid taken as square: bicubic with antialias, as sak loads teachers."""
    n = table.shape[1] - prefix
    side = math.isqrt(n)
    if side * side != n:
        raise ValueError("the position table has %d rows, which is no square grid" % n)
    body = table[:, prefix:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    body = F.interpolate(body, size=tuple(grid), mode="bicubic", antialias=True, align_corners=False)
    return torch.cat([table[:, :prefix], body.flatten(2).transpose(1, 2)], 1)


def describe_vit(state, module=None, given=None):
    """The `encoder` object of config.json, from parameters, a module's attributes, and what is given."""
    proj, given = state["patch_embed.proj.weight"], dict(given or {})
    depth = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks."))
    c = dict(kind="vit", patch_size=proj.shape[2], embed_dim=proj.shape[0], depth=depth,
             qkv_bias="blocks.0.attn.qkv.bias" in state, class_token="cls_token" in state,
             pre_norm="norm_pre.weight" in state, patch_bias="patch_embed.proj.bias" in state)
    if "blocks.0.mlp.fc1.weight" in state:
        c["mlp_ratio"] = state["blocks.0.mlp.fc1.weight"].shape[0] / proj.shape[0]
    if "blocks.0.ls1.gamma" in state:
        c["layer_scale"] = 1e-5  # its start; the values are parameters
    if "reg_token" in state:
        c["registers"] = state["reg_token"].shape[1]
    blocks = getattr(module, "blocks", None)
    if blocks is not None:
        attention = getattr(blocks[0], "attn", None)
        for key in ("num_heads", "heads"):
            if hasattr(attention, key):
                c["num_heads"] = getattr(attention, key)
        if hasattr(getattr(blocks[0], "norm1", None), "eps"):
            c["ln_eps"] = blocks[0].norm1.eps
    c.update(given)
    if "num_heads" not in c:
        raise ValueError("the parameters do not tell the number of heads: give --heads")
    return c


def hooked_features(module, images, levels):
    """Outputs of module.blocks[i] as maps, prefix tokens (class, registers) removed."""
    caught, hooks = {}, []
    for i in levels:
        hooks.append(module.blocks[i].register_forward_hook(
            lambda _m, _x, y, i=i: caught.__setitem__(i, y[0] if isinstance(y, tuple) else y)))
    try:
        module(images)
    finally:
        for h in hooks:
            h.remove()
    patch = module.patch_embed.proj.weight.shape[2]
    h, w = images.shape[2] // patch, images.shape[3] // patch
    return [caught[i][:, caught[i].shape[1] - h * w:].transpose(1, 2).reshape(images.shape[0], -1, h, w)
            for i in sorted(levels)]


def dump_encoder(out, state, encoder, levels, images, features):
    """state: parameters on the grid they were trained on; images [B, 3, H, W]; features(state, images,
    levels) -> maps, run in float64 and float32 with parameters on the images' grid."""
    state, images, patch = _rounded(state), images.detach().float(), encoder["patch_size"]
    grid = (images.shape[2] // patch, images.shape[3] // patch)
    config = dict(encoder=dict(encoder, img_size=list(images.shape[2:])), out_indices=sorted(levels),
                  image=list(images.shape[2:]), batch=images.shape[0])
    prefix = 1 if encoder.get("class_token", True) else 0
    results = []
    for kind in (torch.float64, torch.float32):
        own = OrderedDict((k, v.to(kind) if v.is_floating_point() else v) for k, v in state.items())
        expected = OrderedDict()
        if encoder["kind"] == "vit" and own["pos_embed"].shape[1] != prefix + grid[0] * grid[1]:
            side = math.isqrt(own["pos_embed"].shape[1] - prefix)
            config.update(pos_source_grid=[side, side], pos_resample="bicubic_antialias")
            own["pos_embed"] = resample_positions(own["pos_embed"], grid, prefix)
            expected["resampled/pos_embed"] = own["pos_embed"]
        with torch.no_grad():
            for k, f in enumerate(features(own, images.to(kind), sorted(levels))):
                expected["feat/level%d" % (k + 1)] = f
        results.append(expected)
    _write(out, config, state, {"image": images}, results[0],
           {"max_abs_error_of_a_float32_pytorch_run": float32_errors(*results)})


def module_features(module, own_features=None):
    """Runs a module with the given parameters, in their type."""

    def run(state, images, levels):
        kind = images.dtype
        module.to(kind).eval()
        if "pos_embed" in state and module.pos_embed.shape != state["pos_embed"].shape:
            module.pos_embed = torch.nn.Parameter(state["pos_embed"])
        module.load_state_dict(state)
        return (own_features or hooked_features)(module, images, levels)

    return run


def plain_vit(encoder):
    """A ViT in a few lines, for --weights without a model."""
    eps, heads, prefix = encoder.get("ln_eps", 1e-6), encoder["num_heads"], int(encoder.get("class_token", True))
    act = {"gelu": F.gelu, "quick_gelu": lambda v: v * torch.sigmoid(1.702 * v)}[encoder.get("act", "gelu")]

    def run(p, images, levels):
        def norm(name, x):
            return F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"], eps)

        def linear(name, x):
            return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))

        def scaled(name, x):
            return x * p[name + ".gamma"] if name + ".gamma" in p else x

        y = F.conv2d(images, p["patch_embed.proj.weight"], p.get("patch_embed.proj.bias"),
                     stride=encoder["patch_size"])
        b, c, h, w = y.shape
        x = y.flatten(2).transpose(1, 2)
        if prefix:
            x = torch.cat([p["cls_token"].expand(b, -1, -1), x], 1)
        x = x + p["pos_embed"]
        if "reg_token" in p:
            x = torch.cat([x[:, :prefix], p["reg_token"].expand(b, -1, -1), x[:, prefix:]], 1)
        if "norm_pre.weight" in p:
            x = norm("norm_pre", x)
        maps = []
        for i in range(encoder["depth"]):
            at = "blocks.%d." % i
            q, k, v = linear(at + "attn.qkv", norm(at + "norm1", x)).view(
                b, -1, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
            a = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(c // heads), -1) @ v
            x = x + scaled(at + "ls1", linear(at + "attn.proj", a.transpose(1, 2).reshape(b, -1, c)))
            x = x + scaled(at + "ls2", linear(at + "mlp.fc2", act(linear(at + "mlp.fc1", norm(at + "norm2", x)))))
            if i in levels:
                maps.append(x[:, x.shape[1] - h * w:].transpose(1, 2).reshape(b, c, h, w))
        return maps

    return run


# -- students -----------------------------------------------------------------------------------------


def _optimizer(parameters, o):
    name = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[o["kind"]]
    more = {"momentum": o.get("momentum", 0.9)} if o["kind"] == "sgd" else {
        "betas": tuple(o.get("betas", (0.9, 0.999))), "eps": o.get("eps", 1e-8)}
    return name(parameters, lr=o["lr"][0], weight_decay=o.get("weight_decay", 0), **more)


def _train(model, config, state, inputs, forward, evaluate, kind):
    model.to(kind)
    model.load_state_dict(state)
    inputs = {k: v.to(kind) for k, v in inputs.items()}
    expected, objectives = OrderedDict(), []
    if evaluate:
        model.eval()
        with torch.no_grad():
            expected.update(("eval/" + k, v[:, ::10]) for k, v in evaluate(model, inputs).items())
    model.train()
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    optimizer = _optimizer([p for _, p in named], config["optimizer"])
    for k, lr in enumerate(config["optimizer"]["lr"]):
        optimizer.zero_grad(set_to_none=True)
        objective, values = forward(model, inputs)
        objective.backward()
        objectives.append(float(objective))
        norm = torch.sqrt(sum((p.grad ** 2).sum() for _, p in named if p.grad is not None))
        if k == 0:
            expected.update((n, v.detach().reshape(1) if v.dim() == 0 else v.detach().clone())
                            for n, v in values.items())
            expected["loss/objective"] = objective.detach().reshape(1)
            expected["grad_norm"] = norm.reshape(1)
            expected.update(("grad/" + n, p.grad.clone()) for n, p in named if p.grad is not None)
        clip = config.get("grad_clip", 0)
        if clip > 0:
            for _, p in named:
                if p.grad is not None:
                    p.grad.mul_(torch.clamp(clip / (norm + 1e-6), max=1.0))
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        buffers = [(n, b) for n, b in model.named_buffers() if b.is_floating_point()]
        expected.update(("step%d/%s" % (k + 1, n), t.detach().clone()) for n, t in named + buffers)
    return expected, objectives


def dump_student(out, model, config, inputs, forward, evaluate=None):
    """model: a module under the published names (stage 1: vit.*, tsap.*, out_norms.*, ts_aligners.*; stage 2:
    backbone.*, heads.*).  inputs: tensors under the names of inputs.safetensors.  forward(model, inputs) ->
    (objective, {name: tensor}).  evaluate(model, inputs) -> {"head/<task>": tensor}, in evaluation mode."""
    state = _rounded(model.state_dict())
    inputs = OrderedDict((k, v.detach().float()) for k, v in inputs.items())
    exact, objectives = _train(model, config, state, inputs, forward, evaluate, torch.float64)
    single, _ = _train(model, config, state, inputs, forward, evaluate, torch.float32)
    labels = ("semseg", "human_parts", "sal", "edge")
    stored = OrderedDict((k, v.to(torch.uint8) if k.startswith("label/") and k[6:] in labels else v)
                         for k, v in inputs.items())
    _write(out, config, state, stored, exact, {
        "objective_per_step": objectives, "grad_norm": float(exact["grad_norm"]), "adam_floor": ADAM_FLOOR,
        "max_abs_error_of_a_float32_pytorch_run": float32_errors(exact, single)})


# -- command line -------------------------------------------------------------------------------------


def _load_module(path):
    spec = importlib.util.spec_from_file_location("user_model", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", metavar="OUT", help="folder to write")
    source = ap.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", metavar="FILE.py", help="defines build() -> module [and features()]")
    source.add_argument("--weights", metavar="FILE", help="a ViT's state dict under timm's names")
    ap.add_argument("--build", default="build", help="name of the function in FILE.py (default: build)")
    ap.add_argument("--config", metavar="FILE.json", help="keys of `encoder` that cannot be read off")
    ap.add_argument("--heads", type=int, help="attention heads")
    ap.add_argument("--image", metavar="HxW", help="size of the test images (default: that of the position table)")
    ap.add_argument("--batch", type=int, default=2)
    ap.add_argument("--levels", metavar="I,J,...", help="0-based blocks (default: four, evenly spread)")
    ap.add_argument("--seed", type=int, default=0, help="of the random test images")
    a = ap.parse_args()
    torch.manual_seed(a.seed)
    given = json.load(open(a.config)) if a.config else {}
    if a.heads:
        given["num_heads"] = a.heads
    try:
        if a.model:
            user = _load_module(a.model)
            module = getattr(user, a.build)()
            state = module.state_dict()
            encoder = describe_vit(state, module, given) if given.get("kind", "vit") == "vit" else given
            features = module_features(module, getattr(user, "features", None))
        else:
            state = load_state(a.weights)
            encoder = describe_vit(state, None, given)
            features = plain_vit(encoder)
        depth, patch = encoder["depth"], encoder["patch_size"]
        if a.image:
            size = [int(v) for v in a.image.split("x")]
        else:
            side = math.isqrt(state["pos_embed"].shape[1] - int(encoder.get("class_token", True)))
            size = [side * patch, side * patch]
        levels = [int(v) for v in a.levels.split(",")] if a.levels else sorted(
            {max(depth * k // 4 - 1, 0) for k in (1, 2, 3, 4)})
        images = torch.randn(a.batch, 3, *size)
        dump_encoder(a.out, state, encoder, levels, images, features)
    except (ValueError, KeyError, AttributeError, OSError) as e:
        sys.exit("dump_reference.py: %s: %s" % (type(e).__name__, e))
    print("%s: %d tensors; now: sak verify %s" % (a.out, len(levels), a.out))


if __name__ == "__main__":
    main()
