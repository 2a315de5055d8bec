--- A workload made ready: its graph with memory, synthetic inputs, an optimiser; and timed steps.

local core = require "sak.core"
local cases = require "sak.bench_cases"
local config = require "sak.config"
local failure = require "sak.failure"
local stages = require "sak.stages"
local train = require "sak.train"

local step = {}

--- What labels look like, by task.
local label_noise = { semseg = { "classes", 40 }, normals = { "unit" }, edge = { "rare", 0.1 }, depth = { "positive" } }

--- The context that stages.lua plans in: shapes without images, frozen random teachers.
local function context(c, loaded, job)
  local cfg = loaded.resolved
  local ctx = { cfg = cfg, functions = loaded.functions, job = job, step = 0, stage_index = 1,
    data = { size = cfg.data.size, info = { classes = 40, parts = 7, count = c.batch } } }
  ctx.label_shape = require("sak.run").label_shape(ctx.data)
  if c.live then
    ctx.teachers = require("sak.teachers").sketch(ctx, cfg.teachers)
  else
    ctx.teachers = {}
    for i, t in ipairs(c.teachers) do
      ctx.teachers[i] = { name = t.name, widths = { t.width, t.width, t.width, t.width }, weight = 1,
        grid = t.grid }
    end
  end
  return ctx
end

--- The workload's configuration, with --set and --precision.
function step.configure(c, job)
  local path = c.name .. ".lua"
  local loaded, problems = config.load(path, job.set, { files = { [path] = cases.script(c) } })
  if not loaded then error(failure.new(2, (config.format(problems):gsub("^error: ", "")))) end
  return loaded
end

---@class Step
---@field graph userdata
---@field params userdata
---@field run fun(): number, number  one step: seconds, those of the optimiser
---@field ctx table
---@field made table  what stages.plan gave

--- Plans, allocates and fills a workload.
---@param c Workload
---@return Step
function step.open(c, job)
  local ctx = context(c, step.configure(c, job), job)
  local stage = ctx.cfg.stages[1]
  local made = stages.plan(ctx, stage)
  local graph = made.graph
  made.finish()
  core.synthesize(graph, "image", "normal")
  for _, task in ipairs(c.tasks or {}) do core.synthesize(graph, task, table.unpack(label_noise[task])) end
  for _, t in ipairs(c.live and {} or c.teachers) do
    for level = 1, 4 do core.synthesize(graph, ("teacher/%s/level%d"):format(t.name, level), "normal") end
  end
  local optim = train.optimiser(made.params, stage.optim)
  local self = { graph = graph, params = made.params, ctx = ctx, made = made, stage = stage }
  function self.run()
    local start = core.clock()
    graph:forward(ctx.step)
    graph:backward(ctx.step)
    local between = core.clock()
    local norm = optim:step(stage.optim.lr, stage.clip or 0)
    local now, loss = core.clock(), graph:value "loss"
    ctx.step = ctx.step + 1
    if loss ~= loss or norm ~= norm then error(c.name .. ": the loss is not a number", 0) end
    return now - start, now - between
  end
  function self.close()
    optim:close()
    graph:close()
    made.params:close()
    for _, t in ipairs(ctx.teachers) do
      if t.params then t.params:close() end
    end
  end
  return self
end

---@param times number[]  sorted in place
---@return number median, number least
function step.statistics(times)
  table.sort(times)
  return times[#times // 2 + 1], times[1]
end

return step
