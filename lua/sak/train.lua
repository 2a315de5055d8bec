--- The step loop, one for every stage: next batch, forward, backward, update, log.

local core = require "sak.core"
local failure = require "sak.failure"
local schedules = require "sak.schedules"

local train = {}

---@class Loop
---@field name string        stage name, prefix of its metrics
---@field graph userdata     training graph, planned and allocated
---@field params userdata
---@field loader userdata
---@field stage table        resolved stage
---@field terms string[]     outputs of the graph to log (one number each)
---@field after_update? fun(it: integer)
---@field on_iteration? fun(it: integer)

local function iterations_of(stage, loader)
  local per_epoch = loader:batches()
  local n = stage.iterations or math.ceil(stage.epochs * per_epoch)
  return n, per_epoch
end

---@param o table  resolved optimiser
function train.optimiser(params, o)
  local betas = o.betas or { 0.9, 0.999 }
  return core.optim(params, { kind = o.kind, weight_decay = o.weight_decay, beta1 = betas[1],
    beta2 = betas[2], eps = o.eps, momentum = o.momentum })
end

--- A loss or gradient that is not finite ends the run with an event that says where.
local function check_finite(ctx, loop, it, loss, norm)
  if loss == loss and norm == norm and math.abs(loss) < math.huge and math.abs(norm) < math.huge then return end
  local text = ("%s: loss %g, gradient norm %g at iteration %d"):format(loop.name, loss, norm, it)
  ctx.run:event("error", "not_finite", ctx.step, text)
  error(failure.new(1, text .. "; try a lower learning rate, gradient clipping (clip = 10) or a longer warm-up"))
end

--- Seconds by operation, largest first; shown when SAK_PROFILE is set.
local function report_profile(graph, name, iterations)
  local rows, total = {}, 0
  for op, seconds in pairs(graph:profile()) do
    rows[#rows + 1] = { op = op, seconds = seconds }
    total = total + seconds
  end
  table.sort(rows, function(a, b) return a.seconds > b.seconds end)
  io.stderr:write(("%s: %.1f ms per step in operations\n"):format(name, total / iterations * 1e3))
  for _, row in ipairs(rows) do
    io.stderr:write(("  %-28s %8.2f ms %5.1f%%\n"):format(row.op, row.seconds / iterations * 1e3, row.seconds / total * 100))
  end
end

--- Runs all iterations of a stage. Returns false when the user asked to stop.
---@param ctx table  the run's context
---@param loop Loop
function train.run(ctx, loop)
  local stage, run, graph = loop.stage, ctx.run, loop.graph
  local iterations, per_epoch = iterations_of(stage, loop.loader)
  local rate = schedules.make(stage.schedule, stage.optim.lr, { iterations = iterations, batches_per_epoch = per_epoch })
  local optim = train.optimiser(loop.params, stage.optim)
  local progress <close> = core.progress(iterations, loop.name,
    { per_step = stage.batch, unit = "images", tty = ctx.job.tty, quiet = ctx.job.quiet })
  local start, flops = core.clock(), graph:flops(true)
  local profiling = os.getenv "SAK_PROFILE"
  if profiling then graph:profile(true) end
  for it = 0, iterations - 1 do
    loop.loader:next(graph)
    local lr, before = rate(it), core.clock()
    graph:forward(ctx.step)
    graph:backward(ctx.step)
    local norm = optim:step(lr, stage.clip or 0)
    if loop.after_update then loop.after_update(it, iterations) end
    local loss, seconds = graph:value "loss", core.clock() - before
    check_finite(ctx, loop, it, loss, norm)
    local prefix = loop.name .. "/"
    run:log(prefix .. "loss", ctx.step, loss)
    for _, term in ipairs(loop.terms) do run:log(prefix .. term, ctx.step, graph:value(term)) end
    run:log(prefix .. "lr", ctx.step, lr)
    run:log(prefix .. "grad_norm", ctx.step, norm)
    run:log(prefix .. "step_s", ctx.step, seconds)
    run:log(prefix .. "gflops", ctx.step, flops / seconds / 1e9)
    ctx.step = ctx.step + 1
    run:tick()
    progress:update(it + 1, ("loss %.4f  lr %.2g"):format(loss, lr))
    if loop.on_iteration then loop.on_iteration(it + 1) end
    if core.interrupted() or ctx.at_step and not ctx.at_step(ctx) then return false end
  end
  local wall = core.clock() - start
  if profiling then report_profile(graph, loop.name, iterations) end
  run:log(loop.name .. "/images_per_s", ctx.step, iterations * stage.batch / wall)
  run:log(loop.name .. "/wall_s", ctx.step, wall)
  local read = loop.loader:stats()
  run:log(loop.name .. "/loader_wait_s", ctx.step, read.wait_s)
  if read.bad > 0 then
    run:log(loop.name .. "/loader_bad", ctx.step, read.bad)
    local text = ("%s: %d images could not be read and were skipped; `sak data check` names them"):format(loop.name, read.bad)
    run:event("warn", "data", ctx.step, text)
    ctx.note(text)
  end
  run:flush()
  return true
end

return train
