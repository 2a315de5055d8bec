--- What a dump's config.json may say: every key, its type and its default. A key that is not here
--- would change the reference without changing the engine, so that it is an error.

local host = require "sak.host"
local spec = require "sak.spec"

local config = {}

local function whole(v) return math.type(v) == "integer" or (math.type(v) == "float" and v == math.floor(v)) end

--- Each returns what is wrong with v, or nil.
local is = {}
function is.text(v) return type(v) ~= "string" and "a text" end
function is.number(v) return type(v) ~= "number" and "a number" end
function is.bool(v) return type(v) ~= "boolean" and "true or false" end
function is.count(v) return not (whole(v) and v >= 1) and "a whole number of at least 1" end
function is.index(v) return not (whole(v) and v >= 0) and "a whole number of at least 0" end
local function list_of(item, n)
  return function(v)
    local words = ("a list of %s%s"):format(n and n .. " " or "", "whole numbers")
    if type(v) ~= "table" or n and #v ~= n then return words end
    for _, x in ipairs(v) do
      if item(x) then return words end
    end
  end
end
is.size, is.indices, is.grid = list_of(is.count, 2), list_of(is.index), list_of(is.count, 2)
function is.numbers(v)
  if type(v) ~= "table" then return "a list of numbers" end
  for _, x in ipairs(v) do
    if type(x) ~= "number" then return "a list of numbers" end
  end
end
function is.texts(v)
  if type(v) ~= "table" then return "a list of texts" end
  for _, x in ipairs(v) do
    if type(x) ~= "string" then return "a list of texts" end
  end
end
function is.any() end
local function one_of(...)
  local words = { ... }
  return function(v)
    for _, w in ipairs(words) do
      if v == w then return end
    end
    return "one of " .. table.concat(words, ", ")
  end
end

--- Each key: { test, default }; no default: may be left out, and means "not there".
local REQUIRED = {}
local function count_or_counts(v)
  return is.count(v) and list_of(is.count, 4)(v) and "a whole number, or one for each of four stages"
end
local encoder = {
  kind = { one_of("vit", "sam", "swin"), REQUIRED }, img_size = { is.size }, patch_size = { is.count, 16 },
  embed_dim = { is.count, 768 }, depth = { is.count, 12 },
  num_heads = { count_or_counts, 12 }, depths = { list_of(is.count, 4), { 2, 2, 6, 2 } },
  mlp_ratio = { is.number, 4 }, ln_eps = { is.number }, qkv_bias = { is.bool, true }, layer_scale = { is.number },
  pre_norm = { is.bool, false }, patch_bias = { is.bool }, act = { one_of("gelu", "quick_gelu", "gelu_tanh", "swiglu"), "gelu" },
  class_token = { is.bool, true }, registers = { is.index, 0 }, window_size = { is.index, 14 },
  global_attn_indexes = { is.indices, { 2, 5, 8, 11 } }, resize_to = { is.count }, crop = { is.bool },
  cpe = { is.bool }, grid = { is.grid },
}
-- said by no encoder of that kind
local foreign = {
  vit = { window_size = true, global_attn_indexes = true, resize_to = true, crop = true, depths = true },
  sam = { layer_scale = true, pre_norm = true, patch_bias = true, class_token = true, registers = true, act = true,
    cpe = true, grid = true, depths = true },
  swin = { layer_scale = true, pre_norm = true, patch_bias = true, class_token = true, registers = true, act = true,
    cpe = true, grid = true, depth = true, global_attn_indexes = true, resize_to = true, crop = true, qkv_bias = true },
}
local teacher = { name = { is.text, REQUIRED }, dim = { is.count, REQUIRED }, grid = { is.grid } }
local optimizer = { kind = { one_of("adamw", "adam", "sgd"), REQUIRED }, weight_decay = { is.number, 0 },
  lr = { is.numbers, REQUIRED }, betas = { is.numbers, { 0.9, 0.999 } }, eps = { is.number, 1e-8 },
  momentum = { is.number, 0.9 } }
