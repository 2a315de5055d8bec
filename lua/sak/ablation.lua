--- Expands an ablation (arms x grid x seeds) into trials: which settings of the base each one
--- changes.
local diagnose = require "sak.diagnose"
local override = require "sak.override"

local ablation = {}

---@class sak.Trial
---@field index integer  1-based, in the order trials are run
---@field arm string
---@field arm_index integer
---@field grid table<string, any>  path -> value
---@field seed integer
---@field label string  "arm/path=value": everything but the seed
---@field changes sak.Change[]  in order of precedence: arm, grid, seed, --set

local function sorted(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function shown(value)
  if type(value) == "table" then
    local mark = require("sak.host").marked(value)
    if mark or #value == 0 then
      return (diagnose.shown(value):gsub("^sak%.", ""))
    end
    local parts = {}
    for i, item in ipairs(value) do parts[i] = shown(item) end
    return table.concat(parts, "+")
  end
  return type(value) == "number" and ("%.14g"):format(value) or tostring(value)
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
---@return {path: string, changes: {value: any, change: sak.Change}[]}[] axes
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
    local points = {}
    for i, value in ipairs(raw.grid[path]) do
      local made = change(document, path, value, "grid", { "grid", path, i }, report)
      if made and from_command[path] then
        made.at, made.shown = nil, ("--grid %s=%s"):format(path, shown(value))
      end
      points[i] = { value = value, change = made }
    end
    axes[#axes + 1] = { path = path, points = points }
  end
  return arms, axes
end

--- All combinations of the axes, the first axis varying slowest.
local function points(axes)
  local list = { {} }
  for _, axis in ipairs(axes) do
    local longer = {}
    for _, point in ipairs(list) do
      for _, item in ipairs(axis.points) do
        local extended = table.move(point, 1, #point, 1, {})
        extended[#extended + 1] = { path = axis.path, value = item.value, change = item.change }
        longer[#longer + 1] = extended
      end
    end
    list = longer
  end
  return list
end

--- The trials, seeds innermost outside: all arms get a first seed before any gets a second, so that
--- an interrupted sweep is balanced.
---@param arms {name: string, changes: sak.Change[]}[]
---@param axes table
---@param seeds integer[]
---@param pinned sak.Change[]  from --set
---@return sak.Trial[]
function ablation.expand(arms, axes, seeds, pinned)
  local trials = {}
  local combinations = points(axes)
  for _, seed in ipairs(seeds) do
    for arm_index, arm in ipairs(arms) do
      for _, point in ipairs(combinations) do
        local changes, grid, label = {}, {}, arm.name
        table.move(arm.changes, 1, #arm.changes, 1, changes)
        for _, item in ipairs(point) do
          changes[#changes + 1] = item.change
          grid[item.path] = item.value
          label = ("%s/%s=%s"):format(label, item.path, shown(item.value))
        end
        changes[#changes + 1] =
          { op = "set", steps = { "seed" }, value = seed, origin = "grid", text = "seed",
            shown = "seed " .. seed }
        table.move(pinned, 1, #pinned, #changes + 1, changes)
        trials[#trials + 1] = { index = #trials + 1, arm = arm.name, arm_index = arm_index,
          grid = grid, seed = seed, label = label, changes = changes }
      end
    end
  end
  return trials
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
