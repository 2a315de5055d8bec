-- Teachers: identity and seeds, what a file says against what a script says, encoders' variants.
local core = require "sak.core"
local host = require "sak.host"
local nn = require "sak.nn"
local teacher = require "sak.models.teacher"
local vit = require "sak.models.vit"
local encoder = require "sak.models.encoder"

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "accepted; wanted: " .. words)
  assert(message:find(words, 1, true), message .. "; wanted: " .. words)
end

local function names(params)
  local set = {}
  for _, p in ipairs(params:list()) do set[p.name] = p.shape end
  return set
end

local function spec(more)
  local t = { name = "t", kind = "vit", width = 16, depth = 4, heads = 2, patch = 8, mlp_ratio = 2, class_token = true,
    registers = 0, mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 }, pad = "none", weight = 1 }
  for k, v in pairs(more or {}) do t[k] = v end
  return t
end

-- two random teachers of one shape differ, one name gives the same values again
local function values(name)
  local t = teacher.open(spec { name = name }, "random")
  local g = core.graph {}
  teacher.features(g, g:input("image", { 1, 16, 24, 3 }), t, function() end, {})
  t.params:seal()
  return table.concat(t.params:get "blocks.0.attn.qkv.weight", " ")
end
assert(values "a" == values "a" and values "a" ~= values "b")

-- a file that sak wrote
local path = os.tmpname()
local function write(encoder)
  local t = teacher.open(spec(encoder), "random")
  local g = core.graph {}
  teacher.features(g, g:input("image", { 1, 16, 24, 3 }), t, function() end, {})
  t.params:seal()
  t.params:save(path, { encoder = host.encode { kind = "vit", width = 16, depth = 4, heads = encoder.heads or 2,
    patch = 8, mlp_ratio = 2, class_token = true, registers = encoder.registers or 0, name = "vit_tiny" } })
end
write { registers = 3 }
local t = teacher.open(spec(), path)
assert(t.spec.registers == 3 and t.name == "t", "a default of the schema must give way to the file")
assert(t.identity == host.sha256(host.read(path)) and t.identity == host.sha256_file(path))
refuses("teacher 't': width = 32, but " .. path .. " was trained with width = 16", teacher.open, spec { width = 32 }, path)
refuses("registers = 5", teacher.open, spec { registers = 5 }, path)
refuses("kind = sam", teacher.open, spec { kind = "sam" }, path)
assert(teacher.open(spec { out_indices = { 0, 1, 2, 3 } }, path).spec.out_indices[4] == 3)
refuses("pad = \"crop\" needs size", teacher.open, spec { pad = "crop" }, path)
assert(teacher.open(spec { pad = "crop", size = { 32, 32 } }, path).spec.size)
os.remove(path)
refuses(path, teacher.open, spec(), path)
local nothing, message = host.sha256_file(path)
assert(nothing == nil and message:find(path, 1, true))

-- a file of no stored encoder: with `arch` it must be that architecture, without it decides
local archs = require "sak.archs"
local function write_shape(shape)
  local full = spec { width = 192, heads = 3, depth = 12, patch = 16, mlp_ratio = 4, out_indices = { 11 }, act = "gelu",
    ln_eps = 1e-6 }
  for k, v in pairs(shape) do full[k] = v end
  local params, g = core.params(1), core.graph {}
  encoder.features(nn.scope(g, params), g:input("image", { 1, 32, 32, 3 }), full)
  params:seal()
  params:save(path, {})
end
local function resolved(name, more) -- as the schema fills a teacher
  local t = { qkv_bias = true, ln_eps = 1e-6, act = "gelu", layer_scale = false, pre_norm = false, patch_bias = true,
    class_token = true, registers = 0, cpe = false, mlp_ratio = 4 }
  for k, v in pairs(name and archs.table[name] or { width = 192, heads = 3, depth = 12, patch = 16 }) do t[k] = v end
  t.arch = name
  for k, v in pairs(more or {}) do t[k] = v end
  return spec(t)
end
local function check_arch(shape, name, words)
  write_shape(shape)
  if words then return refuses(words, teacher.open, resolved(name), path) end
  return teacher.open(resolved(name), path)
