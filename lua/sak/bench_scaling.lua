--- `sak bench scaling`: step time against one size at a time. The exponent fitted to the times stands
--- beside the one that the arithmetic of the same graphs has; a point that falls far behind the speed of
--- its neighbours is a cliff.

local core = require "sak.core"
local host = require "sak.host"
local step = require "sak.bench_step"

local study = {}

local CLIFF <const> = 0.6 -- of the slower neighbour's GFLOP/s

local base = { name = "scaling", width = 128, depth = 6, heads = 2, patch = 8, size = { 64, 64 }, batch = 8,
  aligner = false, live = false, rate = 1e-3, decay = 0.01 }

local function committee(n, c)
  local list = {}
  for i = 1, n do
    list[i] = { name = "t" .. i, width = c.width, heads = c.heads, grid = { c.size[1] // c.patch, c.size[2] // c.patch } }
  end
  return list
end

local function workload(change)
  local c = {}
  for k, v in pairs(base) do c[k] = v end
  local teachers = change.n_teachers or 2
  for k, v in pairs(change) do c[k] = v end
  c.n_teachers, c.teachers = nil, committee(teachers, c)
  return c
end

local all_tasks = { "semseg", "normals", "edge", "depth" }

--- Each axis: its points, as {x, changes to the base}.
local function axes()
  local list = {}
  local function axis(name, values, change)
    local points = {}
    for i, x in ipairs(values) do points[i] = { x = x, c = workload(change(x)) } end
    list[#list + 1] = { name = name, points = points }
  end
  axis("batch", { 4, 8, 16, 32 }, function(x) return { batch = x } end)
  axis("tokens", { 64, 144, 256, 576, 1024 }, function(x)
    local side = math.floor(x ^ 0.5) * 8
    return { size = { side, side }, batch = 4 }
  end)
  axis("width", { 64, 128, 192, 256, 384 }, function(x) return { width = x, heads = x // 64 } end)
  axis("depth", { 4, 6, 8, 12 }, function(x) return { depth = x } end)
  axis("teachers", { 1, 2, 3, 4 }, function(x) return { n_teachers = x } end)
  axis("tasks", { 1, 2, 3, 4 }, function(x)
    return { tasks = table.move(all_tasks, 1, x, 1, {}), batch = 2, depth = 4 }
  end)
  return list
end

--- Least-squares slope of log y over log x.
local function exponent(points, y)
  local n, sx, sy, sxx, sxy = #points, 0, 0, 0, 0
  for _, p in ipairs(points) do
    local u, v = math.log(p.x), math.log(p[y])
    sx, sy, sxx, sxy = sx + u, sy + v, sxx + u * u, sxy + u * v
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

--- Least time of a few steps after a warm-up; more of them where they are short.
local function time(c, job, steps)
  local s = step.open(c, job)
  s.run()
  local least, began = math.huge, core.clock()
  for i = 1, steps > 0 and steps or 8 do
    least = math.min(least, (s.run()))
    if i >= 3 and core.clock() - began > 3 then break end
  end
  local flops = s.graph:flops(true)
  s.close()
  return least, flops
end

function study.run(job, steps)
  local rows, points, notes = {}, {}, {}
  for _, axis in ipairs(axes()) do
    for _, p in ipairs(axis.points) do
      p.s, p.flops = time(p.c, job, steps)
      points[#points + 1] = { axis = axis.name, x = p.x, step_s = p.s, gflops = p.flops / p.s / 1e9 }
    end
    local cliff, text = {}, {}
    for i, p in ipairs(axis.points) do
      local near = math.huge
      for _, q in ipairs { axis.points[i - 1] or p, axis.points[i + 1] or p } do
        if q ~= p then near = math.min(near, q.flops / q.s) end
      end
      if p.flops / p.s < CLIFF * near then cliff[#cliff + 1] = ("%d"):format(p.x) end
      text[i] = ("%d: %.3g"):format(p.x, p.s * 1e3)
    end
    rows[#rows + 1] = { axis = axis.name, measured = exponent(axis.points, "s"),
      expected = exponent(axis.points, "flops"), cliffs = table.concat(cliff, " "), ["step_ms"] = table.concat(text, "  ") }
  end
  notes[1] = "measured: exponent of the least step time; expected: of the FLOPs of the same graphs."
  notes[2] = ("cliffs: sizes whose GFLOP/s are below %g of both neighbours'."):format(CLIFF)
  return { columns = host.array { "axis", "measured", "expected", "cliffs", "step_ms" }, rows = host.array(rows),
    points = host.array(points), notes = host.array(notes) }
end

return study
