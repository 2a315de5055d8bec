--- Frozen teachers: an encoder with its own parameters, in inference mode, whose block outputs are
--- what the student imitates (sak-method.md section 2.2).

local archs = require "sak.archs"
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
---@field stamp? string  its files as they were when they were hashed
---@field taken_as? string  the encoder that its file was found to hold, where no architecture was named
---@field key? string  entry of a nested checkpoint
---@field image? integer[]  {H, W} of what it is built for
---@field loaded_as? string  whose names its file has, and how many tensors

local function default_of(field) return field and field.default end

local function fields_of(kind)
  local known = schema.families.teacher.kinds[kind]
  return known and known.by_name or {}
end

--- Of CLIP's layer norms, whose encoder alone begins with one.
local CLIP_EPS = 1e-5

--- The encoder's shape from a file: widths and depths of its tensors, whatever they are called.
local function spec_from_file(file, path, t)
  local theirs = file:shapes()
  local shapes = names.shapes(names.map(theirs, path, t.names), theirs)
  local proj, depth = shapes["patch_embed.proj.weight"] or {}, 0
  while shapes[("blocks.%d.norm1.weight"):format(depth)] do depth = depth + 1 end
  local width, fc1, extra = proj[1], shapes["blocks.0.mlp.fc1.weight"], shapes.reg_token
  if not width or width < 1 then error(path .. ": its patch embedding has no width", 0) end
  local gated = shapes["blocks.0.mlp.w12.weight"] ~= nil
  return { kind = "vit", act = gated and "swiglu" or nil, width = width, depth = depth, patch = proj[3],
    mlp_ratio = fc1 and fc1[1] and fc1[1] / width or gated and 4 or nil,
    qkv_bias = shapes["blocks.0.attn.qkv.bias"] ~= nil, class_token = shapes.cls_token ~= nil,
    registers = extra and (#extra == 3 and extra[2] or extra[1]) or 0,
    layer_scale = shapes["blocks.0.ls1.gamma"] ~= nil, pre_norm = shapes["norm_pre.weight"] ~= nil,
    patch_bias = shapes["patch_embed.proj.bias"] ~= nil }
end

--- Published architectures whose shape is the file's.
local function archs_like(found)
  local like = {}
  for _, name in ipairs(archs.names()) do
    local arch, fits = archs.table[name], true
    for k, v in pairs(found) do
      local own = arch[k]
      if own == nil then own = default_of(fields_of(arch.kind)[k]) end
      fits = fits and (own == v or k == "mlp_ratio" and arch.act == "swiglu")
    end
    if fits then like[#like + 1] = name end
  end
  return #like > 0 and "; arch = \"" .. table.concat(like, "\" or \"") .. "\" is like the file" or ""
end

--- A named architecture is what the experiment says it is: a file that differs is an error.
local function check_arch(t, spec, found, path)
  local wrong = {}
  for k, v in pairs(found) do
    if spec[k] ~= nil and spec[k] ~= v and k ~= "mlp_ratio" or k == "mlp_ratio" and math.abs(spec[k] - v) > 1e-6 then
      wrong[#wrong + 1] = ("%s = %s, the file has %s"):format(k, tostring(spec[k]), tostring(v))
    end
  end
  if spec.act == "swiglu" and found.act ~= "swiglu" then wrong[#wrong + 1] = "act = swiglu, the file's MLP has no gate" end
  table.sort(wrong)
  if #wrong > 0 then
    error(("teacher '%s': %s is not a %s: %s%s"):format(t.name, path, t.arch, table.concat(wrong, "; "), archs_like(found)), 0)
  end
end

--- Without a named architecture the file's shape stands in for values that are only the schema's
--- defaults. Returns what that made of the teacher.
local function take_shape(spec, found)
  local fields, said = fields_of(spec.kind), {}
  for k, v in pairs(found) do
    if spec[k] == nil or fields[k] and spec[k] == fields[k].default then spec[k] = v end
  end
  if spec.pre_norm and spec.ln_eps == default_of(fields.ln_eps) then spec.ln_eps = CLIP_EPS end
  for _, k in ipairs { "width", "depth", "heads", "patch", "mlp_ratio", "act", "ln_eps", "qkv_bias", "class_token", "registers",
    "layer_scale", "pre_norm", "patch_bias" } do
    if spec[k] ~= nil and spec[k] ~= default_of(fields[k]) then said[#said + 1] = ("%s = %s"):format(k, tostring(spec[k])) end
  end
  return "taken as a vit of " .. table.concat(said, ", ")
end

--- Random teachers of one shape differ: their seed is their name.
local function seed_of(name) return tonumber(host.sha256(name):sub(1, 12), 16) end

--- What shows that a file of weights may be another one by now.
local function stamp(file)
  local list = file:files()
  for i, name in ipairs(list) do
    local info = core.file_info(name) or {}
    list[i] = ("%s %s %s %s"):format(name, info.bytes, info.used, info.inode)
  end
  return table.concat(list, "\n")
end

--- Computed when it is first asked for: hashing a gigabyte takes longer than mapping it.
local lazy = {}
function lazy.__index(t, key)
  if key ~= "identity" then return nil end
  if t.source ~= "random" then
    local file <close> = core.weights(t.source, { key = t.key })
    t.stamp = stamp(file)
  end
  t.identity = t.source == "random" and "random" or weights.identity(t.source, t.key)
  return t.identity
end

--- A file may be replaced at any time, but what is computed from the new one must not pass for what
--- the old one gives: in the cache, in the run's record.
local function check_unchanged(t, file)
  if not t.stamp or stamp(file) == t.stamp then return end
  local now = weights.identity(t.source, t.key)
  if now ~= t.identity then
    error(("teacher '%s': %s was replaced while it was in use (SHA-256 %s, now %s); put the old file back, or begin another run")
      :format(t.name, t.source, t.identity:sub(1, 12), now:sub(1, 12)), 0)
  end
end

--- The encoder as a file that sak wrote describes it. What a script says must agree; a value that
--- is only the schema's default says nothing.
local function merge_stored(name, spec, stored, path)
  local fields = fields_of(spec.kind)
  for k, v in pairs(stored) do
    local own, field = spec[k], fields[k]
    local scalar = type(own) ~= "table" and type(v) ~= "table" and type(own) ~= "nil"
    local said = spec.arch or own ~= default_of(field)
    if (k == "kind" or field and field.shape) and scalar and own ~= v and said then
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
  local spec, taken_as = {}, nil
  for k, v in pairs(t) do spec[k] = v end
  if path ~= "random" then
    local file <close> = core.weights(path, { key = t.key })
    local stored = file:meta "encoder"
    if stored then
      merge_stored(t.name, spec, host.decode(stored), path)
    elseif spec.kind == "vit" then
      local found = spec_from_file(file, path, t)
      if t.arch then check_arch(t, spec, found, path) else taken_as = take_shape(spec, found) end
    end
  end
  if spec.pad and spec.pad ~= "none" and not spec.size then
    error(("teacher '%s': pad = \"%s\" needs size, what the image is padded to"):format(t.name, spec.pad), 0)
  end
  spec.act, spec.ln_eps = spec.act or "gelu", spec.ln_eps or (spec.kind == "vit" and 1e-6 or 1e-5)
  if spec.kind ~= "swin" then
    spec.out_indices = spec.out_indices or archs.levels(spec.depth)
  end
  return setmetatable({ name = t.name, spec = spec, widths = encoder.widths(spec), source = path,
    params = core.params(seed_of(t.name)), weight = t.weight, names = t.names, key = t.key, taken_as = taken_as, mean = t.mean, std = t.std }, lazy)
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

--- Gives a teacher that is in a graph its weights, or only holds its file against it.
local function load(t, only_check)
  for _, p in ipairs(t.params:list()) do t.params:trainable(p.name, false) end
  if t.source == "random" then return end
  local file <close> = core.weights(t.source, { key = t.key })
  check_unchanged(t, file)
  local o = { where = t.source, image = t.image, names = t.names, pos_mode = encoder.resample(t.spec),
    source_grid = t.spec.grid }
  local fit, description = weights.fit_encoder(t.params, file, t.spec, o)
  if not only_check then weights.load(fit, t.params, file) end
  t.loaded_as = t.taken_as and description .. "; " .. t.taken_as or description
end

--- Loads the weights of a teacher that is in a graph.
function teacher.load(t)
  if not t.loaded then load(t) end
  t.loaded = true
end

--- Raises if its file does not hold them.
function teacher.check(t)
  if not t.loaded_as then load(t, true) end
end

--- Adds the frozen teacher to a graph, without its weights.
---@param graph userdata
---@param image userdata (B, H, W, 3), ImageNet-normalised
---@param later fun(f: fun(graph: userdata))  registers what must be set once the graph has memory
---@return userdata[] maps  per level (B, h, w, C_t)
function teacher.build(graph, image, t, later, inputs)
  local padded = prepare(nn.scope(graph, t.params, { inputs = inputs }), image, t, later)
  local size = padded.shape[2] .. "x" .. padded.shape[3]
  if t.built_for and t.built_for ~= size then -- another stage's size: position tables of its own
    t.params, t.loaded = core.params(seed_of(t.name)), false
  end
  t.built_for = size
  t.image = { padded.shape[2], padded.shape[3] }
  local scope = nn.scope(graph, t.params, { inputs = inputs })
  local levels, grids = encoder.features(scope, padded, t.spec)
  for k, x in ipairs(levels) do levels[k] = nn.to_map(x, grids[k][1], grids[k][2]) end
  return t.spec.pad == "crop" and encoder.crop(levels, t.spec, image.shape, padded.shape) or levels
end

--- Likewise, with its weights, which are loaded the first time.
function teacher.features(graph, image, t, later, inputs)
  local maps = teacher.build(graph, image, t, later, inputs)
  teacher.load(t)
  return maps
end

return teacher