end
check_arch({}, "vit_tiny")
check_arch({ pre_norm = true, patch_bias = false }, "vit_tiny",
  path .. " is not a vit_tiny: patch_bias = true, the file has false; pre_norm = false, the file has true")
check_arch({ registers = 4 }, "vit_tiny", "registers = 0, the file has 4")
check_arch({ class_token = false }, "vit_tiny", "class_token = true, the file has false")
check_arch({ qkv_bias = false }, "vit_tiny", "qkv_bias = true, the file has false")
check_arch({ layer_scale = true }, "vit_tiny", "layer_scale = false, the file has true")
check_arch({ width = 384, heads = 6 }, "vit_tiny", 'arch = "theia_small" or "vit_small" is like the file')
local found = check_arch({ pre_norm = true, registers = 2 })
assert(found.spec.pre_norm and found.spec.registers == 2 and found.spec.ln_eps == 1e-5)
local graph = core.graph {}
teacher.features(graph, graph:input("image", { 1, 32, 32, 3 }), found, function() end, {})
assert(found.loaded_as:find("; taken as a vit of width = 192, depth = 12, heads = 3, patch = 16, ln_eps = 1e-05, registers = 2, "
  .. "pre_norm = true", 1, true), found.loaded_as)
os.remove(path)

-- registers come first where there is no class token
local g, params = core.graph {}, core.params(2)
local c = spec { class_token = false, registers = 2 }
c.ln_eps, c.act = 1e-6, "gelu"
local x = vit.embed(nn.scope(g, params), g:input("image", { 1, 16, 24, 3 }), c)
assert(tostring(x) == "tensor (1, 8, 16)", tostring(x))
assert(tostring(vit.patch_tokens(x, c)) == "tensor (1, 6, 16)")
g:output("x", x)
g:plan()
g:allocate()
g:set("image", 0)
g:forward(0)
local out, tokens = g:value "x", params:get "reg_token"
for i = 1, 32 do assert(out[i] == tokens[i], "register " .. i) end

-- SAM: qkv_bias is honoured, and layer norms have 1e-5 when nothing is said
local function sam_names(more)
  local graph, p = core.graph {}, core.params(2)
  local s = { kind = "sam", width = 16, depth = 4, heads = 2, patch = 8, mlp_ratio = 2, window = 2, global = { 3 }, out_indices = { 3 } }
  for k, v in pairs(more) do s[k] = v end
  encoder.features(nn.scope(graph, p), graph:input("image", { 1, 32, 32, 3 }), s)
  return names(p)
end
assert(sam_names({})["blocks.0.attn.qkv.bias"] and not sam_names({ qkv_bias = false })["blocks.0.attn.qkv.bias"])
local s = spec { kind = "sam", window = 2, global = { 3 } }
assert(teacher.open(s, "random").spec.ln_eps == 1e-5 and teacher.open(spec(), "random").spec.ln_eps == 1e-6)

-- cached features depend on which encoder of a file it is, not on what the teacher is called or worth
local features = require "sak.features"
local function depends(more)
  return host.encode(features.depends_on { name = "t", identity = "of the whole file", source = "file.pth", spec = spec(more) })
end
assert(depends { name = "u", weight = 2, weights = "copy.pth" } == depends())
for k, v in pairs { key = "ema", names = "timm", width = 32, std = { 1, 1, 1 } } do
  assert(depends { [k] = v } ~= depends(), k .. " makes no other features")
end

-- a file that another took the place of, once its hash stood for the teacher, is not loaded
write { registers = 3 }
local old = teacher.open(spec(), path)
local known = old.identity
write { registers = 3, heads = 4 }
local function load_it()
  local graph = core.graph {}
  teacher.features(graph, graph:input("image", { 1, 16, 24, 3 }), old, function() end, {})
end
refuses("teacher 't': " .. path .. " was replaced while it was in use (SHA-256 " .. known:sub(1, 12), load_it)
write { registers = 3 }
assert(host.sha256_file(path) == known)
load_it() -- the same bytes under another time
os.remove(path)
