-- Published tensor names: every tensor of every source lands where it belongs, and what is missing,
-- left over or misshapen is named.
local core = require "sak.core"
local host = require "sak.host"
local nn = require "sak.nn"
local encoders = require "sak.models.encoder"
local weights = require "sak.weights"
local published = dofile "tests/bind/published.lua"

local path = os.tmpname()

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "accepted; wanted: " .. words)
  assert(message:find(words, 1, true), message .. "; wanted: " .. words)
end

--- A file with these tensors, the i-th filled with i.
local function write(rows)
  local params, graph = core.params(0), core.graph {}
  for i, r in ipairs(rows) do graph:param(params, r[1], r[2], { "constant", i }) end
  params:seal()
  params:save(path)
end

local function encoder(more)
  local c = { kind = "vit", width = 8, depth = 2, heads = 2, patch = 4, mlp_ratio = 4, ln_eps = 1e-6, act = "gelu",
    class_token = true, registers = 0, window = 2, global = { 0, 1 }, out_indices = { 0, 1 } }
  for k, v in pairs(more) do c[k] = v end
  local params, graph = core.params(7), core.graph {}
  encoders.features(nn.scope(graph, params), graph:input("image", { 1, 8, 8, 3 }), c)
  params:seal()
  return params, c
end

local function load(params, c, more)
  local o = { where = "x.safetensors", image = { 8, 8 } }
  for k, v in pairs(more or {}) do o[k] = v end
  local file <close> = core.weights(path)
  return weights.load_encoder(params, file, c, o)
end

