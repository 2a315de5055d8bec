-- LoRA on the stem: what it computes, what trains, and that merging changes nothing.
local build = require "sak.build"
local core = require "sak.core"
local encoder = require "sak.models.encoder"
local nn = require "sak.nn"
local weights = require "sak.weights"

local update = { rank = 3, alpha = 6, targets = { "qkv", "proj", "fc1", "fc2" }, stage2 = "merge" }
local image_size = { 16, 24 }
local stems = {
  { kind = "vit", width = 16, depth = 4, heads = 2, patch = 8, mlp_ratio = 2, ln_eps = 1e-6, act = "gelu",
    class_token = true, registers = 0, out_indices = { 0, 1, 2, 3 } },
  { kind = "sam", width = 16, depth = 4, heads = 2, patch = 8, mlp_ratio = 2, ln_eps = 1e-5, window = 2,
    global = { 3 }, out_indices = { 0, 1, 2, 3 } },
  { kind = "swin", width = 8, depths = { 1, 2, 1, 1 }, heads = { 1, 2, 2, 4 }, patch = 4, mlp_ratio = 2,
    ln_eps = 1e-5, window = 2 },
}

local function with(stem, lora) return setmetatable({ lora = lora }, { __index = stem }) end

local function pixels()
  local x = {}
  for i = 1, image_size[1] * image_size[2] * 3 do x[i] = math.sin(0.37 * i) end
  return x
end

--- Last level of the encoder, computed.
local function features(params, c)
  local graph = core.graph {}
  local image = graph:input("image", { 1, image_size[1], image_size[2], 3 })
  local levels = encoder.features(nn.scope(graph, params, { prefix = "vit." }), image, c)
  graph:output("y", levels[4])
  graph:plan()
  graph:allocate()
  graph:set("image", pixels())
  graph:forward(0)
  return graph:value "y"
end

local function worst(a, b)
  local most, size = 0, 0
  for i = 1, #a do most, size = math.max(most, math.abs(a[i] - b[i])), math.max(size, math.abs(a[i])) end
  return most / size
end

--- Values that training might have reached: B is 0 at first.
local function perturb(params)
  local other, graph, k = core.params(5), core.graph {}, 0
  for _, p in ipairs(params:list()) do
    if p.name:match "lora_B$" then
      graph:param(other, p.name, p.shape, { "normal", 0.1 })
      k = k + 1
    end
  end
  other:seal()
  for _, p in ipairs(other:list()) do params:copy(p.name, other, p.name) end
  return k
end

for _, stem in ipairs(stems) do
  local plain, low = core.params(3), core.params(3)
  local base = features(plain, stem)
  local started = features(low, with(stem, update))
  assert(worst(base, started) == 0, stem.kind .. ": with B = 0 the stem is as it was")
  local blocks = stem.depth or 5
  assert(perturb(low) == 4 * blocks, "an update for each of the four maps of each block")
  local tuned = features(low, with(stem, update))
  assert(worst(base, tuned) > 1e-3)
  -- carried into a stage without updates: the same function
  local merged = core.params(9)
  features(merged, stem)
  local text = weights.carry(merged, low, { where = "before", stem = stem, image = image_size, lora = update })
  assert(text:find("LoRA merged", 1, true), text)
  assert(worst(tuned, features(merged, stem)) < 1e-5, stem.kind .. ": merging changed what the stem computes")
  -- one entry by hand: W + alpha / rank * B A
  local map = stem.kind == "swin" and "vit.layers.1.blocks.1.attn.qkv" or "vit.blocks.2.attn.qkv"
  local W, A, B, M = low:get(map .. ".weight"), low:get(map .. ".lora_A"), low:get(map .. ".lora_B"), merged:get(map .. ".weight")
  local sum = 0
  for r = 1, 3 do sum = sum + B[5 * 3 + r] * A[(r - 1) * 16 + 8] end
  assert(math.abs(M[5 * 16 + 8] - (W[5 * 16 + 8] + 2 * sum)) < 1e-6)
  -- and without lora the updates are an error, not lost
  local ok, message = pcall(weights.carry, merged, low, { where = "before", stem = stem, image = image_size })
  assert(not ok and message:find("lora_A", 1, true), tostring(message))
  -- the same from a file: alpha is in its metadata, the rank in its shapes
  local path = os.tmpname()
  low:save(path, { lora_alpha = "6" })
  local file <close> = core.weights(path)
  for _, frozen in ipairs { false, true } do -- a frozen matrix is read in the file, but this one changes
    local again = core.params(11)
    local graph = core.graph {}
    encoder.features(nn.scope(graph, again, { prefix = "vit." }),
      graph:input("image", { 1, image_size[1], image_size[2], 3 }), stem)
    for _, p in ipairs(again:list()) do again:trainable(p.name, not frozen) end
    local fit, said = weights.fit_student(again, file:shapes(),
      { where = path, stem = stem, image = image_size, from_image = image_size, lora = weights.lora_of(file) })
    weights.load(fit, again, file)
    assert(said:find("LoRA merged", 1, true), said)
    for _, p in ipairs(merged:list()) do
      local a, b = again:get(p.name), merged:get(p.name)
      for k, v in ipairs(b) do assert(a[k] == v, ("%s[%d] is %g from the file, %g carried"):format(p.name, k, a[k], v)) end
    end
  end
  os.remove(path)
