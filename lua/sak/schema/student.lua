--- Settings of the student and its parts.

local encoders = require "sak.schema.encoders"
local families = require "sak.schema.families"
local types = require "sak.types"

local family, schema = families.family, families.schema
local int, number, text, bool, off = types.int, types.number, types.text, types.bool, types.off
local choice, list, either, spec = types.choice, types.list, types.either, types.spec

local adapter = family("adapter", { doc = "an adapter" })
local ranks = {
  { "down_ratio", int { min = 1 },
    "rank = width / down_ratio, rounded down", default = 4, excludes = "rank" },
  { "rank", int { min = 1 },
    "width of the bottleneck, instead of down_ratio", excludes = "down_ratio" },
}
local scale_init = { "scale_init", number {}, "start of the learned scale s", default = 1 }
adapter "bottleneck" { doc = "A(x) = x + s (W_up GELU(W_down x + b) + b'), the published adapter.",
  ranks, scale_init }
adapter "parallel" { doc = "LoRA's form: x + (alpha / rank) W_up W_down x, W_up starting at 0.", ranks,
  { "alpha", number { above = 0 }, "scale is alpha / rank", default = 16 } }
adapter "conv" { doc = "The bottleneck with a convolution per channel in it, over the patches as a map.", ranks,
  { "kernel", int { min = 1 }, "side of the convolution; odd", default = 3 }, scale_init }

local temperature = { "temperature", number { above = 0 },
  "logits are divided by it before the softmax", default = 1 }
local router = family("router", { doc = "a router" })
router "mor" { doc = "Published router: one weight per image and expert.",
  { "noisy", bool, "noisy gating in training", default = false },
  { "noise", choice { "token", "image" },
    "with noisy = true; token: noise per token, as published; image: per image",
    default = function(n) return n.noisy and "token" end },
  temperature }
router "sum" { doc = "No router: stem and experts are added; shared by all tasks." }
router "token" { doc = "One weight per token and expert.", temperature }
router "joint" { doc = "MoR's gate, shown the stem and all experts instead of the stem alone.", temperature }
router "topk" { doc = "Only the k experts with the largest weights, renormalised.",
  { "k", int { min = 1 }, "experts kept", default = 2 }, temperature }
router "static" { doc = "Learned weights that do not depend on the input.", temperature }

local head = family("head", { doc = "a task head" })
head "fusion" { doc = "Published head: per level linear, resize to a quarter, 3x3 conv, BatchNorm, GELU, 1x1 conv, resize." }

local lora = family("lora", { doc = "LoRA on the stem", single = true })
lora "lora" {
  doc = "Low-rank updates of the stem, whose own weights rest in stage 1; stage 2 trains the stem fully.",
  { "rank", int { min = 1 }, "rank of the update", default = 8 },
  { "alpha", number { above = 0 }, "scale is alpha / rank", default = 16 },
  { "targets", list(choice { "qkv", "proj", "fc1", "fc2" }, { min = 1 }),
    "linear maps that get one", default = { "qkv", "proj" } },
  { "dropout", number { min = 0, below = 1 }, "of the update's input, in training", default = 0 },
  { "stage2", choice { "train", "merge" },
    "train: weights and update go on, both trained, as published; merge: the update joins the weights",
    default = "train" } }

local student = family("student", { doc = "the student", single = true, flat = true })
student "student" { doc = "Stem, adapter paths, aligners, routers and heads (sak-method.md, section 3).",
  { "stem", spec "encoder", "the encoder everything shares" },
  { "weights", text {},
    "file with a whole student to start from, of either stage, or a run's: run:17, run:@last" },
  encoders.weights_key,
  { "adapter", spec("adapter", { fn = "function(x, i) -> tensor: token features after block i" }),
    "adapter of the teachers' paths", default = {} },
  { "aligner", either(choice { "auto" }, bool),
    "linear maps to the teachers' widths; auto: where widths differ", default = "auto" },
  { "router", spec("router", { fn = "function(stem, experts) -> tensor" }),
    "mixes stem and paths, per task and level", default = {} },
  { "tasks", list(choice(schema.tasks)), "what it predicts", default = {} },
  { "head", spec("head", { fn = "function(levels, task) -> tensor" }),
    "from four mixed levels to pixels", default = {} },
  { "freeze_vit", bool, "do not train the stem", default = false },
  { "freeze", bool, "train only routers and heads", default = false },
  { "lora", either(off, spec "lora"), "LoRA on the stem: only the update trains in stage 1",
    default = false } }
