-- Whole students from published checkpoints: stage 1 into stage 2, data-parallel prefixes, parts that may
-- be new or left behind, and those that may not.
local core = require "sak.core"
local nn = require "sak.nn"
local student = require "sak.models.student"
local weights = require "sak.weights"

local dir = "tests/fixtures/verify/"
local path = os.tmpname()

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "accepted; wanted: " .. words)
  assert(message:find(words, 1, true), message .. "; wanted: " .. words)
end

--- Parameters of a student at this image size; `o` as in StudentSpec.
local function build(size, o)
  local stem = { width = 32, depth = 4, heads = 2, patch = 16, mlp_ratio = o.mlp_ratio or 4, ln_eps = 1e-6, act = "gelu",
    class_token = true, registers = 0, out_indices = { 0, 1, 2, 3 } }
  local spec = { stem = stem, teachers = o.teachers, adapter = { kind = "bottleneck", down_ratio = 4 },
    aligner = o.aligner or false, drop_aligners = o.drop_aligners, router = { kind = "mor", noisy = false },
    tasks = o.tasks, head = { kind = "fusion" }, channels = { semseg = 40, normals = 3, edge = 1, depth = 1 } }
  local params, graph = core.params(3), core.graph { training = true }
  student.forward(nn.scope(graph, params), graph:input("image", { 1, size[1], size[2], 3 }), spec)
  params:seal()
  return params, { where = "x.safetensors", stem = stem, image = size }
end

local function teacher(name, width) return { name = name, widths = { width, width, width, width } } end
local three = { teacher("dinov2", 48), teacher("clip", 32), teacher("sam", 64) }

local function load(params, o, file_path)
  local file <close> = core.weights(file_path)
  local fit, said = weights.fit_student(params, file:shapes(), o)
  weights.load(fit, params, file)
  return said
end