local TASKS = { nyud = { semseg = 40, normals = 3, edge = 1, depth = 1 },
  pascalcontext = { semseg = 21, human_parts = 7, normals = 3, edge = 1, sal = 2 } }
local about = { name = { is.text }, format = { one_of("sak-fixture-1") }, seed = { is.any }, comment = { is.any } }
local student = { batch = { is.count }, img_size = { is.size, REQUIRED }, stem = { is.any, REQUIRED },
  out_indices = { is.indices, REQUIRED }, teachers = { is.any, REQUIRED }, down_ratio = { is.count, 4 },
  aligner = { is.bool, false }, loss_type = { one_of("cos+l1", "cos", "l2"), REQUIRED }, optimizer = { is.any },
  grad_clip = { is.number, 0 }, dataset = { one_of("nyud", "pascalcontext") }, tasks = { is.texts },
  router = { one_of("mor", "none", "sum"), "mor" }, noisy_gating = { is.bool, false }, alpha = { is.number, 1 },
  freeze_vit = { is.bool, false }, freeze_backbone = { is.bool, false }, freeze = { is.bool, false } }
local forward = { batch = { is.count }, image = { is.size }, out_indices = { is.indices, REQUIRED },
  encoder = { is.any, REQUIRED }, pos_source_grid = { is.grid },
  pos_resample = { one_of("bicubic_antialias", "bicubic") } }

