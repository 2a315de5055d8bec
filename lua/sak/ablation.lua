--- Expands an ablation (arms x grid x seeds) into trials: which settings of the base each one
--- changes.
local diagnose = require "sak.diagnose"
local host = require "sak.host"
local override = require "sak.override"

local ablation = {}

---@class sak.Trial
---@field arm string
---@field arm_index integer  1-based
---@field cell string?  its place in the grid or space, "path=value …"
---@field seed integer
---@field label string  "arm/path=value": everything but the seed
---@field point table  what ablation.trial makes it from
---@field changes sak.Change[]  in order of precedence: arm, grid, seed, --set

local function sorted(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function shown(value)
  if type(value) == "table" then
    local mark = host.marked(value)
    if mark or #value == 0 then
      return (diagnose.shown(value):gsub("^sak%.", ""))
    end
    local parts = {}
    for i, item in ipairs(value) do parts[i] = shown(item) end
    return table.concat(parts, "+")
  end
  return type(value) == "number" and ("%.14g"):format(value) or tostring(value)
end

--- Numbers, texts and lists of them.
local function is_plain(value)
  if type(value) ~= "table" then return type(value) ~= "function" end
  for _, item in ipairs(value) do
    if type(item) == "table" or type(item) == "function" then return false end
  end
  return #value > 0 and not host.marked(value)
end

--- Plain settings in which a table differs from its namesakes, "fraction:0.5,seed:1"; nil where they
--- do not tell it apart, or at too great length.
local function own_settings(value, namesakes)
  local keys, parts = {}, {}
  for _, other in ipairs(namesakes) do
    if not host.marked(other) then return nil end
    for key in next, other do keys[tostring(key)] = true end
  end
  for _, key in ipairs(sorted(keys)) do
    local mine, differs = value[key], false
    for _, other in ipairs(namesakes) do
      if not is_plain(other[key]) then return nil end
      differs = differs or shown(other[key]) ~= shown(mine)
    end
    if differs then parts[#parts + 1] = ("%s:%s"):format(key, mine == nil and "default" or shown(mine)) end
  end
  local text = table.concat(parts, ",")
  return text ~= "" and #text <= 60 and not text:find "[%s=]" and text or nil
end

--- The values of an axis in the text of a cell, the same in every process: as JSON where they are plain,
--- else by name, with the settings in which namesakes differ, or by index.
---@param values any[]
---@return string[]
local function texts_of(values)
  local texts, names, namesakes, taken = {}, {}, {}, {}
  for i, value in ipairs(values) do
    if is_plain(value) then
      texts[i] = host.encode(type(value) == "table" and host.array(table.move(value, 1, #value, 1, {})) or value)
    else
      local name = type(value) == "table" and shown(value) or "function"
      names[i], namesakes[name] = name, namesakes[name] or {}
      table.insert(namesakes[name], value)
    end
  end
  for i, value in ipairs(values) do
    local name, like = names[i], namesakes[names[i] or ""]
    if name then
      local settings = type(value) == "table" and #like > 1 and own_settings(value, like)
      texts[i] = settings and ("%s(%s)"):format(name, settings) or name
      if not settings and (#like > 1 or name == "function") or taken[texts[i]] then
        texts[i] = ("%s#%d"):format(name, i)
      end
      taken[texts[i]] = true
    end
  end
  return texts
end

--- A change at a place in the ablation script.
local function change(document, path, value, origin, steps, report)
  local parsed, message = override.path(path)
  if not parsed then
    report(steps, ("'%s': %s"):format(path, message), "key")
    return nil
  end
  return { op = "set", steps = parsed, value = value, origin = origin, text = path,
    at = { document = document, steps = steps } }
end

--- Changes that each arm and each point of the grid make.
---@param raw {arms: table, grid: table}  as resolved, values raw
---@param document sak.Document
---@param from_command table<string, any[]>  axes given by --grid
---@param report fun(steps: table, message: string, want: string?)
---@return {name: string, changes: sak.Change[]}[] arms
---@return {path: string, points: {text: string, label: string, change: sak.Change}[]}[] axes
function ablation.parts(raw, document, from_command, report)
  local arms, axes = {}, {}
  for i, arm in ipairs(raw.arms) do
    local changes = {}
    for _, path in ipairs(sorted(arm.set)) do
      changes[#changes + 1] =
        change(document, path, arm.set[path], "arm", { "arms", i, "set", path }, report)
    end
    arms[i] = { name = arm.name, changes = changes }
  end
  for _, path in ipairs(sorted(raw.grid)) do
    local points, texts = {}, texts_of(raw.grid[path])
    for i, value in ipairs(raw.grid[path]) do
      local made = change(document, path, value, "grid", { "grid", path, i }, report)
      if made and from_command[path] then
        made.at, made.shown = nil, ("--grid %s=%s"):format(path, shown(value))
      end
      local text = texts[i]
      points[i] = { text = text, label = is_plain(value) and shown(value) or text, change = made }
      for j = 1, i - 1 do
        if points[j].text == text then
          report({ "grid", path, i }, ("grid['%s'] lists %s twice"):format(path, shown(value)))
        end
      end
    end
    axes[#axes + 1] = { path = path, points = points }
  end
  return arms, axes
end

--- The dimensions of a space to sample.
---@return table<string, {spec: table, steps: table, at: table}>
function ablation.space(raw, document, report)
  local space = {}
  for _, path in ipairs(sorted(raw.space)) do
    local at = { "space", path }
    local made = change(document, path, nil, "grid", at, report)
    local spec = raw.space[path]
    if spec.low and spec.high and spec.low >= spec.high then
      report(at, ("space['%s']: the lower end %.14g is not below the upper end %.14g"):format(path,
        spec.low, spec.high))
    end
    space[path] = made and { spec = spec, steps = made.steps, at = made.at }
  end
  return space
end

--- Text of a grid point for the database: "path=value path=value", nil without axes.
local function cell_of(list)
  local parts = {}
  for _, item in ipairs(list) do parts[#parts + 1] = item.path .. "=" .. item.text end
  return #parts > 0 and table.concat(parts, " ") or nil
end

--- All combinations of the axes as lists of indices, the first axis varying slowest.
---@param axes table
---@return integer[][]
function ablation.combinations(axes)
  local list = { {} }
  for _, axis in ipairs(axes) do
    local longer = {}
    for _, point in ipairs(list) do
      for i = 1, #axis.points do
        local extended = table.move(point, 1, #point, 1, {})
        extended[#extended + 1] = i
        longer[#longer + 1] = extended
      end
    end
    list = longer
  end
  return list
end

--- A trial from its point: which arm, where in the grid or the space, which seed.  A point is plain
--- data, and with the script it gives the same trial for ever.
---@param parts {arms: table, axes: table, space: table, pinned: sak.Change[]}
---@param point {arm: integer, grid: integer[]?, space: table<string, number>?, seed: integer}
---@return sak.Trial
function ablation.trial(parts, point)
  local arm = parts.arms[point.arm]
  local changes, list, label = {}, {}, arm.name
  table.move(arm.changes, 1, #arm.changes, 1, changes)
  for a, i in ipairs(point.grid or {}) do
    local axis = parts.axes[a]
    local item = axis.points[i]
    list[a] = { path = axis.path, text = item.text, label = item.label, change = item.change }
  end
  for _, path in ipairs(sorted(point.space or {})) do
    local value, text = ablation.drawn(parts.space[path].spec, point.space[path])
    list[#list + 1] = { path = path, text = text, label = text,
      change = { op = "set", steps = parts.space[path].steps, value = value, origin = "grid",
        text = path, at = parts.space[path].at } }
  end
  for _, item in ipairs(list) do
    changes[#changes + 1] = item.change
    label = ("%s/%s=%s"):format(label, item.path, item.label)
  end
  changes[#changes + 1] =
    { op = "set", steps = { "seed" }, value = point.seed, origin = "grid", text = "seed",
      shown = "seed " .. point.seed }
  for _, change in ipairs(parts.pinned) do
    -- An arm that replaces a list may leave out the entry that --set selects; the base has it.
    local lenient = { may_be_absent = true }
    for key, value in pairs(change) do lenient[key] = value end
    changes[#changes + 1] = lenient
  end
  return { arm = arm.name, arm_index = point.arm, cell = cell_of(list), seed = point.seed,
    label = label, changes = changes, point = point }
end

--- The setting that a coordinate of the space stands for, and its text: a choice by its index.
---@param spec table  resolved distribution
---@param x number
---@return any value
---@return string text
function ablation.drawn(spec, x)
  if spec.kind == "choice" then
    return spec.values[x], texts_of(spec.values)[x]
  elseif spec.kind == "int_uniform" then
    return math.tointeger(x), ("%d"):format(x)
  end
  return x, ("%.6g"):format(x)
end

--- The points of a grid, seeds outermost: all arms get a first seed before any gets a second, so
--- that an interrupted sweep is balanced.
---@param parts table
---@param seeds integer[]
---@return table[]
function ablation.points(parts, seeds)
  local list, combinations = {}, ablation.combinations(parts.axes)
  for _, seed in ipairs(seeds) do
    for arm = 1, #parts.arms do
      for _, grid in ipairs(combinations) do
        list[#list + 1] = { arm = arm, grid = grid, seed = seed }
      end
    end
  end
  return list
end

--- Does a pinned path fix what an arm or an axis varies (the same setting, or one above it)?
---@param pinned string
---@param swept string
---@return boolean
function ablation.covers(pinned, swept)
  return pinned == swept or (swept:sub(1, #pinned) == pinned and swept:find("^[.%[]",
    #pinned + 1) ~= nil)
    or (pinned:sub(1, #swept) == swept and pinned:find("^[.%[]", #swept + 1) ~= nil)
end

return ablation
