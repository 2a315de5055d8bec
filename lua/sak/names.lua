--- Finds out under whose names a file holds an encoder, and which of its tensors is which parameter.

local sources = require "sak.name_rules"

local names = {}

--- Lua pattern of a rule's left side.
local function pattern_of(theirs)
  local p = theirs:gsub("[%.%-%+]", "%%%0"):gsub("#", "(%%d+)"):gsub("@", "%%d+"):gsub("%*", "(.+)")
  return "^" .. p .. "$"
end

--- Puts what the left side matched into the right side.
local function filled(ours, ...)
  local captures, k = { ... }, 0
  return (ours:gsub("[#*]%+?1?", function(mark)
    k = k + 1
    return mark == "#+1" and tostring(tonumber(captures[k]) + 1) or captures[k] .. mark:sub(2)
  end))
end

---@return string? ours, integer? part, integer? parts
local function by_rules(s, name)
  for _, rule in ipairs(s.rules) do
    local captured = table.pack(name:match(pattern_of(rule[1])))
    if captured[1] then
      local target, k, n = rule[2]:match "^(%S+) (%d+)/(%d+)$"
      return filled(target or rule[2], table.unpack(captured)), tonumber(k), tonumber(n)
    end
  end
end

--- Which of the source's lists of tensors that are not loaded has this name.
local function listed(lists, name)
  for label, patterns in pairs(lists) do
    for _, p in ipairs(patterns) do
      if name:match(pattern_of(p)) then return label end
    end
  end
end

--- Index tables and counters: the same in every file, whatever was learned.
local constant = { "relative_position_index$", "attn_mask$", "num_batches_tracked$", "position_ids$" }

---@param name string
---@return boolean
function names.is_constant(name)
  for _, p in ipairs(constant) do if name:match(p) then return true end end
  return false
end

--- What stands before the source's marks in the file's names; nil when they are not there. Of several
--- encoders in one file (a training's teacher and student) the teacher is taken, else the outermost.
local function prefix_of(s, shapes)
  local best
  local function better(a, b)
    local ta, tb = a:find "teacher" ~= nil, b:find "teacher" ~= nil
    if ta ~= tb then return ta end
    return #a < #b or #a == #b and a < b
  end
  for _, marks in ipairs(s.marks) do
    local last = marks[1]
    for name in pairs(shapes) do
      local prefix = name:sub(-#last) == last and name:sub(1, #name - #last)
      if prefix and (prefix == "" or prefix:sub(-1) == ".") then
        local whole = true
        for _, mark in ipairs(marks) do whole = whole and shapes[prefix .. mark] ~= nil end
        if whole and (not best or better(prefix, best)) then best = prefix end
      end
    end
  end
  return best
end

local function find_source(shapes, key, where)
  for _, s in ipairs(sources) do
    if not key or s.key == key then
      local prefix = prefix_of(s, shapes)
      if prefix then return s, prefix end
      if key then
        error(("%s: names = \"%s\" was given, but the file has no tensor '%s'; without `names` they are detected")
          :format(where, key, table.concat(s.marks[1], "' or no '")), 0)
      end
    end
  end
  local some = next(shapes)
  local titles = {}
  for _, s in ipairs(sources) do
    if titles[#titles] ~= s.title then titles[#titles + 1] = s.title end
  end
  error(("%s: no image encoder under names known here%s; known are the names of %s"):format(where,
    some and (" (a tensor is called '%s')"):format(some) or ", no tensors at all", table.concat(titles, ", ")), 0)
end

--- A gated MLP's matrices are w12 (two in one) and w3 here; timm calls them fc1 and fc2. Their heights
--- tell. Returns whether the file is so.
local function rename_gated(parts, shapes)
  local gated
  for i = 0, 1 do
    local fc1, fc2 = parts[("blocks.%d.mlp.fc1.weight"):format(i)], parts[("blocks.%d.mlp.fc2.weight"):format(i)]
    gated = gated or fc1 and fc2 and shapes[fc1[1].name][1] == 2 * (shapes[fc2[1].name][2] or 0)
  end
  if not gated then return false end
  local renamed = {}
  for ours, list in pairs(parts) do
    renamed[ours:gsub("%.mlp%.fc1%.", ".mlp.w12."):gsub("%.mlp%.fc2%.", ".mlp.w3.")] = list
  end
  for ours in pairs(parts) do parts[ours] = nil end
  for ours, list in pairs(renamed) do parts[ours] = list end
  return true
end

---@class NameMap
---@field source NameSource
---@field prefix string  what stands before the encoder's names
---@field parts table<string, {name: string, k: integer, n: integer}[]>  by parameter
---@field outside table<string, integer>  tensors that features do not need, counted by what they are
---@field unknown string[]  tensors that no rule knows
---@field gated boolean  its gated MLP is called fc1 and fc2

--- Which tensor of a file is which parameter.
---@param shapes table<string, integer[]>  of the file
---@param where string  the file, for messages
---@param key? string  a source's key; detected if not given
---@return NameMap
function names.map(shapes, where, key)
  local s, prefix = find_source(shapes, key, where)
  local outer = prefix:sub(-#s.inside) == s.inside and prefix:sub(1, #prefix - #s.inside) or prefix
  local wrapper = prefix:match "^[^.]*%." or ""
  local map = { source = s, prefix = prefix, parts = {}, outside = {}, unknown = {} }
  local function without(name, front) return name:sub(1, #front) == front and name:sub(#front + 1) end
  for name in pairs(shapes) do
    local inner = without(name, prefix)
    local ours, k, n
    if inner then ours, k, n = by_rules(s, inner) end
    local label = not ours and (inner and listed(s.unused, inner) or listed(s.beside, name)
      or listed(s.beside, without(name, outer) or "") or listed(s.beside, without(name, wrapper) or ""))
    if names.is_constant(name) then
      map.outside.constants = (map.outside.constants or 0) + 1
    elseif ours then
      map.parts[ours] = map.parts[ours] or {}
      table.insert(map.parts[ours], { name = name, k = k or 1, n = n or 1 })
    elseif label then
      map.outside[label] = (map.outside[label] or 0) + 1
    else
      map.unknown[#map.unknown + 1] = name
    end
  end
  for _, list in pairs(map.parts) do table.sort(list, function(a, b) return a.k < b.k end) end
  map.gated = rename_gated(map.parts, shapes)
  return map
end

--- The file's names for a parameter: what is looked for and missing.
---@param map NameMap
---@return string[]
function names.theirs(map, ours)
  local found = {}
  if map.gated then ours = ours:gsub("%.mlp%.w12%.", ".mlp.fc1."):gsub("%.mlp%.w3%.", ".mlp.fc2.") end
  for _, rule in ipairs(map.source.rules) do
    local target = rule[2]:match "^%S+"
    if not target:find("+1", 1, true) and not rule[1]:find("@", 1, true) then
      local captured = table.pack(ours:match(pattern_of(target)))
      if captured[1] then
        local name = map.prefix .. filled(rule[1], table.unpack(captured))
        if not rule[2]:find " " then return { name } end
        found[#found + 1] = name
      end
    end
  end
  return #found > 0 and found or { ours }
end

--- Shapes as if the file had our names; fused parts are added up. To tell an encoder's size from.
---@param map NameMap
---@return table<string, integer[]>
function names.shapes(map, shapes)
  local out = {}
  for ours, list in pairs(map.parts) do
    local shape = table.move(shapes[list[1].name], 1, #shapes[list[1].name], 1, {})
    for i = 2, #list do shape[1] = shape[1] + (shapes[list[i].name][1] or 0) end
    out[ours] = shape
  end
  return out
end

return names
