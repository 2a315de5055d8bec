--- The table of a sweep's arms as lines that fit a terminal: counts, mean and sd of the objective.

local layout = {}

--- Arms (with their place in the grid) in order of appearance, with counts, mean and sd.
---@return {label: string, arm: string, cell: string?, done: integer, running: integer, failed: integer, pruned: integer, queued: integer, n: integer, mean: number?, sd: number?}[]
function layout.arms(rows)
  local list, by = {}, {}
  for _, t in ipairs(rows) do
    local a = by[t.label]
    if not a then
      a = { label = t.label, arm = t.arm, cell = t.cell, done = 0, running = 0, failed = 0, pruned = 0, queued = 0,
        values = {} }
      by[t.label] = a
      list[#list + 1] = a
    end
    a[t.state] = a[t.state] + 1
    if t.value then a.values[#a.values + 1] = t.value end
  end
  for _, a in ipairs(list) do
    local sum, square = 0, 0
    a.n = #a.values
    for _, v in ipairs(a.values) do sum = sum + v end
    if a.n > 0 then a.mean = sum / a.n end
    for _, v in ipairs(a.values) do square = square + (v - a.mean) ^ 2 end
    if a.n > 1 then a.sd = math.sqrt(square / (a.n - 1)) end
    a.values = nil
  end
  return list
end

--- Characters, not bytes.
local function width(s) return utf8.len(s) or #s end

local function cut(s, n)
  if width(s) <= n then return s end
  return s:sub(1, (utf8.offset(s, math.max(n, 1)) or n + 1) - 1) .. "…"
end

--- Without its middle: what tells an arm from the next is often at its end.
local function squeeze(s, n)
  if width(s) <= n then return s end
  local head = (n - 1) // 3
  return s:sub(1, utf8.offset(s, head + 1) - 1) .. "…" .. s:sub(utf8.offset(s, -(n - 1 - head)))
end

local function pad(s, n) return s .. (" "):rep(n - width(s)) end

--- Labels with the settings' last words for their paths, where these are told apart by them:
--- "plain/stages[1].optim.lr=0.1" is "plain/lr=0.1".
---@return table<string, string>
function layout.short(arms)
  local owner = {}
  for _, a in ipairs(arms) do
    for path in (a.cell or ""):gmatch "([^/=%s]+)=" do
      local last = path:match "[^.]+$" or path
      owner[last] = (owner[last] == nil or owner[last] == path) and path or false
    end
  end
  local short = {}
  for _, a in ipairs(arms) do
    short[a.label] = a.label:gsub("([^/=%s]+)=", function(path)
      local last = path:match "[^.]+$" or path
      return owner[last] == path and last .. "=" or nil
    end)
  end
  return short
end

--- Which n arms are shown, in their own order: those that run, then the best so far, then the first.
local function choose(arms, n, goal)
  if #arms <= n then return arms end
  local order = table.move(arms, 1, #arms, 1, {})
  local place = {}
  for i, a in ipairs(arms) do place[a] = i end
  table.sort(order, function(a, b)
    if (a.running > 0) ~= (b.running > 0) then return a.running > 0 end
    if (a.mean ~= nil) ~= (b.mean ~= nil) then return a.mean ~= nil end
    if a.mean and a.mean ~= b.mean then
      if goal == "max" then return a.mean > b.mean end
      return a.mean < b.mean
    end
    return place[a] < place[b]
  end)
  local shown = table.move(order, 1, n, 1, {})
  table.sort(shown, function(a, b) return place[a] < place[b] end)
  return shown
end

local function value(a)
  return a.mean and (a.sd and ("%.4g ± %.2g"):format(a.mean, a.sd) or ("%.4g"):format(a.mean)) or "-"
end

--- At most `height` - 1 lines of at most `columns` - 1 characters; `foot` is the last one.
---@param rows table[]  as plan.trials gives them
---@return string[]
function layout.lines(rows, objective, goal, foot, columns, height)
  local arms = layout.arms(rows)
  local short, room = layout.short(arms), math.max(height - 3, 1)
  local shown = choose(arms, #arms > room and math.max(room - 1, 1) or room, goal)
  local names, values = 3, width(objective)
  for _, a in ipairs(shown) do
    names, values = math.max(names, width(short[a.label])), math.max(values, width(value(a)))
  end
  names = math.max(math.min(names, columns - 1 - values - #"  done  run  fail  "), 8)
  local lines = { pad("arm", names) .. "  done  run  fail  " .. objective }
  for _, a in ipairs(shown) do
    lines[#lines + 1] = ("%s  %4d  %3d  %4d  %s"):format(pad(squeeze(short[a.label], names), names), a.done, a.running,
      a.failed, value(a))
  end
  if #shown < #arms then lines[#lines + 1] = ("… and %d more"):format(#arms - #shown) end
  lines[#lines + 1] = foot
  for i, line in ipairs(lines) do lines[i] = cut(line, columns - 1) end
  return lines
end

--- Screen lines that these take where the terminal has so many columns now.
function layout.height(lines, columns)
  local n = 0
  for _, line in ipairs(lines) do n = n + math.max(1, math.ceil(width(line) / columns)) end
  return n
end

return layout
