-- A frozen model reads its weights where they lie in the file: same results, no second copy.

local core = require "sak.core"

local rows, width, layers = 512, 1024, 12 -- 12 x 2 MB
local path = os.tmpname()

local function names()
  local i = 0
  return function()
    i = i + 1
    if i <= layers then return ("layer.%02d.weight"):format(i) end
  end
end

local function kilobytes(field)
  for line in io.lines "/proc/self/status" do
    local n = line:match("^" .. field .. ":%s+(%d+)")
    if n then return tonumber(n) end
  end
end

local function declare(seed, frozen)
  local graph, params = core.graph { seed = seed }, core.params(seed)
  local x = graph:input("x", { 2, width })
  for name in names() do
    local w = graph:param(params, name, { rows, width }, { "normal", 0.03 })
    local b = graph:param(params, name:gsub("weight", "bias"), { rows }, { "zeros" })
    if frozen then
      params:trainable(name, false)
    end
    graph:output(name, x:linear(w, b))
  end
  return graph, params
end

local function load(params)
  local file <close> = core.weights(path)
  for name in names() do params:load(name, file, name) end
end

local function outputs(graph)
  local x = {}
  for i = 1, 2 * width do x[i] = math.sin(i) end
  graph:plan()
  graph:allocate()
  graph:set("x", x)
  graph:forward(0)
  local all = {}
  for name in names() do table.move(graph:value(name), 1, 2 * rows, #all + 1, all) end
  return all
end

local _, source = declare(1, false)
source:save(path, {})
source:close()

local graph, params = declare(2, true)
collectgarbage()
local before = kilobytes "RssAnon"
load(params)
collectgarbage()
local grown = kilobytes "RssAnon" - before
assert(grown < 8 * 1024, ("loading 24 MB into a frozen model took %d KB of memory"):format(grown))
local got = outputs(graph)

local copied, copies = declare(3, false) -- trainable: copies
load(copies)
local want = outputs(copied)
for i = 1, #want do
  assert(got[i] == want[i], ("output %d is %g from the file, %g from a copy"):format(i, got[i], want[i]))
end
assert(params:get("layer.03.weight")[5] == copies:get("layer.03.weight")[5])

-- What is borrowed never changes: neither by loading again nor by training.
local file = core.weights(path)
for _, change in ipairs {
  function() params:load("layer.01.weight", file, "layer.01.weight") end,
  function() params:trainable("layer.01.weight", true) end,
  function() params:ema(copies, 0.5) end,
  function() core.fill(params, "layer.01.weight", file, "layer.01.weight", {}) end,
} do
  local ok, message = pcall(change)
  assert(not ok and tostring(message):find("layer.01.weight", 1, true) and tostring(message):find "cannot change",
    tostring(message))
end

-- Before the graph has its memory a frozen parameter may be thawed: it takes its values along.
local _, thawed = declare(4, true)
load(thawed)
thawed:trainable("layer.02.weight", true)
assert(thawed:get("layer.02.weight")[7] == params:get("layer.02.weight")[7])
assert(thawed:get("layer.02.weight")[7] ~= 0)

-- A file that is written in place while it is in use is noticed, one that is replaced does no harm.
params:check_files()
local file_bytes = assert(io.open(path, "rb")):read "a"
local other = path .. ".new"
assert(io.open(other, "wb")):write(file_bytes):close()
assert(os.rename(other, path))
params:check_files()
params:close()
graph, params = declare(5, true)
load(params)
params:check_files()
local out = assert(io.open(path, "r+b"))
out:seek("set", #file_bytes - 4)
out:write "abcd"
out:close()
local ok, message = pcall(params.check_files, params)
assert(not ok and tostring(message):find(path .. " was written in place while it was in use", 1, true), tostring(message))
os.remove(path)
params:check_files()
