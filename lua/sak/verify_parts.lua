--- Dumps of one part each: resizing, optimisers, schedules, losses, metrics. Which one a folder
--- holds shows in what its files hold.

local core = require "sak.core"
local losses = require "sak.losses"
local schedules = require "sak.schedules"

local parts = {}

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

--- Every rate of every schedule, relative 1e-12.
function parts.schedules(dump, report)
  local expected = dump.info
  for _, name in ipairs(sorted_keys(expected)) do
    local r = expected[name]
    local kind, c, run = r.schedule:match("^%a+"), nil, nil
    if kind == "poly" then
      c, run = { kind = "poly", power = 0.9 }, { iterations = r.max_iters, batches_per_epoch = 1 }
    else
      local per = r.schedule:match("_(%a+)$") == "epoch" and "epoch" or "iteration"
      c = { kind = "cosine", per = per, warmup = r.warmup_epochs, warmup_init = 1.25e-7,
        min_lr = per == "epoch" and 1.25e-6 or 1e-5 }
      run = { iterations = r.max_epochs * r.iters_per_epoch, batches_per_epoch = r.iters_per_epoch }
    end
    local rate = schedules.make(c, r.base_lr, run)
    for it, want in ipairs(r.lr) do
      report:number(("%s/%d"):format(name, it - 1), rate(it - 1), want, 1e-12)
    end
  end
end

