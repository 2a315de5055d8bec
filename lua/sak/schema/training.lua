--- Settings of training: optimisers, schedules, augmentation, stages and what they learn from.

local families = require "sak.schema.families"
local types = require "sak.types"

local family, schema = families.family, families.schema
local int, number, text, bool, off = types.int, types.number, types.text, types.bool, types.off
local choice, list, map, either, fn = types.choice, types.list, types.map, types.either, types.fn
local size, range, spec = types.size, types.range, types.spec

local adam_fields = {
  { "lr", number { above = 0 }, "learning rate", default = 1e-3 },
  { "betas", list(number { min = 0, below = 1 }, { min = 2, max = 2 }),
    "decay of the two moments", default = { 0.9, 0.999 } },
  { "eps", number { above = 0 }, "added to the root of the second moment", default = 1e-8 },
}
local optim = family("optim", { doc = "an optimiser", flat = true })
optim "adamw" { doc = "Adam with decoupled weight decay.", adam_fields,
  { "weight_decay", number { min = 0 }, "on every parameter", default = 0.01 } }
optim "adam" { doc = "Adam; weight decay is added to the gradient.", adam_fields,
  { "weight_decay", number { min = 0 }, "on every parameter", default = 0 } }
optim "sgd" { doc = "Gradient descent with momentum.",
  { "lr", number { above = 0 }, "learning rate", default = 1e-2 },
  { "momentum", number { min = 0, below = 1 }, "share of the last step kept", default = 0.9 },
  { "weight_decay", number { min = 0 }, "on every parameter", default = 0 } }

local schedule = family("schedule", { doc = "a learning-rate schedule", flat = true })
schedule "cosine" { doc = "Linear warm-up, then half a cosine; warm-up is not part of the cosine's length.",
  { "warmup", number { min = 0 }, "length of the warm-up, in epochs", default = 0 },
  { "min_lr", number { min = 0 }, "last rate", default = 1e-5 },
  { "warmup_init", number { min = 0 }, "first rate of the warm-up", default = 1.25e-7 },
  { "per", choice { "iteration", "epoch" }, "how often the rate changes", default = "iteration" },
  { "lag", bool, "iteration n runs at the rate of n - 1, as published", default = true } }
schedule "poly" { doc = "(1 - n/N)^power, per iteration, to 0.",
  { "power", number { above = 0 }, "exponent", default = 0.9 } }
schedule "constant" { doc = "The optimiser's rate throughout." }

local augment = family("augment", { doc = "augmentation", single = true, flat = true })
augment "augment" { doc = "What happens to training images, in this order (sak-method.md, section 5).",
  { "size", either(off, size), "size of the result, if not the stage's; in pretrain stages only",
    default = false },
  { "resized_crop", either(off, range { above = 0, max = 1 }),
    "crop of this share of the area, resized to the input size; instead of scale and crop",
    default = false },
  { "scale", either(off, range { above = 0 }),
    "random scaling; depth is divided by the factor", default = false },
  { "crop", bool, "random crop to the input size", default = false },
  { "max_class", number { above = 0, max = 1 },
    "a crop is redrawn, up to 10 times, while one class fills this share; 0.75 with crop",
    default = function(n) return n.crop and 0.75 end },
  { "flip", number { min = 0, max = 1 }, "probability of a mirror image", default = 0.5 },
  { "photometric", bool, "brightness, contrast, saturation, hue", default = false },
  { "views", int { min = 1 },
    "crops, scales and colours of an image come from so many that are drawn once, for all seeds; flips are drawn anew" } }

-- Stages ------------------------------------------------------------------------------------------

local function stage_fields(d)
  return {
    { "name", text {},
      "what its metrics are filed under; the kind if not given", default = d.name },
    { "epochs", number { above = 0 }, "passes over the training images", excludes = "iterations" },
    { "iterations", int { min = 1 }, "optimiser steps, instead of epochs", excludes = "epochs" },
    { "batch", int { min = 1 }, "images per step", default = d.batch },
    { "optim", spec "optim", "optimiser", default = d.optim },
    { "schedule", spec "schedule", "learning-rate schedule", default = d.schedule },
    { "clip", either(off, number { above = 0 }),
      "largest global gradient norm; false: no limit", default = d.clip or false },
    { "size", size, "image size of this stage, if not its data's; distill stages only" },
    { "augment", either(off, spec "augment"),
      "augmentation of training images", default = d.augment },
    { "data", spec "data",
      "training images of this stage, if not the experiment's" },
  }
