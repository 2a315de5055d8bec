--- Frozen teachers: an encoder with its own parameters, in inference mode, whose block outputs are
--- what the student imitates (sak-method.md section 2.2).

local core = require "sak.core"
local host = require "sak.host"
local names = require "sak.names"
local nn = require "sak.nn"
local schema = require "sak.schema"
local encoder = require "sak.models.encoder"
local weights = require "sak.weights"

local teacher = {}

---@class Teacher
---@field name string
---@field spec table  the encoder
---@field widths integer[]  channels of each level
---@field params userdata
---@field source string  file of its weights, or "random"
---@field identity string  what its features depend on: hash of the file
---@field loaded_as? string  whose names its file has, and how many tensors

--- The encoder's shape from a file: widths and depths of its tensors, whatever they are called.
local function spec_from_file(file, path, t)
  local theirs = file:shapes()
  local shapes = names.shapes(names.map(theirs, path, t.names), theirs)
  local proj, depth = shapes["patch_embed.proj.weight"], 0
  while shapes[("blocks.%d.norm1.weight"):format(depth)] do depth = depth + 1 end
  local width, fc1 = proj[1], shapes["blocks.0.mlp.fc1.weight"]
  local gated = shapes["blocks.0.mlp.w12.weight"] ~= nil
  return { kind = "vit", act = gated and "swiglu" or nil, width = width, depth = depth, patch = proj[3],
    mlp_ratio = fc1 and fc1[1] / width or gated and 4 or nil, qkv_bias = shapes["blocks.0.attn.qkv.bias"] ~= nil,
    class_token = shapes.cls_token ~= nil, registers = shapes.reg_token and shapes.reg_token[2] or 0,
    layer_scale = shapes["blocks.0.ls1.gamma"] ~= nil, pre_norm = shapes["norm_pre.weight"] ~= nil,
    patch_bias = shapes["patch_embed.proj.bias"] ~= nil }
end

--- Random teachers of one shape differ: their seed is their name.
local function seed_of(name) return tonumber(host.sha256(name):sub(1, 12), 16) end

--- Computed when it is first asked for: hashing a gigabyte takes longer than mapping it.
local lazy = {}
function lazy.__index(t, key)
  if key ~= "identity" then return nil end
  t.identity = t.source == "random" and "random" or weights.identity(t.source)
  return t.identity
end

local function default_of(field) return field and field.default end

local function fields_of(kind)
  local known = schema.families.teacher.kinds[kind]
  return known and known.by_name or {}
end

--- The encoder as a file that sak wrote describes it. What a script says must agree; a value that
--- is only the schema's default says nothing.
local function merge_stored(name, spec, stored, path)
  local fields = fields_of(spec.kind)
  for k, v in pairs(stored) do
    local own, field = spec[k], fields[k]
    local scalar = type(own) ~= "table" and type(v) ~= "table" and type(own) ~= "nil"
    if (k == "kind" or field and field.shape) and scalar and own ~= v and own ~= default_of(field) then
      error(("teacher '%s': %s = %s, but %s was trained with %s = %s"):format(name, k, tostring(own),
        path, k, tostring(v)), 0)
    end
    -- which levels to imitate is the experiment's choice
    if k ~= "out_indices" or own == nil then spec[k] = v end
  end
end

--- Completes a teacher's specification from its file and checks that both agree.
---@param t table  the resolved teacher
---@param path string
---@return Teacher
function teacher.open(t, path)
  local spec = {}
  for k, v in pairs(t) do spec[k] = v end
  if path ~= "random" then
    local file <close> = core.weights(path)
    local stored = file:meta "encoder"
    if stored then
      merge_stored(t.name, spec, host.decode(stored), path)
    elseif spec.kind == "vit" then
      local fields = fields_of(spec.kind) -- a value that is only the schema's default says nothing
      for k, v in pairs(spec_from_file(file, path, t)) do
        if spec[k] == nil or fields[k] and spec[k] == fields[k].default then spec[k] = v end
      end
    end
  end
  if spec.pad and spec.pad ~= "none" and not spec.size then
    error(("teacher '%s': pad = \"%s\" needs size, what the image is padded to"):format(t.name, spec.pad), 0)
  end
  spec.act, spec.ln_eps = spec.act or "gelu", spec.ln_eps or (spec.kind == "vit" and 1e-6 or 1e-5)
  if spec.kind ~= "swin" then
    spec.heads = spec.heads or spec.width // 64
    spec.out_indices = spec.out_indices or require("sak.archs").levels(spec.depth)
  end
  return setmetatable({ name = t.name, spec = spec, widths = encoder.widths(spec), source = path,
    params = core.params(seed_of(t.name)), weight = t.weight, names = t.names, mean = t.mean, std = t.std }, lazy)
end

--- The image as this teacher wants it: its own normalisation and size.
local function prepare(scope, image, t, later)
  local m, s = t.mean, t.std
  local im, is = { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }
  local same = true
  for k = 1, 3 do same = same and m[k] == im[k] and s[k] == is[k] end
  if not same then
    local gain, bias = {}, {}
    for k = 1, 3 do gain[k], bias[k] = is[k] / s[k], (im[k] - m[k]) / s[k] end
    local g_name, b_name = "teacher/" .. t.name .. "/gain", "teacher/" .. t.name .. "/bias"
    image = image * scope:input(g_name, { 3 }) + scope:input(b_name, { 3 })
    later(function(graph) graph:set(g_name, gain) graph:set(b_name, bias) end)
  end
  local size = t.spec.size
  if size and (t.spec.pad or "none") ~= "none" then return nn.resize_and_pad(image, math.max(size[1], size[2])) end
  if size then image = image:resize { size = size, mode = "bicubic" } end
  return image
end

--- Adds the frozen teacher to a graph; its weights are loaded the first time.
---@param graph userdata
---@param image userdata (B, H, W, 3), ImageNet-normalised
---@param later fun(f: fun(graph: userdata))  registers what must be set once the graph has memory
---@return userdata[] maps  per level (B, h, w, C_t)
function teacher.features(graph, image, t, later, inputs)
  local padded = prepare(nn.scope(graph, t.params, { inputs = inputs }), image, t, later)
  local size = padded.shape[2] .. "x" .. padded.shape[3]
  if t.built_for and t.built_for ~= size then -- another stage's size: position tables of its own
    t.params, t.loaded = core.params(seed_of(t.name)), false
  end
  t.built_for = size
  local scope = nn.scope(graph, t.params, { inputs = inputs })
  local levels, grids = encoder.features(scope, padded, t.spec)
  if not t.loaded then
    for _, p in ipairs(t.params:list()) do t.params:trainable(p.name, false) end
    if t.source ~= "random" then
      local file <close> = core.weights(t.source)
      local s = padded.shape
      t.loaded_as = weights.load_encoder(t.params, file, t.spec, { where = t.source, image = { s[2], s[3] }, names = t.names,
        pos_mode = encoder.resample(t.spec), source_grid = t.spec.grid })
    end
    t.loaded = true
  end
  for k, x in ipairs(levels) do levels[k] = nn.to_map(x, grids[k][1], grids[k][2]) end
  return t.spec.pad == "crop" and encoder.crop(levels, t.spec, image.shape, padded.shape) or levels
end

return teacher