local function rows_of(case) return table.move(case.more or {}, 1, #(case.more or {}), #case.rows + 1, { table.unpack(case.rows) }) end

local function copy_with(rows, f)
  local out = {}
  for i, r in ipairs(rows) do
    local new = f(i, r)
    if new then out[#out + 1] = new end
  end
  return out
end

for _, case in ipairs(published) do
  local rows = rows_of(case)
  local function say(text) return case.name .. ": " .. text end
  write(rows)
  local params, c = encoder(case.spec)
  local said = load(params, c)
  assert(said:find(case.title .. " names, ", 1, true) == 1, say(said))

  -- every element of every parameter has the value of its tensor
  local want, taken = {}, 0
  for i, r in ipairs(rows) do
    if r[3] then
      want[r[3]] = want[r[3]] or {}
      want[r[3]][r[4] or 1], taken = i, taken + 1
    end
  end
  assert(said:find((", %d tensors"):format(taken), 1, true), say(said))
  for _, p in ipairs(params:list()) do
    local values, parts = params:get(p.name), want[p.name]
    assert(parts, say("nothing says where " .. p.name .. " comes from"))
    for k, v in ipairs(values) do
      local part = (k - 1) * #parts // #values + 1
      assert(v == parts[part], say(("%s[%d] is %g, wanted %g"):format(p.name, k, v, parts[part])))
    end
  end

  -- without one tensor, with one more, with one of another shape: refused by name, the model unchanged
  local before = params:hash()
  local victim = #rows
  for i, r in ipairs(rows) do if r[3] and r[1]:match "0.*weight$" then victim = i end end
  local name, shape = rows[victim][1], rows[victim][2]
  write(copy_with(rows, function(i, r) return i ~= victim and r end))
  refuses("missing in the file: " .. name:gsub("blocks%.0%.0", "blocks.0"):gsub("blocks%.1%.1", "blocks.1"), load, params, c)
  local more = copy_with(rows, function(_, r) return r end)
  more[#more + 1] = { "surprise.weight", { 2 } }
  write(more)
  refuses("in the file but not in the model: surprise.weight", load, params, c)
  write(copy_with(rows, function(i, r) return i == victim and { name, { shape[1] + 1, table.unpack(shape, 2) } } or r end))
  refuses("shapes differ: '" .. name .. "' is (" .. shape[1] + 1, load, params, c)
  assert(params:hash() == before, say "a refused file changed the model")
end

-- a layer that the model lacks is left over, not ignored
write(rows_of(published[1]))
local small, c = encoder { depth = 1, out_indices = { 0 } }
refuses("in the file but not in the model: blocks.1.attn.proj.bias", load, small, c)

-- the source can be said; what it needs must be there
write(published[1].rows)
local params
params, c = encoder {}
assert(load(params, c, { names = "timm" }):find "^timm")
refuses('names = "hf_clip" was given, but the file has no tensor', load, params, c, { names = "hf_clip" })
write { { "fc.weight", { 2, 2 } } }
refuses("no image encoder under names known here", load, params, c)

-- a position table without the class token's row (timm's DINOv2 with registers): that row is 0
local rows = copy_with(published[1].rows, function(_, r) return r[1] == "pos_embed" and { r[1], { 1, 4, 8 }, r[3] } or r end)
write(rows)
refuses("no square grid: give grid = { h, w }, the one it was trained on; or class_position = false", load, params, c)
c.class_position = false
assert(load(params, c):find("; the position table has no row for the class token, which gets none", 1, true))
c.class_position = nil
local table_ = params:get "pos_embed"
for k, v in ipairs(table_) do assert(v == (k <= 8 and 0 or 2), ("pos_embed[%d] = %g"):format(k, v)) end

-- a table of 4x6 and the class token's row is not one of 5x5 without it
local function with_positions(shape)
  return copy_with(published[1].rows, function(_, r) return r[1] == "pos_embed" and { r[1], shape, r[3] } or r end)
end
write(with_positions { 1, 25, 8 })
refuses("24 positions are no square grid: give grid", load, params, c)
refuses("24 positions are not the grid of 3 x 6 that was given", load, params, c, { source_grid = { 3, 6 } })
load(params, c, { source_grid = { 4, 6 } })
local rows_of_table = params:get "pos_embed"
for k = 1, 8 do assert(rows_of_table[k] == 2, "the class token's row is not the file's") end
c.class_position = false
load(params, c)
assert(params:get("pos_embed")[1] == 0, "with class_position = false it is 5x5")
c.class_position = nil
-- as many rows, of which grid?
local wide, wide_spec = encoder {}
do
  local graph = core.graph {}
  wide = core.params(7)
  encoders.features(nn.scope(graph, wide), graph:input("image", { 1, 4, 16, 3 }), wide_spec)
  wide:seal()
end
write(with_positions { 1, 5, 8 })
refuses("of a grid of 2 x 2 or of 1 x 4? Give grid", load, wide, wide_spec, { image = { 4, 16 } })
load(wide, wide_spec, { image = { 4, 16 }, source_grid = { 2, 2 } })
load(wide, wide_spec, { image = { 4, 16 }, source_grid = { 1, 4 } })

-- SAM's relative positions: global blocks' tables follow the image, windows' must be what they are
local function sam(global, window)
  local spec = { kind = "sam", class_token = false, window = window or 2, global = global, ln_eps = 1e-5, depth = 4,
    out_indices = { 3 } }
  local graph, p, model = core.graph {}, core.params(7), { width = 8, heads = 2, patch = 4, mlp_ratio = 4 }
  for k, v in pairs(spec) do model[k] = v end
  encoders.features(nn.scope(graph, p), graph:input("image", { 1, 16, 12, 3 }), model)
  p:seal()
  return p, model
end
local large, large_spec = sam({ 1, 3 })
large:save(path, {})
local function at_8(global, window)
  local p, model = sam(global, window)
  local graph = core.graph {}
  p = core.params(3)
  encoders.features(nn.scope(graph, p), graph:input("image", { 1, 12, 20, 3 }), model)
  p:seal()
  return load(p, model, { image = { 12, 20 } })
end
assert(load(large, large_spec, { image = { 16, 12 } }):find "tensors$")
assert(at_8({ 1, 3 }):find("; 4 tables of relative positions resampled", 1, true))
refuses("see `window` and `global`", at_8, { 1 })
refuses("see `window` and `global`", at_8, { 1, 3 }, 3)
refuses("another global block's has", at_8, { 0, 1, 3 })

-- a sharded file: both shards are loaded, and both are part of its identity
local dir = os.tmpname()
os.remove(dir)
core.mkdir(dir)
local entries, shards = {}, { {}, {} }
for i, r in ipairs(published[1].rows) do
  local shard = i % 2 + 1
  shards[shard][#shards[shard] + 1] = r
  entries[i] = ('"%s": "part%d.safetensors"'):format(r[1], shard)
end
local function write_shard(k, rows)
  write(rows)
  local text = host.read(path)
  local out = assert(io.open(("%s/part%d.safetensors"):format(dir, k), "wb"))
  out:write(text)
  out:close()
end
for k = 1, 2 do write_shard(k, shards[k]) end
local index = assert(io.open(dir .. "/model.safetensors.index.json", "w"))
index:write('{"weight_map": {', table.concat(entries, ", "), "}}")
index:close()
local sharded <close> = core.weights(dir)
weights.load_encoder(params, sharded, c, { where = dir, image = { 8, 8 } })
local one = weights.identity(dir)
write { { "other", { 2 } } }
assert(weights.identity(path) == host.sha256_file(path))
table.insert(shards[2], 1, table.remove(shards[2])) -- the same tensors with other values
write_shard(2, shards[2])
assert(weights.identity(dir) ~= one, "a changed shard has the same identity")
os.execute("rm -r " .. dir)

-- Swin: the reduction after a stage belongs to the stage it leads into; three sources, one set of parameters
local names = require "sak.names"
local function swin(rows, title)
  local shapes = { ["classifier.weight"] = { 10, 8 } }
  if title ~= "Hugging Face Swin" then shapes = { ["head.weight"] = { 10, 8 } } end
  for theirs in pairs(rows) do shapes[theirs] = { 8 } end
  local map = names.map(shapes, "x")
  assert(map.source.title == title and map.outside.classifier == 1 and #map.unknown == 0, map.source.title)
  for theirs, ours in pairs(rows) do
    if ours then
      local name, k = ours:match "^(%S+) ?(%d?)"
      local part = map.parts[name][k ~= "" and tonumber(k) or 1]
      assert(part.name == theirs and part.n == (k ~= "" and 3 or 1), theirs)
      local sought = names.theirs(map, name)
      assert(sought[tonumber(k) or 1] == theirs or theirs:find("downsample", 1, true), theirs)
    end
  end
end
swin({ ["swin.embeddings.patch_embeddings.projection.weight"] = "patch_embed.proj.weight",
  ["swin.embeddings.norm.bias"] = "patch_embed.norm.bias",
  ["swin.encoder.layers.0.blocks.0.layernorm_before.weight"] = "layers.0.blocks.0.norm1.weight",
  ["swin.encoder.layers.2.blocks.1.attention.self.query.weight"] = "layers.2.blocks.1.attn.qkv.weight 1",
  ["swin.encoder.layers.2.blocks.1.attention.self.key.weight"] = "layers.2.blocks.1.attn.qkv.weight 2",
  ["swin.encoder.layers.2.blocks.1.attention.self.value.weight"] = "layers.2.blocks.1.attn.qkv.weight 3",
  ["swin.encoder.layers.2.blocks.1.attention.self.relative_position_bias_table"] =
    "layers.2.blocks.1.attn.relative_position_bias_table",
  ["swin.encoder.layers.2.blocks.1.attention.self.relative_position_index"] = false,
  ["swin.encoder.layers.2.blocks.1.attention.output.dense.bias"] = "layers.2.blocks.1.attn.proj.bias",
  ["swin.encoder.layers.2.blocks.1.layernorm_after.bias"] = "layers.2.blocks.1.norm2.bias",
  ["swin.encoder.layers.2.blocks.1.intermediate.dense.bias"] = "layers.2.blocks.1.mlp.fc1.bias",
  ["swin.encoder.layers.2.blocks.1.output.dense.bias"] = "layers.2.blocks.1.mlp.fc2.bias",
  ["swin.encoder.layers.0.downsample.reduction.weight"] = "layers.1.downsample.reduction.weight",
  ["swin.encoder.layers.2.downsample.norm.bias"] = "layers.3.downsample.norm.bias",
  ["swin.layernorm.weight"] = false }, "Hugging Face Swin")
local function plain(first)
  return { ["patch_embed.proj.weight"] = "patch_embed.proj.weight", ["patch_embed.norm.weight"] = "patch_embed.norm.weight",
    ["layers.0.blocks.0.attn.relative_position_bias_table"] = "layers.0.blocks.0.attn.relative_position_bias_table",
    ["layers.1.blocks.1.attn_mask"] = false, ["layers.0.blocks.0.mlp.fc2.bias"] = "layers.0.blocks.0.mlp.fc2.bias",
    [("layers.%d.downsample.reduction.weight"):format(first)] = "layers.1.downsample.reduction.weight",
    [("layers.%d.downsample.norm.bias"):format(first + 2)] = "layers.3.downsample.norm.bias", ["norm.bias"] = false }
end
swin(plain(0), "Microsoft Swin")
swin(plain(1), "timm")

os.remove(path)
