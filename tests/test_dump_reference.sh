#!/usr/bin/env bash
# scripts/dump_reference.py dumps a user's PyTorch modules, and `sak verify` agrees with them.
# Needs a python3 with PyTorch; skipped without one.
set -eu
sak=$(realpath "$1")
python=
for p in python3 /usr/bin/python3; do
    if "$p" -c 'import torch, numpy' 2>/dev/null; then python=$p; break; fi
done
if [ -z "$python" ]; then
    echo "skipped: no python3 with PyTorch and NumPy"
    exit 77
fi
root=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

# a plain ViT of the user's, with timm's names
cat > vit.py <<'P'
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.num_heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        a = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
        return self.proj((a @ v).transpose(1, 2).reshape(b, n, c))

class Mlp(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))

class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=1e-6), Mlp(dim)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))

class ViT(nn.Module):
    def __init__(self, dim=24, depth=4, heads=3, patch=8, side=4):
        super().__init__()
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, dim, patch, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + side * side, dim))
        self.blocks = nn.ModuleList([Block(dim, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)  # a final norm, which features do not pass

    def embed(self, x):
        x = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

def build():
    torch.manual_seed(1)
    return ViT()
P

# a one-teacher student of stage 1 built on it
cat > student.py <<'P'
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import torch
from torch import nn
import torch.nn.functional as F
import dump_reference
from vit import ViT

class Adapter(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.down, self.up = nn.Linear(dim, dim // 4), nn.Linear(dim // 4, dim)
        self.scale = nn.Parameter(torch.tensor([0.8]))

    def forward(self, x):
        return x + self.scale * self.up(F.gelu(self.down(x)))

class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.vit = ViT()
        del self.vit.norm
        self.tsap = nn.ModuleDict({"clip": nn.ModuleList([Adapter(24) for _ in range(5)])})
        self.out_norms = nn.ModuleDict({"%d_clip" % i: nn.LayerNorm(24) for i in (1, 3)})
        self.ts_aligners = nn.ModuleDict({"%d_clip" % i: nn.Linear(24, 10) for i in (1, 3)})

def forward(m, inputs):
    x, total, values = m.vit.embed(inputs["image"]), 0, {}
    values["stem/embed"] = x
    r, level = m.tsap["clip"][0](x), 0
    for i, block in enumerate(m.vit.blocks):
        x = block(x)
        r = m.tsap["clip"][i + 1](r + x)
        if i not in (1, 3):
            continue
        level += 1
        f = m.ts_aligners["%d_clip" % i](m.out_norms["%d_clip" % i](r[:, 1:]))
        f = f.transpose(1, 2).reshape(len(f), 10, 4, 4)
        t = inputs["teacher/clip/level%d" % level]
        if f.shape != t.shape:  # a finer teacher
            f = F.interpolate(f, size=t.shape[2:], mode="bilinear", align_corners=False)
        cos = (f.flatten(1) * t.flatten(1)).sum(1) / (f.flatten(1).norm(dim=1) * t.flatten(1).norm(dim=1))
        loss = 0.9 * (1 - cos).mean() + 0.1 * F.smooth_l1_loss(f, t)
        values["loss/kd/clip_level%d" % level] = loss
        total = total + loss
    values["loss/kd/total"] = total
    return total, values

torch.manual_seed(2)
inputs = {"image": torch.randn(2, 3, 32, 32)}
for k in (1, 2):
    inputs["teacher/clip/level%d" % k] = torch.randn(2, 10, 6, 5)
config = dict(
    stem=dict(kind="vit", patch_size=8, embed_dim=24, depth=4, num_heads=3), img_size=[32, 32], out_indices=[1, 3],
    teachers=[dict(name="clip", dim=10, grid=[6, 5])], aligner=True, loss_type="cos+l1", grad_clip=0.5,
    optimizer=dict(kind="adamw", weight_decay=0.05, lr=[1e-3, 5e-4]))
dump_reference.dump_student("student", Student(), config, inputs, forward)

# the command line again, without starting another Python
import vit
def command(*arguments):
    sys.argv = ["dump_reference.py", *arguments]
    dump_reference.main()

command("native", "--model", "vit.py")
torch.save(vit.build().state_dict(), "vit.pth")
command("weights", "--weights", "vit.pth", "--heads", "3", "--image", "24x40")
try:
    command("bad", "--weights", "vit.pth")
    sys.exit("a ViT of unknown heads must be refused")
except SystemExit as e:
    if "give --heads" not in str(e):
        raise
P

"$python" "$root/scripts/dump_reference.py" resized --model vit.py --image 43x56 --levels 0,3 --batch 1 > log 2>&1 &&
    "$python" student.py "$root/scripts" >> log 2>&1 || { cat log; exit 1; }
for f in "" "--cross f64"; do
    # shellcheck disable=SC2086
    "$sak" verify $f native resized weights student
done
"$sak" verify student | grep -q "step1 85, step2 85" || { "$sak" verify student; exit 1; }

sed -i 's/"num_heads": 3/"num_heads": 4/' native/config.json
if "$sak" verify native > log 2>&1; then
    echo "another number of heads must not verify"
    exit 1
fi
echo "dumps of the user's modules verify, in float and in double"