--- t with defaults, or an error with place and remedy. JSON's null counts as left out.
local function checked(where, t, rows, more)
  if type(t) ~= "table" then error(where .. " must be an object", 0) end
  local out, names = {}, {}
  local function row_of(key) return rows[key] or more and more[key] end
  for _, set in ipairs { rows, more or {} } do
    for key, row in pairs(set) do
      names[#names + 1] = key
      if row[2] ~= REQUIRED then out[key] = row[2] end
    end
  end
  table.sort(names)
  for key, v in pairs(t) do
    local row = row_of(key)
    if not row then
      local near = spec.nearest(tostring(key), names)
      error(("%s: unknown key '%s'%s; this sak knows %s"):format(where, tostring(key),
        near and (", did you mean '%s'?"):format(near) or "", table.concat(names, ", ")), 0)
    end
    if v ~= host.null then
      local wrong = row[1](v)
      if wrong then error(("%s: %s must be %s, got %s"):format(where, key, wrong, host.encode(v)), 0) end
      out[key] = v
    end
  end
  for _, key in ipairs(names) do
    if row_of(key)[2] == REQUIRED and out[key] == nil then error(("%s: %s is missing"):format(where, key), 0) end
  end
  return out
end

--- Output blocks in the order in which the model passes them, each once.
local function levels(where, indices, depth)
  local seen, out = {}, {}
  for _, i in ipairs(indices) do
    if i >= depth then error(("%s: out_indices has %d, but the blocks are 0 to %d"):format(where, i, depth - 1), 0) end
    if not seen[i] then out[#out + 1] = math.tointeger(i) end
    seen[i] = true
  end
  table.sort(out)
  if #out == 0 then error(where .. ": out_indices names no block", 0) end
  return out
end

--- The encoder as lua/sak/models takes it.
local function encoder_spec(where, e, out_indices)
  if type(e) == "table" then
    for key in pairs(foreign[e.kind] or {}) do
      if e[key] ~= nil and e[key] ~= host.null and e[key] ~= false then
        error(("%s: %s means nothing to an encoder of kind %s"):format(where, key, e.kind), 0)
      end
    end
  end
  local c = checked(where, e, encoder)
  local sam, swin = c.kind == "sam", c.kind == "swin"
  local scale = c.layer_scale and c.layer_scale ~= 0
  if swin ~= (type(c.num_heads) == "table") then
    error(("%s: num_heads must be %s for an encoder of kind %s"):format(where,
      swin and "a list, one for each stage," or "one number", c.kind), 0)
  elseif swin then
    return { kind = "swin", img_size = c.img_size, width = c.embed_dim, depths = c.depths, heads = c.num_heads,
      patch = c.patch_size, mlp_ratio = c.mlp_ratio, ln_eps = c.ln_eps or 1e-5, window = c.window_size,
      out_indices = levels(where, out_indices, 4) }
  elseif c.cpe and not c.grid then
    error(where .. ": cpe crops positions out of a table: it needs grid", 0)
  elseif c.crop and not c.resize_to then
    error(where .. ": crop cuts away the padding of resize_to, which is missing", 0)
  end
  if c.embed_dim % c.num_heads ~= 0 then
    error(("%s: embed_dim %d cannot be split over %d heads"):format(where, c.embed_dim, c.num_heads), 0)
  end
  local patch_bias = c.patch_bias
  if patch_bias == nil then patch_bias = not c.pre_norm end
  return { kind = c.kind, img_size = c.img_size, width = c.embed_dim, depth = c.depth, heads = c.num_heads,
    patch = c.patch_size, mlp_ratio = c.mlp_ratio, ln_eps = c.ln_eps or (sam and 1e-5 or 1e-6),
    qkv_bias = c.qkv_bias, act = c.act, class_token = c.class_token and not sam, layer_scale = scale or nil,
    pre_norm = c.pre_norm, patch_bias = patch_bias, registers = c.registers,
    out_indices = levels(where, out_indices, c.depth), window = c.window_size, global = c.global_attn_indexes,
    resize_to = c.resize_to, crop = c.crop, cpe = c.cpe, grid = c.grid }
end

--- A dump of a frozen encoder.
---@return table  { encoder = VitSpec, image, pos_source_grid }
function config.encoder(path, cfg)
  local c = checked(path, cfg, forward, about)
  local e = encoder_spec(path .. ": encoder", c.encoder, c.out_indices)
  return { encoder = e, image = c.image, pos_source_grid = c.pos_source_grid,
    pos_resample = c.pos_resample }
end

local function check_tasks(path, c)
  if not c.tasks or #c.tasks == 0 then
    c.tasks = nil
    return {}
  end
  if not c.dataset then error(path .. ": tasks need a dataset (nyud, pascalcontext)", 0) end
  local channels = {}
  for _, task in ipairs(c.tasks) do
    channels[task] = TASKS[c.dataset][task]
    if not channels[task] then error(("%s: %s has no task '%s'"):format(path, c.dataset, task), 0) end
  end
  if #c.stem.out_indices ~= 4 then
    error(("%s: heads take four levels, out_indices has %d"):format(path, #c.stem.out_indices), 0)
  end
  return channels
end

--- A dump of a student: the checked configuration and the specification of its model.
---@return table cfg, table spec
function config.student(path, cfg)
  local c = checked(path, cfg, student, about)
  c.stem = encoder_spec(path .. ": stem", c.stem, c.out_indices)
  if c.stem.kind == "swin" then error(path .. ": adapters need a stem of one width, a vit or sam", 0) end
  if c.optimizer then c.optimizer = checked(path .. ": optimizer", c.optimizer, optimizer) end
  local teachers = {}
  for i, t in ipairs(c.teachers) do
    local row = checked(("%s: teachers[%d]"):format(path, i), t, teacher)
    local widths = {}
    for level in ipairs(c.stem.out_indices) do widths[level] = row.dim end
    teachers[i] = { name = row.name, widths = widths }
    if not c.aligner and row.dim ~= c.stem.width then
      error(("%s: teacher '%s' is %d wide and the stem %d: that needs aligner = true"):format(path, row.name, row.dim,
        c.stem.width), 0)
    end
  end
  c.teachers = teachers
  local channels = check_tasks(path, c)
  return c, { stem = c.stem, teachers = teachers, adapter = { kind = "bottleneck", down_ratio = c.down_ratio },
    aligner = c.aligner, router = { kind = c.router == "mor" and "mor" or "sum", noisy = c.noisy_gating },
    tasks = c.tasks, head = { kind = "fusion" }, channels = channels, training = true }
end

return config
