--- Evaluation on the validation images: metrics, router weights, trivial predictors, sheets.

local core = require "sak.core"
local dataset = require "sak.dataset"
local schema = require "sak.schema"

local evaluate = {}

local function meter(task, info, cfg, final)
  local classes = task == "semseg" and info.classes or task == "human_parts" and info.parts or 0
  local own = schema.edge_scoring[cfg.data.kind]
  return core.meter(task, { classes = classes, edge_match = final, edge_weight = own and own.weight,
    protocol = cfg.eval.edge_protocol, max_dist = cfg.eval.edge_max_dist })
end

--- Adds the (B, E) router weights that the graph leaves under router/<task>/level<k>, and the entropy
--- of each image's weights, over the images that count.
local function add_routing(sums, graph, keys, valid)
  for _, key in ipairs(keys) do
    local w, E = graph:value("router/" .. key), graph:shape("router/" .. key)[2]
    if type(w) == "number" then w = { w } end
    local s = sums[key] or { n = 0, entropy = 0 }
    for b = 0, valid - 1 do
      for e = 1, E do
        local p = w[b * E + e]
        s[e] = (s[e] or 0) + p
        if p > 0 then s.entropy = s.entropy - p * math.log(p) end
      end
    end
    s.n = s.n + valid
    sums[key] = s
  end
end

--- Mean weights per task, level and expert, and the mean entropy in nats of an image's weights: those of a
--- router with a weight per token are averaged over the tokens first.
local function log_routing(ctx, sums, experts)
  for key, s in pairs(sums) do
    for e, name in ipairs(experts) do
      if s[e] then ctx.run:log(("router/%s/%s"):format(key, name), ctx.step, s[e] / s.n) end
    end
    ctx.run:log("router_entropy/" .. key, ctx.step, s.entropy / s.n)
  end
end

--- Draws the prediction sheet of the batch in the graph. A sheet that cannot be drawn costs a
--- warning, never the run.
local function draw_sheet(ctx, graph, o)
  local width = o.data.size[2] * (1 + 2 * #o.tasks)
  local scale = width * 2 <= 8000 and 2 or 1
  local ok, message = pcall(core.sheet, o.sheet, graph, o.tasks, o.cfg.eval.images, scale)
  if ok then
    ctx.run:artifact(o.sheet, "sheet")
  else
    ctx.run:event("warn", "sheet", ctx.step, tostring(message))
    ctx.note("no prediction sheet: " .. tostring(message))
  end
end

--- What the best constant predictor scores on the same images: majority class, mean depth, mean
--- normal, base rate, fitted on training labels.
---@return table? [task] list of {name, value}; nil when someone asked the run to stop
function evaluate.trivial(ctx, data, cfg, tasks)
  local fields = { table.unpack(tasks) }
  local batch = cfg.eval.batch
  local fit <close> = dataset.plain_loader(data.train, data, cfg.data, batch, fields, math.min(data.info.count, 400))
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
    meters[task] = meter(task, data.info, cfg, true)
  end
  for _ = 1, fit:batches() do
    fit:next(graph)
    for _, task in ipairs(tasks) do trivial[task]:fit(graph, task) end
    if core.interrupted() then return nil end
  end
  local val <close> = dataset.plain_loader(data.val, data, cfg.data, batch, fields)
  for _ = 1, val:batches() do
    local valid = val:next(graph)
    for _, task in ipairs(tasks) do trivial[task]:score(meters[task], graph, task, valid) end
    if core.interrupted() then return nil end
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
---@param o {data: table, cfg: table, tasks: string[], routing: string[], experts: string[], final: boolean, sheet: string?, each: function?}
---each(loader, valid): called for every batch, once its outputs are in the graph
---@return table? [task] list of {name, value, unit, goal}; nil when someone asked the run to stop: then
---nothing is logged, and a resumed run evaluates again
function evaluate.run(ctx, graph, o)
  local fields = { "image", table.unpack(o.tasks) }
  local loader <close> = dataset.plain_loader(o.data.val, o.data, o.cfg.data, o.cfg.eval.batch, fields)
  local meters, sums = {}, {}
  for _, task in ipairs(o.tasks) do meters[task] = meter(task, o.data.info, o.cfg, o.final) end
  local n = loader:batches()
  local progress <close> = core.progress(n, "evaluating", { per_step = o.cfg.eval.batch, unit = "images",
    tty = ctx.job.tty, quiet = ctx.job.quiet or not o.final })
  for b = 1, n do
    local valid = loader:next(graph)
    graph:forward(0)
    if b == 1 and o.sheet and o.cfg.eval.images > 0 then draw_sheet(ctx, graph, o) end
    for _, task in ipairs(o.tasks) do meters[task]:update(graph, "out/" .. task, task, valid) end
    add_routing(sums, graph, o.routing, valid)
    if o.each then o.each(loader, valid) end
    progress:update(b)
    if core.interrupted() then return nil end
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
  if o.final then dataset.report_bad(ctx, "val", loader:stats().bad) end
  ctx.run:tick()
  return result
end

return evaluate
