--- Constructors: tables that remember which kind they are and where in a script they were made.
--- This module also runs inside the sandbox, so it may use nothing but the marks.
local marks = require "sak.mark"
local schema = require "sak.schema"

local spec = {}

--- Nearest word by edit distance (insert, delete, replace, swap), or nil if none is near.
---@param word string
---@param words string[]
---@return string?
function spec.nearest(word, words)
  local best, best_distance
  for _, other in ipairs(words) do
    local previous, current, before = {}, {}, {}
    for j = 0, #other do previous[j] = j end
    for i = 1, #word do
      current = { [0] = i }
      for j = 1, #other do
        local same = word:byte(i) == other:byte(j)
        local d = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (same and 0 or 1))
        if i > 1 and j > 1 and word:byte(i) == other:byte(j - 1)
          and word:byte(i - 1) == other:byte(j) then
          d = math.min(d, before[j - 2] + 1)
        end
        current[j] = d
      end
      before, previous = previous, current
    end
    local distance = previous[#other]
    if not best_distance or distance < best_distance then
      best, best_distance = other, distance
    end
  end
  local near = best and math.max(1, math.max(#word, #best) // 3)
  return best and best_distance <= near and best or nil
end

local function shallow(t)
  local result = {}
  for k, v in pairs(t) do
    result[k] = v
  end
  return result
end

--- A constructor of one kind: `sak.adamw { … }`.
local function plain(id, shown)
  return function(fields)
    if fields ~= nil and type(fields) ~= "table" then
      error(("sak.%s takes a table: sak.%s { … }, got a %s"):format(shown, shown, type(fields)), 2)
    end
    return marks.mark(shallow(fields or {}), id)
  end
end

--- A constructor with a name first: `sak.teacher "sam"` or `sak.teacher "sam" { … }`.
local function curried(id)
  return function(name)
    if type(name) ~= "string" then
      error(('sak.%s takes a name first: sak.%s "name" { … }'):format(id, id), 2)
    end
    local file, line = marks.here()
    local value = marks.mark({ name = name }, id, file, line)
    return setmetatable(value, {
      __call = function(_, fields)
        if type(fields) ~= "table" then
          error(('sak.%s "%s" takes a table, got a %s'):format(id, name, type(fields)), 2)
        end
        local result = shallow(fields)
        result.name = name
        return marks.mark(result, id, file, line)
      end,
      __metatable = false,
    })
  end
end

--- A view of `t` that cannot be changed and says what it has when asked for something else.
local function strict(t, path)
  return setmetatable({}, {
    __index = function(_, key)
      if t[key] ~= nil then
        return t[key]
      end
      local names = {}
      for name in pairs(t) do names[#names + 1] = name end
      table.sort(names)
      local near = type(key) == "string" and spec.nearest(key, names)
      error(("%s has no '%s'; %s"):format(path, tostring(key),
        near and ("did you mean '%s'?"):format(near) or "it has " .. table.concat(names, ", ")), 2)
    end,
    __newindex = function()
      error(path .. " cannot be changed", 2)
    end,
    __pairs = function()
      return pairs(t)
    end,
    __metatable = false,
  })
end

--- The table `sak` that scripts see: constructors of everything in the schema.
---@return table
function spec.constructors()
  local sak = {}
  for _, name in ipairs(schema.order) do
    local family = schema.families[name]
    if family.curried then
      sak[name] = curried(name)
    elseif family.flat then
      for _, kind in ipairs(family.order) do
        sak[kind] = plain(family.name .. "." .. kind, kind)
      end
    elseif family.single then
      sak[family.order[1]] = sak[family.order[1]] or plain(name .. "." .. family.order[1],
        family.order[1])
    else
      local group = {}
      for _, kind in ipairs(family.order) do
        group[kind] = plain(name .. "." .. kind, name .. "." .. kind)
      end
      sak[name] = strict(group, "sak." .. name)
    end
  end

  --- A value computed from the rest of the configuration, after all overrides.
  function sak.derive(f)
    if type(f) ~= "function" then
      error("sak.derive takes a function of the configuration", 2)
    end
    return marks.mark({ f }, "derive")
  end

  --- The seeds 0 … n - 1.
  function sak.seeds(n)
    if math.type(n) ~= "integer" or n < 1 or n > 10000 then
      error("sak.seeds takes a whole number from 1 to 10000", 2)
    end
    local seeds = {}
    for i = 1, n do
      seeds[i] = i - 1
    end
    return seeds
  end

  return strict(sak, "sak")
end

return spec