end

-- A as PEFT starts it: uniform in +-1/sqrt(in)
local params = core.params(1)
features(params, with(stems[1], update))
local a, most = params:get "vit.blocks.0.mlp.fc2.lora_A", 0
assert(#a == 3 * 32)
for _, v in ipairs(a) do most = math.max(most, math.abs(v)) end
assert(most <= 1 / math.sqrt(32) and most > 0.8 / math.sqrt(32))
for _, v in ipairs(params:get "vit.blocks.0.mlp.fc2.lora_B") do assert(v == 0) end

-- What trains, by stage and switch. Names as in stage 1 and stage 2.
local function trained(student, stage, model)
  local set, graph = core.params(0), core.graph {}
  for _, name in ipairs { "vit.pos_embed", "vit.blocks.0.attn.qkv.weight", "vit.blocks.0.attn.qkv.lora_A",
    "backbone.vit.blocks.0.mlp.fc1.bias", "backbone.vit.blocks.0.attn.proj.lora_B", "tsap.t.0.down.weight",
    "backbone.out_norms.2_t.weight", "backbone.mor.2_depth.router.module.0.weight", "heads.depth.last_conv.weight",
    "fuse.0.weight" } do
    graph:param(set, name, { 2, 2 })
  end
  build.freeze({ student = student, model = model or "sak" }, set, { kind = stage })
  local names = {}
  for _, p in ipairs(set:list()) do
    if p.trainable then names[#names + 1] = p.name:gsub("^backbone%.", ""):match "lora_.$" or p.name:gsub("^backbone%.", ""):match "^[^.]+" end
  end
  return table.concat(names, " ")
end
local lora = { rank = 4, alpha = 4, targets = { "qkv" }, stage2 = "train" }
local function is(got, wanted) assert(got == wanted, ("got '%s', wanted '%s'"):format(got, wanted)) end
is(trained({}, "distill"), "vit vit lora_A vit lora_B tsap out_norms mor heads fuse")
is(trained({ lora = lora }, "distill"), "lora_A lora_B tsap out_norms mor heads fuse")
is(trained({ lora = lora }, "multitask"), "vit vit lora_A vit lora_B tsap out_norms mor heads fuse")
is(trained({ lora = lora }, "multitask", "multi_task"), "lora_A lora_B tsap out_norms mor heads fuse")
is(trained({ freeze_vit = true }, "multitask"), "tsap out_norms mor heads fuse")
is(trained({ freeze = true }, "multitask"), "mor heads fuse")
is(trained({}, "probe"), "mor heads fuse")

-- Which stages have updates
local cfg = { model = "sak", student = { stem = stems[1], adapter = {}, router = {}, head = {}, lora = update } }
local function has(kind) return build.student(cfg, {}, {}, {}, nil, kind).stem.lora ~= nil end
assert(has "distill" and not has "multitask" and not has(nil))
cfg.model = "multi_task"
assert(has "multitask" and has(nil))
cfg.model, cfg.student.lora = "sak", lora
assert(has "distill" and has "multitask" and has(nil))
cfg.student.lora = false
assert(not has "distill")

-- Gradients of sum(y^2) by hand: dB = s dy^T (x A^T), dA = s (dy B)^T x, and W has its own.
local set, graph = core.params(4), core.graph { training = true }
local T, I, O, R, scale = 5, 6, 4, 2, 1.5
local tokens = graph:param(set, "x", { 1, T, I }, { "normal", 1 })
local y = require("sak.models.lora").linear(nn.scope(graph, set), "qkv", tokens, O,
  { lora = { rank = R, alpha = 3, targets = { "qkv" } } })
graph:output("y", y)
graph:plan((y * y):sum_all())
graph:allocate()
perturb(set)
graph:forward(0)
graph:backward(0)
local Y, X, A, B = graph:value "y", set:get "x", set:get "qkv.lora_A", set:get "qkv.lora_B"
local function near(name, index, want)
  local got = set:get(name, "grad")[index]
  assert(math.abs(got - want) < 1e-5 * math.max(1, math.abs(want)), ("%s[%d]: %g, by hand %g"):format(name, index, got, want))
end
for o = 1, O do
  for r = 1, R do
    local dB = 0
    for t = 1, T do
      for i = 1, I do dB = dB + scale * 2 * Y[(t - 1) * O + o] * A[(r - 1) * I + i] * X[(t - 1) * I + i] end
    end
    near("qkv.lora_B", (o - 1) * R + r, dB)
  end
  for i = 1, I do
    local dW = 0
    for t = 1, T do dW = dW + 2 * Y[(t - 1) * O + o] * X[(t - 1) * I + i] end
    near("qkv.weight", (o - 1) * I + i, dW)
  end
end
for r = 1, R do
  for i = 1, I do
    local dA = 0
    for t = 1, T do
      for o = 1, O do dA = dA + scale * 2 * Y[(t - 1) * O + o] * B[(o - 1) * R + r] * X[(t - 1) * I + i] end
    end
    near("qkv.lora_A", (r - 1) * I + i, dA)
  end
end
