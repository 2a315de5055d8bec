--- Settings of image encoders and of the teachers that are some.

local archs = require "sak.archs"
local name_rules = require "sak.name_rules"
local families = require "sak.schema.families"
local types = require "sak.types"

local family, schema = families.family, families.schema
local int, number, text, bool, choice = types.int, types.number, types.text, types.bool, types.choice
local list, size = types.list, types.size

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

return { weights_key = weights_key }
