--- The one schema: every kind of specification, its settings with type, default and meaning.
--- Validation, defaults, help and editor annotations all come from here; a new setting is one line.
---
--- A field is { name, type, meaning, default =, required =, excludes = }.  A default may be a
--- function of the node it belongs to, called once the node's other settings are known.  `runtime`
--- settings do not change results, so they are kept out of the configuration and its hash.
local types = require "sak.types"
local archs = require "sak.archs"
local name_rules = require "sak.name_rules"

local int, number, text, bool, off = types.int, types.number, types.text, types.bool, types.off
local choice, list, map, either, fn = types.choice, types.list, types.map, types.either, types.fn
local size, range, spec, any = types.size, types.range, types.spec, types.any

local schema = { families = {}, order = {} }

--- What the framework knows as a task.
schema.tasks = { "semseg", "depth", "normals", "edge", "sal", "human_parts" }
--- Published weight of each task's loss (sak-method.md, section 4).
schema.task_weights = { semseg = 1, human_parts = 2, sal = 5, edge = 50, normals = 10, depth = 1 }
--- Teachers that `sak` trains itself, by the recipes in experiments/teachers/.
schema.builtin_teachers = { "clip", "dinov2", "sam" }
--- Model kinds: the method and the baselines it is held against.
schema.models = {
  "sak", "single_task", "multi_task", "distill_heads", "teacher_heads", "all_teachers", "wide",
}

---@class sak.Field
---@field [1] string  name
---@field [2] sak.Type
---@field [3] string  meaning
---@field default? any
---@field required? boolean
---@field excludes? string  a sibling that cannot be given as well
---@field shape? boolean  part of an encoder's architecture, which a built-in teacher's recipe
---decides
---@field runtime? boolean

---@class sak.Kind
---@field name string
---@field doc string
---@field fields sak.Field[]
---@field by_name table<string, sak.Field>

---@class sak.Family
---@field name string
---@field doc string
---@field kinds table<string, sak.Kind>
---@field order string[]
---@field default string  the kind of a plain table that does not say
---@field single boolean  has one kind, so `kind` is not written
---@field flat boolean  constructors are sak.<kind>, not sak.<family>.<kind>
---@field prepare? fun(raw: table)  completes what a script gave, before anything is checked
---@field curried boolean  constructed as sak.<family> "name" { … }

