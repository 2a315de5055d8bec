--- Evaluation on the validation images: metrics, router weights, trivial predictors, sheets.

local core = require "sak.core"
local dataset = require "sak.dataset"

local evaluate = {}

local function meter(task, info, eval, final)
  local classes = task == "semseg" and info.classes or task == "human_parts" and info.parts or 0
  return core.meter(task, { classes = classes, edge_match = final, protocol = eval.edge_protocol,
    max_dist = eval.edge_max_dist })
end

--- Averages the (E) vectors that the graph leaves under router/<task>/level<k>.
local function add_routing(sums, graph, keys, valid)
  for _, key in ipairs(keys) do
    local w = graph:value("router/" .. key)
    local s = sums[key] or { n = 0 }
    for e, v in ipairs(w) do s[e] = (s[e] or 0) + v * valid end
    s.n = s.n + valid
    sums[key] = s
  end
end

local function log_routing(ctx, sums, experts)
  for key, s in pairs(sums) do
    local entropy = 0
    for e, name in ipairs(experts) do
      local p = s[e] / s.n
      ctx.run:log(("router/%s/%s"):format(key, name), ctx.step, p)
      if p > 0 then entropy = entropy - p * math.log(p) end
    end
    ctx.run:log(("router/%s/entropy"):format(key), ctx.step, entropy)
  end
end

--- What the best constant predictor scores on the same images: majority class, mean depth, mean
--- normal, base rate, fitted on training labels.
function evaluate.trivial(ctx, data, cfg, tasks)
  local fields = { table.unpack(tasks) }
  local batch = cfg.eval.batch
  local fit = core.loader(data.train, { fields = fields, batch = batch, shuffle = false,
    limit = math.min(data.info.count, 400), H = data.size[1], W = data.size[2],
    depth_max = cfg.data.depth_max, cache_bytes = 2 ^ 31 })
  local graph = core.graph { training = false }
  local sum
  for _, task in ipairs(tasks) do
    local y = graph:input(task, fit:shape(task))
    sum = sum and sum + y:mean_all() or y:mean_all()
  end
  graph:output("sum", sum)
  graph:plan()
  graph:allocate()
  local trivial, meters = {}, {}
  for _, task in ipairs(tasks) do
    trivial[task] = core.trivial(task, task == "human_parts" and data.info.parts or data.info.classes)
    meters[task] = meter(task, data.info, cfg.eval, true)
  end
  for _ = 1, fit:batches() do
    fit:next(graph)
    for _, task in ipairs(tasks) do trivial[task]:fit(graph, task) end
  end
  local val = dataset.val_loader(data, cfg.data, batch, fields)
  for _ = 1, val:batches() do
    local valid = val:next(graph)
    for _, task in ipairs(tasks) do trivial[task]:score(meters[task], graph, task, valid) end
  end
  local result = {}
  for _, task in ipairs(tasks) do
    result[task] = meters[task]:score()
    for _, m in ipairs(result[task]) do
      if m.value == m.value then ctx.run:log(("trivial/%s/%s"):format(task, m.name), ctx.step, m.value) end
    end
  end
  return result
end

---@param ctx table
---@param graph userdata  evaluation graph: inputs image and <task>, outputs out/<task>, router/…
---@param o {data: table, cfg: table, tasks: string[], routing: string[], experts: string[], final: boolean, sheet: string?}
---@return table [task] list of {name, value, unit, goal}
function evaluate.run(ctx, graph, o)
  local fields = { "image", table.unpack(o.tasks) }
  local loader = dataset.val_loader(o.data, o.cfg.data, o.cfg.eval.batch, fields)
  local meters, sums = {}, {}
  for _, task in ipairs(o.tasks) do meters[task] = meter(task, o.data.info, o.cfg.eval, o.final) end
  local n = loader:batches()
  local progress <close> = core.progress(n, "evaluating", { per_step = o.cfg.eval.batch, unit = "images",
    tty = ctx.job.tty, quiet = ctx.job.quiet or not o.final })
  for b = 1, n do
    local valid = loader:next(graph)
    graph:forward(0)
    if b == 1 and o.sheet then core.sheet(o.sheet, graph, o.tasks, o.cfg.eval.images, 2) end
    for _, task in ipairs(o.tasks) do meters[task]:update(graph, "out/" .. task, task, valid) end
    add_routing(sums, graph, o.routing, valid)
    progress:update(b)
  end
  local result = {}
  for _, task in ipairs(o.tasks) do
    result[task] = meters[task]:score()
    for k, m in ipairs(result[task]) do
      if m.value == m.value then
        local key = ("val/%s/%s"):format(task, m.name)
        ctx.run:describe(key, { goal = m.goal, unit = m.unit, task = k == 1 and task or nil })
        ctx.run:log(key, ctx.step, m.value)
      end
    end
  end
  log_routing(ctx, sums, o.experts)
  ctx.run:tick()
  return result
end

return evaluate
