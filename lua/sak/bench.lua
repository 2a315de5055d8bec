--- `sak bench`: one case of it, in a process of its own; the command line starts one per case,
--- adds its peak memory and prints. Each function returns a row of plain data.

local core = require "sak.core"
local host = require "sak.host"
local cases = require "sak.bench_cases"
local failure = require "sak.failure"
local memory = require "sak.memory"
local step = require "sak.bench_step"

local bench = {}

--- Steps before the clock counts, as the peer has them: first touch of memory, packed weights.
local WARM_UP <const> = 2
--- Seconds spent on measuring the machine's peak, before the steps and again after them.
local PEAK_SECONDS <const> = 0.2

--- Seconds per step by family and by operation, largest first.
local function breakdown(graph, steps, optimiser, total)
  local families, ops, known = {}, {}, 0
  for op, seconds in pairs(graph:profile()) do
    local s = seconds / steps
    local family = core.op_family(op:match "^%S+") or op
    ops[#ops + 1] = { op = op, s = s }
    families[family] = (families[family] or 0) + s
    known = known + s
  end
  families.optimiser = optimiser
  families.rest = math.max(0, total - known - optimiser)
  local list = {}
  for family, s in pairs(families) do list[#list + 1] = { family = family, s = s, share = s / total } end
  table.sort(list, function(a, b) return a.s > b.s end)
  table.sort(ops, function(a, b) return a.s > b.s end)
  return list, ops
end

--- One of the workloads: forward, backward and update.
---@param c Workload
local function workload(c, job, steps)
  local s = step.open(c, job)
  local precision = s.ctx.cfg.precision or "float32"
  local function peak_now()
    return precision == "bf16" and core.peak("bf16", PEAK_SECONDS) or core.peak("float32", PEAK_SECONDS)
  end
  local peak = peak_now()
  for _ = 1, WARM_UP do s.run() end
  s.graph:profile(true)
  local times, optimiser, sum = {}, 0, 0
  for i = 1, steps do
    local seconds, update = s.run()
    times[i], optimiser, sum = seconds, optimiser + update, sum + seconds
  end
  local families, ops = breakdown(s.graph, steps, optimiser / steps, sum / steps)
  local median, least = step.statistics(times)
  peak = math.max(peak, peak_now())
  local flops, executed = cases.flops(c), s.graph:flops(true)
  local parts = memory.of(s.graph, s.params, s.ctx.teachers)
  return { case = c.name, step_s = median, min_s = least, max_s = times[#times], steps = steps, batch = c.batch,
    images_per_s = c.batch / median, gflop = flops / 1e9, gflop_executed = executed / 1e9,
    gflops = flops / median / 1e9, gflops_executed = executed / median / 1e9,
    fraction_of_peak = flops / median / peak, peak_gflops = peak / 1e9,
    planned_mb = s.graph:bytes() / 2 ^ 20, memory = host.array(parts.parts), slab = parts.slab,
    memory_text = host.array(memory.describe(parts)), threads = core.threads(), precision = precision,
    isa = core.machine().isa, blis_kernel = core.machine().blis_kernel, families = host.array(families),
    ops = host.array(ops) }
end

--- What `sak bench` measures besides workloads.
local studies = { threads = "sak.bench_threads", scaling = "sak.bench_scaling", overhead = "sak.bench_overhead",
  data = "sak.bench_data" }

---@param job table  args: the case, and the number of timed steps ("0": the case's own)
function bench.run(job)
  local name, steps = job.args[1], tonumber(job.args[2])
  name = cases.alias[name] or name
  local row
  if type(cases[name]) == "table" and cases[name].name then
    local c = cases[name]
    row = workload(c, job, steps > 0 and steps or c.steps)
  elseif studies[name] then
    row = require(studies[name]).run(job, steps)
    row.case = name
  else
    error(failure.new(2, ("there is no bench case '%s'"):format(name)))
  end
  print(host.encode(row))
  return 0
end

return bench