--- Five updates of every optimiser from the same gradients; parameters to 2e-6.
function parts.optim(dump, report)
  local cfg, inputs, expected = dump.cfg, dump.inputs, dump.expected
  local want = expected:shapes()
  for _, name in ipairs(sorted_keys(cfg.runs)) do
    local r, params, graph = cfg.runs[name], core.params(0), core.graph { training = true }
    local sum, names = nil, {}
    for tensor, shape in pairs(inputs:shapes()) do
      local p = tensor:match("^param/(.+)")
      if p then
        names[#names + 1] = p
        local s = graph:param(params, p, shape):sum_all()
        sum = sum and sum + s or s
      end
    end
    graph:plan(sum)
    graph:allocate()
    for _, p in ipairs(names) do core.fill(params, p, inputs, "param/" .. p, {}) end
    local optim = core.optim(params, { kind = r.kind, weight_decay = r.weight_decay, beta1 = cfg.betas[1],
      beta2 = cfg.betas[2], eps = cfg.eps, momentum = cfg.momentum })
    for step, lr in ipairs(r.lr) do
      for _, p in ipairs(names) do
        core.fill(params, p, inputs, ("grad%d/%s"):format(step, p), { what = "grad" })
      end
      report:number(("%s/step%d/norm"):format(name, step), optim:step(lr, r.clip), cfg.grad_norms[name][step], 2e-6)
      for _, p in ipairs(names) do
        local tensor = ("%s/step%d/%s"):format(name, step, p)
        if want[tensor] then
          local c = core.compare(params, p, expected, tensor, {})
          report:part(tensor, c, c.worst <= 2e-6, "2e-6 worst")
        end
      end
    end
  end
end

--- y and, where given, the gradient of x. A parameter stands for x, so that it gets a gradient; the
--- given gradient of y enters through sum(y * gy).
function parts.resize(dump, report)
  local inputs, expected = dump.inputs, dump.expected
  for _, tensor in ipairs(sorted_keys(expected:shapes())) do
    local i, mode = tensor:match("^y(%d+)/(.+)$")
    if i then
      local xs, ys = inputs:shapes()["x" .. i], expected:shapes()[tensor]
      local params, graph = core.params(0), core.graph { training = true }
      local x = graph:param(params, "x", { xs[1], xs[3], xs[4], xs[2] })
      local y = x:resize { size = { ys[3], ys[4] }, mode = mode }
      local gx = ("gx%s/%s"):format(i, mode)
      local objective = inputs:shapes()["gy" .. i] and (y * graph:input("gy", { ys[1], ys[3], ys[4], ys[2] })):sum_all()
      graph:output("y", y)
      graph:plan(objective or nil)
      graph:allocate()
      core.fill(params, "x", inputs, "x" .. i, { channel_first = true })
      if objective then core.fill(graph, "gy", inputs, "gy" .. i, { channel_first = true }) end
      graph:forward(0)
      if objective then graph:backward(0) end
      local c = core.compare(graph, "y", expected, tensor, { channel_first = true })
      report:part(tensor, c, c.worst <= 1e-6 * math.max(1, c.max), "1e-6 worst")
      if objective and expected:shapes()[gx] then
        c = core.compare(params, "x", expected, gx, { channel_first = true, what = "grad" })
        report:part(gx, c, c.worst <= 1e-6 * math.max(1, c.max), "1e-6 worst")
      end
    end
  end
end

--- Loss and gradient of one loss: `make(x)` builds it over the parameter x.
local function one_loss(report, o, inputs, expected)
  local params, graph = core.params(0), core.graph { training = true }
  local s = inputs:shapes()[o.x]
  local x = graph:param(params, "x", { s[1], s[3], s[4], s[2] })
  local y = graph:input("y", o.label_shape)
  local loss = o.make(x, y)
  graph:output("loss", loss)
  graph:plan(loss)
  graph:allocate()
  core.fill(params, "x", inputs, o.x, { channel_first = true })
  core.fill(graph, "y", inputs, o.y, { channel_first = o.maps })
  graph:forward(0)
  graph:backward(0)
  report:loss("loss/" .. o.key, core.compare(graph, "loss", expected, "loss/" .. o.key, {}))
  report:grad("grad/" .. o.key, core.compare(params, "x", expected, "grad/" .. o.key,
    { channel_first = true, what = "grad" }))
end

--- Every task loss and distillation loss, with gradients.
function parts.losses(dump, report)
  local inputs, expected = dump.inputs, dump.expected
  for _, tensor in ipairs(sorted_keys(inputs:shapes())) do
    local key, kind = tensor:match("^pred/(.+)$"), tensor:match("^student/(.+)$")
    if key then
      local task = key:match("/(.+)$"):gsub("_all_ignored$", "")
      local s = inputs:shapes()["label/" .. key]
      local plane = task == "semseg" or task == "human_parts" or task == "sal"
      one_loss(report, { key = key, x = tensor, y = "label/" .. key, maps = s[2] > 1,
        label_shape = plane and { s[1], s[3], s[4] } or { s[1], s[3], s[4], s[2] },
        make = function(x, y) return losses.task(task, x, y) end }, inputs, expected)
    elseif kind then
      local s = inputs:shapes()["teacher/" .. kind]
      one_loss(report, { key = "kd/" .. kind, x = tensor, y = "teacher/" .. kind, maps = true,
        label_shape = { s[1], s[3], s[4], s[2] },
        make = function(x, y) return losses.distill_one(x, y, kind) end }, inputs, expected)
    end
  end
end

--- Official meter values from raw head outputs; classes that were stored as decisions are put out as
--- one-hot logits.
function parts.metrics(dump, report)
  local expected, inputs = dump.info, dump.inputs
  for _, case in ipairs(sorted_keys(expected.cases)) do
    local r = expected.cases[case]
    local pascal = r.dataset == "pascalcontext"
    local classes = ({ semseg = pascal and 21 or 40, human_parts = 7 })[r.task] or 0
    local meter = core.meter(r.task, { classes = classes, edge_weight = pascal and 0.95 or 0.8 })
    for update = 0, r.updates - 1 do
      local logits, gt = ("%s/logits%d"):format(case, update), ("%s/gt%d"):format(case, update)
      local shapes = inputs:shapes()
      local s, g = shapes[logits], shapes[gt]
      local graph = core.graph { training = false }
      local label = g[2] > 1 and { g[1], g[3], g[4], g[2] } or r.task == "edge" and { g[1], g[3], g[4], 1 }
        or r.task == "depth" and { g[1], g[3], g[4], 1 } or { g[1], g[3], g[4] }
      local C = s and s[2] or classes
      local x, y = graph:input("x", { g[1], g[3], g[4], C }), graph:input("y", label)
      graph:output("keep", x:sum_all() + y:sum_all())
      graph:plan()
      graph:allocate()
      if s then
        core.fill(graph, "x", inputs, logits, { channel_first = true })
      else
        local pred, hot = inputs:get(("%s/pred%d"):format(case, update)), {}
        for i, k in ipairs(pred) do
          for c = 0, C - 1 do hot[(i - 1) * C + c + 1] = c == k and 1 or 0 end
        end
        graph:set("x", hot)
      end
      core.fill(graph, "y", inputs, gt, { channel_first = g[2] > 1 })
      meter:update(graph, "x", "y", g[1])
    end
    for _, m in ipairs(meter:score()) do
      if r.score[m.name] then
        report:absolute(case .. "/" .. m.name, m.value, r.score[m.name], 1e-5)
      end
    end
  end
end

--- Which one part a folder holds, if it does: function(dump, report).
---@param dump table  { cfg, info, inputs, expected }
---@return function?
function parts.find(dump)
  local cfg, info, inputs, expected = dump.cfg, dump.info, dump.inputs, dump.expected
  if cfg then return cfg.runs and parts.optim or nil end
  if info.cases then return parts.metrics end
  if inputs and expected then
    local shapes = inputs:shapes()
    if shapes.x0 then return parts.resize end
    for name in pairs(shapes) do
      if name:match "^pred/" or name:match "^student/" then return parts.losses end
    end
  end
  local _, first = next(info)
  if not inputs and type(first) == "table" and first.lr then return parts.schedules end
end

return parts