end

local distill_loss = either(choice { "cos+l1", "cos", "l2" },
  fn "function(student, teacher) -> scalar tensor")
local stage1 = { kind = "adamw", lr = 1e-3, weight_decay = 0.01 }
local stage2 = { kind = "adamw", lr = 2e-5, weight_decay = 1e-6 }
local crop_flip = { resized_crop = { 0.08, 1 }, flip = 0.5 }
local published2 = { scale = { 0.5, 2 }, crop = true, flip = 0.5, photometric = true }
local teacher_weights = { "teachers", map(number { min = 0 }),
  "weight per teacher; the teacher's own weight if not given", default = {} }
local task_weights = { "weights", map(number { min = 0 }, schema.tasks),
  "weight per task loss", default = {} }

local stage = family("stage", { doc = "a stage", flat = true })
stage "distill" { doc = "Stage 1: distillation only, unlabelled images.",
  stage_fields { name = "distill", batch = 16, optim = stage1, schedule = { kind = "cosine",
    warmup = 2 }, augment = crop_flip },
  { "loss", distill_loss, "per teacher and level", default = "cos+l1" }, teacher_weights }
stage "multitask" { doc = "Stage 2: task losses and alpha times the distillation loss.",
  stage_fields { name = "multitask", batch = 16, optim = stage2, schedule = { kind = "poly" },
    clip = 10, augment = published2 },
  { "alpha", number { min = 0 }, "weight of the distillation loss; 0: none", default = 1 },
  { "loss", distill_loss,
    "distillation loss, per teacher and level", default = "cos+l1" }, teacher_weights,
  task_weights,
  { "losses", map(fn "function(prediction, label) -> scalar tensor", schema.tasks),
    "task losses of your own", default = {} } }
stage "probe" { doc = "Heads on frozen features: what a representation already knows.",
  stage_fields { name = "probe", batch = 16, optim = stage1, schedule = { kind = "poly" },
    clip = 10, augment = published2 },
  task_weights }
stage "pretrain" { doc = "Trains the stem alone; how the built-in teachers are made.",
  stage_fields { name = "pretrain", batch = 64, optim = { kind = "adamw", lr = 1e-3,
    weight_decay = 0.05 },
    schedule = { kind = "cosine", warmup = 1 }, augment = { resized_crop = { 0.4, 1 }, flip = 0.5,
      photometric = true } },
  { "objective", spec "objective", "what it learns from", required = true } }

local objective = family("objective", { doc = "a pretraining objective" })
objective "contrastive" { doc = "Image and caption embeddings meet (CLIP's paradigm).",
  { "dim", int { min = 1 }, "width of the shared embedding", default = 128 },
  { "temperature", number { above = 0 }, "start of the learned temperature", default = 0.07 },
  { "text_width", int { min = 1 }, "channels of the caption encoder", default = 128 },
  { "text_depth", int { min = 1 }, "blocks of the caption encoder", default = 2 } }
objective "dino" { doc = "Self-distillation without labels (DINO's paradigm).",
  { "dim", int { min = 1 }, "prototypes", default = 512 },
  { "hidden", int { min = 2 }, "hidden width of the projection head", default = 256 },
  { "student_temperature", number { above = 0 }, "of the student's softmax", default = 0.1 },
  { "teacher_temperature", number { above = 0 },
    "of the averaged teacher's softmax", default = 0.04 },
  { "momentum", number { min = 0, max = 1 }, "of the averaged teacher", default = 0.996 },
  { "center_momentum", number { min = 0, max = 1 }, "of the centre", default = 0.9 },
  { "patch_weight", number { min = 0 }, "weight of the masked-patch term (iBOT)", default = 1 },
  { "mask_ratio", number { min = 0, max = 1 }, "share of patches masked for it", default = 0.3 } }
objective "mask" { doc = "Class-agnostic masks from point prompts (SAM's paradigm).",
  { "points", int { min = 1 }, "prompts per image", default = 8 },
  { "dim", int { min = 1 }, "width of the mask decoder", default = 64 } }
