--- What the memory of a training stage consists of, from its plan: nothing of it need be allocated.

local memory = {}

local MIB <const> = 2 ^ 20
--- How many kinds of tensors are shown.
local GROUPS <const> = 10

local function sum(params, pick)
  local n = 0
  for _, p in ipairs(params:list()) do if pick(p) then n = n + p.count end end
  return 4 * n
end

local function all() return true end

--- Tensors in use at the peak, those of like blocks together, largest first.
local function groups(largest)
  local by, list = {}, {}
  for _, b in ipairs(largest) do
    local after = b.after:gsub("%f[%w_]%d+%f[^%w_]", "*"):gsub("%.weight$", "")
    local key = b.what .. " " .. b.kind .. " " .. after
    local g = by[key]
    if not g then
      g = { what = b.what, kind = b.kind, after = after, shape = b.shape, bytes = 0, count = 0 }
      by[key], list[#list + 1] = g, g
    end
    g.bytes, g.count = g.bytes + b.bytes, g.count + 1
  end
  table.sort(list, function(a, b)
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.what .. a.after < b.what .. b.after
  end)
  return table.move(list, 1, math.min(#list, GROUPS), 1, {})
end

---@class MemoryParts
---@field bytes integer   all of them
---@field parts {name: string, bytes: integer}[]
---@field slab table      of the training graph: what graph:memory gives

--- Parts of a planned stage. Gradients lie in the graph's slab; pages of moments that are never
--- updated are never touched.
---@param graph userdata
---@param params userdata
---@param teachers {params: userdata?}[]
---@param evaluation? userdata  planned graph that uses the slab in turn with this one
---@return MemoryParts
function memory.of(graph, params, teachers, evaluation)
  local slab = graph:memory(math.maxinteger)
  slab.largest = groups(slab.largest)
  local trained = sum(params, function(p) return p.trainable and params:has_grad(p.name) end)
  local frozen = 0
  for _, t in ipairs(teachers) do if t.params then frozen = frozen + sum(t.params, all) end end
  local list, bytes, more = {}, 0, 0
  if evaluation then
    local e = evaluation:memory(0)
    more = math.max(e.bytes - slab.bytes, 0) + e.inputs + e.scratch
  end
  for _, part in ipairs { { "activations and gradients", slab.bytes }, { "inputs", slab.inputs }, { "scratch", slab.scratch },
    { "weights", sum(params, all) }, { "moments", 2 * trained }, { "frozen weights", frozen },
    { "more for evaluation", more } } do
    if part[2] > 0 then list[#list + 1] = { name = part[1], bytes = part[2] } end
    bytes = bytes + part[2]
  end
  return { bytes = bytes, parts = list, slab = slab }
end

local function mib(bytes) return ("%.0f MiB"):format(bytes / MIB) end

--- The parts, largest first, and what the slab holds when it is fullest.
---@param m MemoryParts
---@return string[] lines
function memory.describe(m)
  local parts, held = {}, {}
  for _, p in ipairs(m.parts) do parts[#parts + 1] = p end
  table.sort(parts, function(a, b) return a.bytes > b.bytes end)
  for i, p in ipairs(parts) do parts[i] = ("%s %.0f"):format(p.name, p.bytes / MIB) end
  local lines = { table.concat(parts, ", ") }
  for kind, bytes in pairs(m.slab.parts) do
    if kind ~= "inputs" then held[#held + 1] = { kind = kind, bytes = bytes } end
  end
  table.sort(held, function(a, b) return a.bytes > b.bytes end)
  for i, h in ipairs(held) do held[i] = ("%s %.0f"):format(h.kind, h.bytes / MIB) end
  lines[#lines + 1] = ("%s of activations and gradients (%s in use at once): %s; fullest at %s"):format(
    mib(m.slab.bytes), mib(m.slab.least), table.concat(held, ", "), m.slab.at)
  for _, b in ipairs(m.slab.largest) do
    lines[#lines + 1] = ("%10s  %4d x %s (%s), %s%s"):format(mib(b.bytes), b.count, b.what,
      table.concat(b.shape, ", "), b.kind, b.after ~= "" and ", at " .. b.after or "")
  end
  return lines
end

return memory
