-- Shapes and whole-number attributes are checked before anything is computed with them.
local core = require "sak.core"
local nn = require "sak.nn"

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "accepted; wanted: " .. words)
  assert(message:find(words, 1, true), message .. "; wanted: " .. words)
end

local g, params = core.graph {}, core.params(1)
refuses("shape (2, 0): every dimension must be at least 1", g.input, g, "x", { 2, 0 })
refuses("shape (-1, 3): every dimension must be at least 1", g.param, g, params, "x", { -1, 3 })
refuses("more than 1099511627776 elements", g.param, g, params, "x", { 1 << 40, 2 })
refuses("more than 1099511627776 elements", g.input, g, "x", { 1 << 32, 1 << 32 }) -- product 0 modulo 2^64
g:param(params, "half", { 1 << 39 })
refuses("elements in the set", g.param, g, params, "rest", { 1 << 40 })
assert(#params:list() == 1)

local x = g:input("y", { 2, 3, 4 })
assert(tostring(x:reshape { shape = { -1, 4 } }) == "tensor (6, 4)")
assert(tostring(x:permute { order = { 2, 0, 1 } }) == "tensor (4, 2, 3)")
assert(tostring(x:slice { axis = -1, start = 1.0, length = 2 }) == "tensor (2, 3, 2)")
for _, v in ipairs { 0 / 0, math.huge, -math.huge, 1e300, 0.5, 2.0 ^ 63 } do
  refuses("slice: start must be a whole number", x.slice, x, { axis = 1, start = v, length = 1 })
end
refuses("does not accept a string", x.slice, x, { axis = 1, start = "1", length = 1 })
refuses("elements", x.reshape, x, { shape = { 1 << 62, 8 } })
local row = g:input("row", { 1, 4 })
refuses("expand: its result has shape", row.expand, row, { size = 1 << 50 })

-- values go to equal shapes only, sizes of 1 aside
local function set(shape)
  local p = core.params(3)
  core.graph {}:param(p, "w", shape)
  p:seal()
  return p
end
set({ 2, 3 }):copy("w", set { 2, 1, 3, 1 }, "w")
set({ 1 }):copy("w", set { 1, 1 }, "w")
refuses("'w' is (3, 2) but 'w' is (2, 3)", function() set({ 2, 3 }):copy("w", set { 3, 2 }, "w") end)
refuses("'w' is (6) but 'w' is (2, 3)", function() set({ 2, 3 }):copy("w", set { 6 }, "w") end)
refuses("'w' is (1, 2) but 'w' is (2, 3)", function() set({ 2, 3 }):copy("w", set { 1, 2 }, "w") end)

-- what a reference expects must cover all that the engine has: images, channels, every side
local function compare(file_shape, shape, options)
  local path, g, file = os.tmpname(), core.graph {}, core.params(1)
  core.graph {}:param(file, "t", file_shape)
  file:save(path, {})
  g:output("y", g:input("x", shape) * 1)
  g:plan()
  g:allocate()
  options.channel_first = true
  local stored <close> = core.weights(path)
  os.remove(path)
  return core.compare(g, "y", stored, "t", options)
end
compare({ 2, 32, 4, 6 }, { 2, 4, 6, 32 }, {})
compare({ 2, 32, 4, 6 }, { 2, 24, 32 }, {})
compare({ 2, 4, 4, 6 }, { 2, 4, 6, 32 }, { channel_step = 10 })
compare({ 1, 32, 4, 6 }, { 2, 4, 6, 32 }, { last_image = true })
for _, s in ipairs { { 1, 1, 4, 6 }, { 1, 32, 4, 6 }, { 2, 31, 4, 6 }, { 2, 32, 6, 4 }, { 2, 32, 3, 8 }, { 2, 32, 2, 6 } } do
  refuses("in the file but (2, 4, 6, 32) (channels last) here", compare, s, { 2, 4, 6, 32 }, {})
end
refuses("channels last", compare, { 2, 3, 4, 6 }, { 2, 4, 6, 32 }, { channel_step = 10 })
refuses("channels last", compare, { 2, 32, 4, 6 }, { 2, 4, 6, 32 }, { last_image = true })

-- a finite value that half floats cannot hold is no infinity
local half = os.tmpname()
local big = core.params(1)
core.graph {}:param(big, "w", { 2 }, { "constant", 70000 })
big:save(half, {})
refuses("'w' holds 70000, beyond what F16 can: export it as bf16", core.export, half, half .. ".f16", {}, "f16")
core.export(half, half .. ".bf16", {}, "bf16")
os.remove(half)
os.remove(half .. ".bf16")

-- tensors that outlive their graph
local other = core.graph {}
local y = other:input("y", { 2, 3, 4 })
assert(not core.same_graph(x, y) and nn.shape_of(y, x) == nil and nn.describe(y, x) == "tensor (2, 3, 4) of another graph")
refuses("a tensor of another graph", function() return x + y end)
other:close()
refuses("graph that has been closed", function() return y.shape end)
refuses("graph that has been closed", function() return y:gelu() end)
refuses("graph that has been closed", function() return x + y end)