local function same(a, b, what)
  assert(#a == #b, what)
  for k, v in ipairs(a) do assert(v == b[k], ("%s[%d] is %g, wanted %g"):format(what, k, v, b[k])) end
end

-- a stage-2 checkpoint: every tensor under its own name
local tasks = { "semseg", "normals", "edge", "depth" }
local whole = dir .. "c_s2_nyud_mor/model.safetensors"
local equal = { teacher("dinov2", 32), teacher("clip", 32), teacher("sam", 32) }
local params, o = build({ 64, 96 }, { teachers = equal, tasks = tasks, mlp_ratio = 2 })
local said = load(params, o, whole)
assert(said == ("%d tensors"):format(#params:list()), said)
local file <close> = core.weights(whole)
for _, p in ipairs(params:list()) do same(params:get(p.name), file:get(p.name), p.name) end

-- stage 1, 64x64, into stage 2 at 64x96: names gain "backbone.", the aligners stay behind or come along
local first = dir .. "b_s1_aligners/model.safetensors"
local stage1 <close> = core.weights(first)
params, o = build({ 64, 96 }, { teachers = three, tasks = { "depth" }, aligner = true, drop_aligners = true })
said = load(params, o, first)
assert(said:find("; new here: head of depth, routers of depth; left behind: aligners", 1, true), said)
same(params:get "backbone.tsap.sam.4.up.weight", stage1:get "tsap.sam.4.up.weight", "adapter")
local kept = build({ 64, 96 }, { teachers = three, tasks = { "depth" }, aligner = true })
assert(not load(kept, o, first):find "left behind")
same(kept:get "backbone.ts_aligners.3_sam.weight", stage1:get "ts_aligners.3_sam.weight", "aligner")

-- the position table: bicubic, kernel a = -0.75, indices clamped, no antialias; the class token's row apart
local function cubic(t)
  local a = -0.75
  t = math.abs(t)
  if t <= 1 then return (a + 2) * t ^ 3 - (a + 3) * t ^ 2 + 1 end
  return t < 2 and a * t ^ 3 - 5 * a * t ^ 2 + 8 * a * t - 4 * a or 0
end
local function taps(i, from, to) -- of output i: {index, weight} of four inputs
  local x, list = (i + 0.5) * from / to - 0.5, {}
  for k = math.floor(x) - 1, math.floor(x) + 2 do
    list[#list + 1] = { math.max(0, math.min(from - 1, k)), cubic(x - k) }
  end
  return list
end
local old, new, C = stage1:get "vit.pos_embed", params:get "backbone.vit.pos_embed", 32
assert(#old == 17 * C and #new == 25 * C)
for c = 1, C do
  assert(new[c] == old[c], "the class token's row was touched")
  for i = 0, 3 do
    for j = 0, 5 do
      local sum = 0
      for _, v in ipairs(taps(i, 4, 4)) do
        for _, u in ipairs(taps(j, 4, 6)) do sum = sum + v[2] * u[2] * old[(1 + v[1] * 4 + u[1]) * C + c] end
      end
      local got = new[(1 + i * 6 + j) * C + c]
      assert(math.abs(got - sum) < 1e-6, ("position (%d, %d), channel %d: %g, wanted %g"):format(i, j, c, got, sum))
    end
  end
end

-- a file under names of our choice, its values from another
local function rewrite(source, rename)
  local copy, graph = core.params(0), core.graph {}
  local from <close> = core.weights(source)
  local list = {}
  for name, shape in pairs(from:shapes()) do
    local new_name = rename(name)
    if new_name and #shape > 0 then
      graph:param(copy, new_name, shape)
      list[new_name] = name
    end
  end
  copy:seal()
  for to, name in pairs(list) do copy:load(to, from, name) end
  copy:save(path)
end

-- saved by a data-parallel training
rewrite(whole, function(name) return "module." .. name end)
params, o = build({ 64, 96 }, { teachers = equal, tasks = tasks, mlp_ratio = 2 })
load(params, o, path)
same(params:get "heads.semseg.last_conv.weight", file:get "heads.semseg.last_conv.weight", "head behind module.")

-- a task more is new, a task less is left behind; half a head is an error, as is a teacher too few or too many
local fewer
fewer, o = build({ 64, 96 }, { teachers = equal, tasks = { "edge" }, mlp_ratio = 2 })
said = load(fewer, o, whole)
assert(said:find("left behind: head of depth, head of normals, head of semseg, routers of depth", 1, true), said)
rewrite(whole, function(name) return not name:match "^heads%.semseg" and not name:match "_semseg%." and name end)
assert(load(params, o, path):find("new here: head of semseg, routers of semseg", 1, true))
rewrite(whole, function(name) return name ~= "heads.semseg.last_conv.bias" and name end)
local before = params:hash()
refuses("missing in the file: heads.semseg.last_conv.bias", load, params, o, path)
rewrite(whole, function(name) return not name:match "tsap%.sam" and name end)
refuses("missing in the file: tsap.sam.0.down.bias", load, params, o, path)
local two
two, o = build({ 64, 96 }, { teachers = { equal[1], equal[2] }, tasks = { "edge" }, mlp_ratio = 2 })
refuses("in the file but not in the model: backbone.out_norms.0_sam.bias", load, two, o, whole)
rewrite(whole, function(name) return name == "backbone.vit.cls_token" and name or "y." .. name end)
refuses("missing in the file", load, params, o, path)
-- names that no student has are left over, whatever they look like
for _, odd in ipairs { ".y", "heads..x", "mor.x", "vit.blocks.0.attn.qkv.lora_A", "lora_A" } do
  local victim = "tsap.sam.4.up.bias" -- its values under another name
  rewrite(whole, function(name) return name == "backbone." .. victim and odd or name end)
  o.lora = { alpha = 2 }
  refuses("in the file but not in the model: " .. odd, load, params, o, path)
  o.lora = nil
end
assert(params:hash() == before, "a refused file changed the student")
-- nothing is resampled where every tensor must be as it is
rewrite(whole, function(name) return name end)
local other = build({ 64, 64 }, { teachers = equal, tasks = tasks, mlp_ratio = 2 })
local same_file <close> = core.weights(path)
refuses("shapes differ: 'backbone.vit.pos_embed'", weights.load_all, other, same_file, { where = "x" })
os.remove(path)