--- A family of kinds that can stand in the same place.
local function family(name, options)
  local f = { name = name, kinds = {}, order = {} }
  for k, v in pairs(options) do f[k] = v end
  schema.families[name] = f
  types.families[name] = options.doc
  schema.order[#schema.order + 1] = name
  return function(kind_name)
    return function(kind)
      local by_name, fields = {}, {}
      for _, part in ipairs(kind) do
        for _, field in ipairs(type(part[1]) == "table" and part or { part }) do
          fields[#fields + 1] = field
          by_name[field[1]] = field
        end
      end
      f.kinds[kind_name] =
        { name = kind_name, doc = kind.doc, fields = fields, by_name = by_name }
      f.order[#f.order + 1] = kind_name
      f.default = f.default or kind_name
    end
  end
end

-- Encoders ----------------------------------------------------------------------------------------

local arch_names = archs.names()

local function of_kind(kind)
  local names = {}
  for _, name in ipairs(arch_names) do
    if archs.table[name].kind == kind then names[#names + 1] = name end
  end
  return names
end

local function arch_field(kind)
  return { "arch", choice(of_kind(kind)), "a published architecture, which sets the fields not given" }
end

--- What a setting was called before, by what it is called now.
local renamed = { arch = "name" }

--- The name that a setting of an earlier sak has now, when that is one of `names`.
---@return string?
function schema.renamed(word, names)
  for _, name in ipairs(names) do
    if renamed[name] == word then return name end
  end
end

--- Marks fields as part of an architecture.
local function shapes(fields)
  for _, field in ipairs(fields) do field.shape = true end
  return fields
end

local levels = { "out_indices", list(int { min = 0 }, { min = 4, max = 4 }),
  "blocks whose outputs are the four levels, 0-based",
  default = function(n) return n.depth and archs.levels(n.depth) end }

--- The settings of an encoder; a teacher has the same ones without defaults (its file or its recipe
--- has them).
local function shape(defaults)
  local function d(value) return defaults and value or nil end
  return shapes {
    { "width", int { min = 1 }, "channels per token", default = d(192) },
    { "depth", int { min = 4 }, "number of blocks", default = d(12) },
    { "heads", int { min = 1 }, "attention heads", default = d(3) },
    { "patch", int { min = 1 }, "side of a patch in pixels", default = d(16) },
    { "mlp_ratio", number { above = 0 },
      "hidden width of a block's MLP over its width", default = 4 },
    { "grid", size,
      "patch grid that the position table was trained on, if not square; resampled where it differs" },
    levels,
  }
end

local vit_extra = shapes {
  { "qkv_bias", bool, "bias in the fused query-key-value projection", default = true },
  { "ln_eps", number { above = 0 }, "epsilon of the layer norms", default = 1e-6 },
  { "act", choice { "gelu", "quick_gelu", "gelu_tanh", "swiglu" }, "activation of the MLP", default = "gelu" },
  { "layer_scale", bool, "learned scale on each residual branch (DINOv2)", default = false },
  { "pre_norm", bool, "a layer norm before the first block (CLIP)", default = false },
  { "patch_bias", bool, "bias in the patch embedding", default = true },
  { "class_token", bool, "prepend a class token", default = true },
  { "class_position", bool,
    "false: the file's position table may lack the class token's row (DeiT-3), which is 0 then" },
  { "registers", int { min = 0 }, "register tokens; no position is added to them", default = 0 },
  { "cpe", bool, "positions are stretched and cropped from a table of `grid` in each pass (RADIO)",
    default = false },
  { "resample", choice { "bicubic_antialias", "bicubic" },
    "how a file's position table is fitted to another grid: timm's way, or Hugging Face's",
    default = "bicubic_antialias" },
}

local sam_extra = shapes {
  { "ln_eps", number { above = 0 }, "epsilon of the layer norms", default = 1e-5 },
  { "window", int { min = 1 }, "side of an attention window, in tokens", default = 14 },
  { "global", list(int { min = 0 }), "blocks with attention over the whole image, 0-based",
    default = function(n) return n.depth and archs.levels(n.depth) end },
}

local function swin_fields(required)
  return shapes {
    { "width", int { min = 1 }, "channels of the first stage", default = required and 96 or nil },
    { "depths", list(int { min = 1 }, { min = 4, max = 4 }),
      "blocks per stage", default = required and { 2, 2, 6, 2 } or nil },
    { "heads", list(int { min = 1 }, { min = 4, max = 4 }),
      "attention heads per stage", default = required and { 3, 6, 12, 24 } or nil },
    { "patch", int { min = 1 }, "side of a patch in pixels", default = 4 },
    { "window", int { min = 1 }, "side of an attention window, in tokens", default = 7 },
    { "mlp_ratio", number { above = 0 },
      "hidden width of a block's MLP over its width", default = 4 },
    { "ln_eps", number { above = 0 }, "epsilon of the layer norms", default = 1e-5 },
  }
end

local name_keys = {}
for i, s in ipairs(name_rules) do name_keys[i] = s.key end
local weights_key = { "key", text {},
  "entry of a nested PyTorch checkpoint that holds the model: \"teacher\", \"a.b\"; found if there is only one" }
local name_source = { "names", choice(name_keys),
  "whose tensor names the file of weights has; detected if not given" }
local weights = { { "weights", text {},
  "file with pretrained weights (safetensors, PyTorch), or the folder of a sharded one" }, name_source, weights_key }

local encoder = family("encoder", { doc = "an image encoder", flat = true, default = "vit" })
encoder "vit" { doc = "Vision transformer (sak-method.md, 2.1).", arch_field "vit",
  shape(true), vit_extra, weights }
encoder "sam" {
  doc = "SAM's image encoder: windowed attention, relative positions (2.2).",
  arch_field "sam",
  shape(true), sam_extra, weights }
encoder "swin" {
  doc = "Swin transformer; a stem for the baselines, since its levels differ in width and grid.",
  arch_field "swin",
  swin_fields(true), weights }

-- Teachers ----------------------------------------------------------------------------------------

local function teacher_fields(kind)
  return {
    { "name", text {}, "what the committee calls it; unique", required = true },
    { "weight", number { min = 0 }, "factor of its part of the distillation loss", default = 1 },
    { "builtin", choice(schema.builtin_teachers),
      "trained by sak itself when missing (experiments/teachers/)", excludes = "weights" },
    { "weights", text {},
      "file with its weights (safetensors, PyTorch), the folder of a sharded one, or \"random\"",
      excludes = "builtin" },
    name_source,
    weights_key,
    arch_field(kind),
    { "size", size, "size the image is resized to before it; the student's size if not given" },
    { "pad", choice { "none", "long_side", "crop" },
      "none: resize; long_side: resize by the long side and zero-pad (published SAM); crop: likewise, padded features cut away",
      default = "none" },
    { "mean", list(number {}, { min = 3, max = 3 }),
      "subtracted from an image in 0…1", default = { 0.485, 0.456, 0.406 } },
    { "std", list(number { above = 0 }, { min = 3, max = 3 }),
      "it is then divided by", default = { 0.229, 0.224, 0.225 } },
  }
end

--- A teacher called like a built-in one, with no other origin, is the built-in one.
local function prepare_teacher(raw)
  if raw.builtin == nil and raw.weights == nil and raw.arch == nil then
    for _, name in ipairs(schema.builtin_teachers) do
      if raw.name == name then raw.builtin = name end
    end
  end
end

local teacher = family("teacher",
  { doc = "a frozen teacher", curried = true, default = "vit", prepare = prepare_teacher })
teacher "vit" { doc = "A vision transformer as teacher.", teacher_fields "vit",
  shape(false), vit_extra }
teacher "sam" { doc = "SAM's image encoder as teacher.", teacher_fields "sam",
  shape(false), sam_extra }
teacher "swin" { doc = "A Swin transformer as teacher.",
  teacher_fields "swin", swin_fields(false) }

-- Data --------------------------------------------------------------------------------------------

local data_fields = {
  { "fraction", number { above = 0, max = 1 },
    "part of the training images that is used", default = 1 },
}
local data = family("data", { doc = "images and labels" })
data "rooms" { doc = "Built-in procedural indoor scenes with exact labels for all tasks.",
  { "train", int { min = 1 }, "training images", default = 2000 },
  { "val", int { min = 1 }, "validation images", default = 400 },
  { "size", size, "image size in pixels", default = { 64, 96 } },
  { "seed", int { min = 0 }, "which rooms; independent of the run's seed", default = 0 },
  data_fields }

local colour = list(int { min = 0, max = 255 }, { min = 3, max = 3 })
local image_files = family("image_files", { doc = "where images lie", single = true })
image_files "image_files" { doc = "The pictures of a folder dataset: <root>/<dir>/<id><suffix>.",
  { "dir", text {}, "folder below the root; \"\" is the root itself", default = "images" },
  { "suffix", text {}, "end of the file names; any of .png, .jpg, .jpeg if not given" } }
local label_files = family("label_files", { doc = "where labels lie and how they are stored", single = true })
label_files "label_files" { doc = "One task's labels in a folder dataset: <root>/<dir>/<id><suffix>.",
  { "dir", text {}, "folder below the root", required = true },
  { "suffix", text {}, "end of the file names", default = ".png" },
  { "classes", either(int { min = 2, max = 255 }, list(text {}, { min = 2, max = 255 })),
    "semseg, human_parts: how many classes, or their names in order" },
  { "colours", list(colour, { min = 2, max = 255 }),
    "semseg, human_parts: each class's {red, green, blue}; stored values if not given" },
  { "offset", int { min = 0, max = 254 }, "semseg, human_parts: stored value of the first class; lower ones are unlabelled" },
  { "ignore", either(int { min = 0, max = 255 }, colour),
    "semseg, human_parts: stored value or colour that is unlabelled, as 255 always is" },
  { "scale", number { above = 0 }, "depth: metres per stored unit (.npy, or PNG of 8 or 16 bits)" },
  { "axes", list(choice { "x", "-x", "y", "-y", "z", "-z" }, { min = 3, max = 3 }),
    "normals: what the three channels hold; x right, y up, z towards the camera if not given" },
  { "threshold", int { min = 1, max = 255 }, "edge, sal: grey level from which on a pixel counts; 128 if not given" } }

local on_bad = { "on_bad", choice { "stop", "skip" },
  "a file that cannot be read stops the run, or the next sample takes its place and it is counted", default = "stop" }
local list_or_share = either(text {}, number { above = 0, max = 1 })
local depth_max = { "depth_max", number { above = 0 }, "depths beyond it (metres) are not scored", default = 80 }
local student_size = { "size", size, "image size the student sees", required = true }
data "folder" { doc = "A folder with images and labels: in the NYUD layout (images/, segmentation/, depth/, …, gt_sets/), or as 'image' and 'tasks' say.",
  { "root", text {}, "the folder", required = true },
  { "train", list_or_share,
    "training images: a list in gt_sets/, a list file below the root (ending in .txt), or a share of all images", default = "train" },
  { "val", list_or_share, "validation images, likewise; a share follows the training share", default = "val" },
  student_size,
  { "image", spec "image_files", "where the images are, if 'tasks' says where labels are" },
  { "tasks", map(spec "label_files", schema.tasks), "where each task's labels are; the NYUD layout if not given" },
  { "classes", int { min = 2 },
    "semseg classes; counted from the folder's classes.txt if not given" },
  { "parts", int { min = 2 }, "human-part classes, background included" },
  depth_max, on_bad, data_fields }
data "pascal" { doc = "PASCAL-Context in the layout of the published multi-task package: JPEGImages/, semseg/, human_parts/, …, ImageSets/Context/.",
  { "root", text {}, "the folder", required = true },
  { "train", text {}, "list of training images in ImageSets/Context/", default = "train" },
  { "val", text {}, "list of validation images in ImageSets/Context/", default = "val" },
  { "size", size, "image size the student sees", default = { 512, 512 } },
  on_bad, data_fields }
data "images" { doc = "Images without labels, for stage 1: all pictures in a folder and the folders in it, or in a tar archive.",
  { "root", text {}, "the folder, or the archive; it is read in place", required = true },
  student_size, on_bad, data_fields }
data "imagenet" { doc = "ImageNet-1k for stage 1: ILSVRC2012_img_<train>.tar as published, read in place, or <train>/<class>/*.JPEG.",
  { "root", text {}, "the folder that holds the archives or the folders", required = true },
  { "train", choice { "train", "val" }, "which half is trained on", default = "train" },
  { "size", size, "image size the student sees", default = { 384, 384 } },
  on_bad, data_fields }

-- Student -----------------------------------------------------------------------------------------

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
  weights_key,
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

-- Optimisation ------------------------------------------------------------------------------------

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

-- Whole experiments -------------------------------------------------------------------------------

local evaluation = family("eval", { doc = "evaluation", single = true, flat = true })
evaluation "eval" { doc = "When and how predictions are scored.",
  { "every", int { min = 0 },
    "steps between evaluations; 0: only at the end of a stage", default = 0 },
  { "batch", int { min = 1 }, "images at once", default = 16 },
  { "images", int { min = 0 }, "validation images on the prediction sheets", default = 8 },
  { "edge_protocol", choice { "plain", "seism", "bsds" },
    "how edges are scored (sak-method.md, section 6)", default = "plain" },
  { "edge_max_dist", number { above = 0, below = 1 },
    "matching radius over the image diagonal", default = 0.011 } }

local engine = family("engine", { doc = "how graphs are executed", single = true, flat = true })
engine "engine" { doc = "How graphs are executed; results agree up to rounding.",
  { "rewrite", bool, "replace operations by cheaper equal ones: a convolution of a resized map by one before resizing",
    default = true },
  { "checkpoint", choice { "none", "blocks" },
    "blocks: keep the inputs of blocks, adapters, routers and heads only, and compute the rest again for the gradient; the same bits in less memory",
    default = "none" } }

local cache = family("cache", { doc = "the cache of teachers' features", single = true, flat = true })
cache "cache" { doc = "Teachers' features, computed once per image and view and shared by all runs beside one database.",
  { "views", int { min = 1 },
    "views of each training image, mirrored ones apart, where a stage's augment does not say", default = 4 },
  { "dtype", choice { "fp16", "bf16", "fp32" }, "what features are rounded to, cached or not", default = "fp16" },
  { "gigabytes", number { above = 0 }, "what was used longest ago is removed beyond that", default = 10 },
  { "verify", number { min = 0, max = 1 }, "share of what is found that is computed again and compared", default = 0 } }

local keeping = family("checkpoint", { doc = "checkpoints", single = true, flat = true })
keeping "checkpoint" { doc = "When a run saves all it needs to go on, besides the end of every stage, and what is kept.",
  { "every_s", number { min = 0 }, "seconds between two; 0: none by the clock", default = 60 },
  { "every", int { min = 0 }, "steps between two; 0: none by steps", default = 0 },
  { "keep", int { min = 1 }, "latest ones kept, until the run is done", default = 2 },
  { "keep_every", int { min = 0 }, "those at multiples of so many steps are kept for good; 0: none", default = 0 },
  { "best", text {}, "metric whose best evaluation is kept as best.safetensors, for instance val/semseg/mIoU" } }

--- cache = true: with its defaults; false: as if it were not there.
local function prepare_experiment(raw)
  if raw.cache == true then raw.cache = {} elseif raw.cache == false then raw.cache = nil end
end

local experiment = family("experiment",
  { doc = "an experiment", single = true, curried = true, prepare = prepare_experiment })
experiment "experiment" { doc = "Data, teachers, student and the stages that train it.",
  { "name", text {}, "what it is called", required = true },
  { "note", text {}, "why it is run; for the reader, kept with the script" },
  { "data", spec "data", "images and labels", required = true },
  { "teachers", list(spec "teacher"), "the committee, in this order", default = {} },
  { "student", spec "student", "what is trained", required = true },
  { "model", choice(schema.models), "the method, or the baseline built instead", default = "sak" },
  { "stages", list(spec "stage", { min = 1 }), "one after the other", required = true },
  { "eval", spec "eval", "evaluation", default = {} },
  { "engine", spec "engine", "how graphs are executed", default = {} },
  { "precision", choice { "fp32", "bf16" },
    "bf16: products round their operands to bfloat16 and sum in float; all else is float",
    default = "fp32" },
  { "cache", either(bool, spec "cache"),
    "keep teachers' features and take them from there; true: with its defaults (off if not given)" },
  { "checkpoint", spec "checkpoint", "when the run is saved", default = {}, runtime = true },
  { "on_nan", choice { "stop", "skip", "rewind" },
    "a loss or gradient that is not finite ends the run (if not given); or its batch is left out; or the run goes back to the last multiple of checkpoint.every steps and on with the data after that batch" },
  { "seed", int { min = 0 }, "of everything random", default = 0 },
  { "share_stages", bool,
    "a stage 1 that another run trained with the same data, teachers, student and settings is taken from there, bit for bit; in the trials of a sweep if not given",
    runtime = true },
  { "threads", int { min = 1 }, "worker threads; results do not depend on it", runtime = true },
  { "loader_threads", int { min = 1, max = 64 },
    "threads that read and augment images ahead of the step (1 if not given); results do not depend on it",
    runtime = true } }

local arm = family("arm", { doc = "an arm", single = true })
arm "arm" { doc = "One of the things compared; the first is the reference.",
  { "name", text {}, "what it is called; unique", required = true },
  { "note", text {}, "what it is for; for the reader, kept with the script" },
  { "set", map(any), "settings that differ from the base, by path", default = {} } }

-- What decides; every metric is stored whatever it says.
local goal = family("objective_metric", { doc = "an objective", single = true })
goal "objective" { doc = "The metric that decides: shown while a sweep runs, and what a sampler improves.",
  { "metric", text {}, "as in the views of the results database", default = "val/delta_m" },
  { "goal", choice { "max", "min" }, "which way is better", default = "max" } }

-- Values that a sampler may draw: sak.choice { 4, 8 }, sak.uniform { 0, 1 }.
local function prepare_distribution(raw, kind)
  if kind.by_name.values then
    if raw.values == nil then
      raw.values = {}
      for i, v in ipairs(raw) do raw.values[i] = v end
      for i = #raw, 1, -1 do raw[i] = nil end
    end
  else
    raw.low, raw.high = raw.low or raw[1], raw.high or raw[2]
    raw[1], raw[2] = nil, nil
  end
end

local distribution = family("distribution",
  { doc = "values to draw from", flat = true, prepare = prepare_distribution })
distribution "choice" { doc = "One of these, without an order: sak.choice { 4, 8, 16 }.",
  { "values", list(any, { min = 1 }), "the values" } }
distribution "uniform" { doc = "A number between two: sak.uniform { 0, 1 }.",
  { "low", number {}, "lower end", required = true }, { "high", number {}, "upper end", required = true } }
distribution "log_uniform" { doc = "A number between two, evenly by its logarithm: sak.log_uniform { 1e-5, 1e-2 }.",
  { "low", number { above = 0 }, "lower end", required = true },
  { "high", number { above = 0 }, "upper end", required = true } }
distribution "int_uniform" { doc = "A whole number between two, both included: sak.int_uniform { 2, 12 }.",
  { "low", int {}, "lower end", required = true }, { "high", int {}, "upper end", required = true } }

local sampler_fields = {
  { "trials", int { min = 1 }, "points of the space, each run with every seed", default = 20 },
  { "seed", int { min = 0 }, "of the draws", default = 0 },
}
local sampler = family("sampler", { doc = "a sampler", flat = true })
sampler "random" { doc = "Independent draws.", sampler_fields }
sampler "tpe" { doc = "Tree-structured Parzen estimator (Bergstra et al. 2011): draws where results were good.",
  sampler_fields,
  { "startup", int { min = 2 }, "random points before the first estimate", default = 8 },
  { "batch", int { min = 1 },
    "points proposed at once from the same results, so that these do not depend on --jobs", default = 4 },
  { "candidates", int { min = 1 }, "draws of a number of which the most promising is taken", default = 24 } }

local stopper_fields = {
  { "metric", text {}, "as logged while training; the objective's if not given" },
  { "goal", choice { "max", "min" }, "which way is better; the objective's if not given" },
  { "grace", int { min = 1 }, "steps of a run, over all stages, before it may be ended", required = true },
}
local stopper = family("stopper", { doc = "an early stopper", flat = true })
stopper "median" { doc = "Ends a trial that is worse than the median of those before it.", stopper_fields,
  { "every", int { min = 1 }, "steps between decisions; grace if not given" },
  { "startup", int { min = 1 }, "trials that must have come as far before one is ended", default = 3 } }
stopper "asha" { doc = "Successive halving (Li et al. 2020): at steps grace, grace x factor, … the best 1/factor go on.",
  stopper_fields,
  { "factor", int { min = 2 }, "of those that come to a decision one in so many goes on", default = 3 } }

local ablation = family("ablation", { doc = "an ablation", single = true, curried = true })
ablation "ablation" { doc = "Arms x grid x seeds of a base experiment.",
  { "name", text {}, "what it is called", required = true },
  { "question", text {}, "what it answers; shown with its results" },
  { "base", either(text {}, spec "experiment"),
    "the experiment that is varied: its file, or itself", required = true },
  { "arms", list(spec "arm"),
    "things compared; the first is the reference", default = { { name = "base" } } },
  { "grid", map(list(any, { min = 1 })), "values to cross with the arms, by path", default = {} },
  { "seeds", list(int { min = 0 }, { min = 1 }),
    "one run each, paired across arms", default = { 0 } },
  { "space", map(spec "distribution"), "values to sample, by path; with a sampler", default = {} },
  { "sampler", spec "sampler", "draws points of the space, instead of a grid" },
  { "stopper", spec "stopper", "ends trials that promise little" },
  { "objective", spec "objective_metric", "what decides", default = {} },
  { "threads", int { min = 1 }, "worker threads of one run", runtime = true } }

return schema
