--- `sak bench overhead`: what a step costs beyond its arithmetic. The real step loop (sak.train) runs
--- with a real results database and a progress line; what its wall time holds beyond the steps
--- themselves is logging, Lua and progress. Router weights are written at evaluations; what one such
--- dump takes is measured apart.

local core = require "sak.core"
local host = require "sak.host"
local cases = require "sak.bench_cases"
local step = require "sak.bench_step"
local train = require "sak.train"

local study = {}

--- A loader that has nothing to do: inputs are in the graph already.
local loader = { next = function() end, batches = function() return 1 end, stats = function() return { wait_s = 0, bad = 0 } end }

local function query(store, text) return store:query(text)[1].x end

---@return table row
local function measure(name, job, steps, folder)
  local c = cases[name]
  local s = step.open(c, job)
  for _ = 1, 2 do s.run() end
  local path = folder .. "/" .. name .. ".db"
  local store <close> = core.store(path, "write")
  local run = store:begin { experiment = "bench", kind = "sak", seed = 0, config_json = "{}", config_sha256 = "0",
    group_sha256 = "0" }
  local ctx = { run = run, cfg = { stages = { s.stage } }, stage_index = 1, job = { tty = false, quiet = false }, step = 0 }
  s.stage.iterations = steps
  train.run(ctx, { name = "bench", graph = s.graph, params = s.params, loader = loader, stage = s.stage,
    terms = s.made.terms })
  local experts, tasks = #c.teachers + 1, c.tasks or {}
  local before = core.clock()
  for _, task in ipairs(tasks) do -- as an evaluation does
    for level = 1, 4 do
      for k = 0, experts do run:log(("router/%s/level%d/%d"):format(task, level, k), ctx.step, 0.25) end
    end
  end
  run:flush()
  local dump = core.clock() - before
  run:finish "done"
  local arithmetic = query(store, "select sum(value) x from metrics where metric = 'bench/step_s'")
  local wall = query(store, "select value x from metrics where metric = 'bench/wall_s'")
  s.close()
  return { case = name, step_ms = arithmetic / steps * 1e3, beyond_us = (wall - arithmetic) / steps * 1e6,
    share = (wall - arithmetic) / arithmetic, metrics = #s.made.terms + 5, routing_dump_us = dump * 1e6 }
end

function study.run(job, steps)
  local folder = os.tmpname()
  os.remove(folder)
  core.mkdir(folder)
  local rows = {}
  for _, name in ipairs { "tiny_stage2", "proxy_precomputed" } do
    rows[#rows + 1] = measure(name, job, steps > 0 and steps or (name == "tiny_stage2" and 300 or 10), folder)
  end
  for _, row in ipairs(rows) do
    for _, suffix in ipairs { "", "-wal", "-shm" } do os.remove(("%s/%s.db%s"):format(folder, row.case, suffix)) end
  end
  os.execute("rm -rf '" .. folder .. "'")
  return { columns = host.array { "case", "step_ms", "beyond_us", "share", "metrics", "routing_dump_us" },
    rows = host.array(rows), notes = host.array {
      "beyond: logging, progress and Lua, per step; share: of the step (wanted: < 0.005 on the workloads).",
      "routing_dump: the router weights of one evaluation." } }
end

return study
