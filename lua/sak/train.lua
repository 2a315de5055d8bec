--- The step loop, one for every stage: next batch, forward, backward, update, log.

local core = require "sak.core"
local dataset = require "sak.dataset"
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
---@field record? fun(name: string, value: number)  hears what is logged of a step, but for the clock
---@field after_update? fun(it: integer)
---@field on_iteration? fun(it: integer)
---@field sets any[]         prefix, parameters, prefix, parameters, …: what a checkpoint holds
---@field optim userdata     from here on made by train.run
---@field iterations integer
---@field begun number       when this attempt came to the stage
---@field at {iteration: integer, offset: integer, rewinds: integer, skips: integer, seconds: number, wait: number, bad: integer, stall: number}

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

--- After so many steps left out in a row, or so many times back, the run ends after all.
local SKIPS, REWINDS = 20, 5

local function finite(x) return x == x and math.abs(x) < math.huge end

--- What on_nan says about a loss or gradient that is not finite: ends the run, or returns after an
--- event.
---@return boolean rewound
local function not_finite(ctx, loop, it, loss, norm)
  local at, policy = loop.at, ctx.cfg.on_nan or "stop"
  local text = ("%s: loss %g, gradient norm %g at iteration %d"):format(loop.name, loss, norm, it)
  local done = policy == "skip" and "; the batch is left out" or ""
  local problem
  if policy == "skip" then
    at.skips = at.skips + 1
    if at.skips > SKIPS then problem = ("%d in a row were left out"):format(SKIPS) end
  elseif policy == "rewind" then
    local step = ctx.step
    if at.rewinds >= REWINDS then
      problem = ("the run has gone back %d times"):format(REWINDS)
    elseif not ctx.keeper then
      problem = "this run keeps no checkpoints"
    else
      problem = ctx.keeper:rewind(loop, it)
    end
    done = problem and "" or ("; back to step %d, on with the data after this batch"):format(ctx.step)
    if not problem then ctx.run:event("warn", "not_finite", step, text .. done) end
  end
  if policy == "skip" and not problem then ctx.run:event("warn", "not_finite", ctx.step, text .. done) end
  if policy ~= "stop" and not problem then
    ctx.note("warning: " .. text .. done)
    return policy == "rewind"
  end
  text = problem and text .. "; " .. problem or text
  ctx.run:event("error", "not_finite", ctx.step, text)
  error(failure.new(1, text .. "; try a lower learning rate, gradient clipping (clip = 10) or a longer warm-up"))
end

--- What depends on the clock (how far the loader reads ahead, too), and so differs between two runs
--- that are otherwise equal, by its unit.
--- `sak replay` leaves out what has one of these.
train.clocked = { ["s"] = true, ["images/s"] = true, ["GFLOP/s"] = true, ["reads"] = true }
local units = { step_s = "s", gflops = "GFLOP/s", images_per_s = "images/s", wall_s = "s", loader_wait_s = "s",
  checkpoint_s = "s" }

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

--- One step: forward, backward, update.  Nothing is updated where loss or gradient is not finite.
---@return number loss, number norm
local function step(ctx, loop, lr)
  local graph, optim = loop.graph, loop.optim
  graph:forward(ctx.step)
  graph:backward(ctx.step)
  local loss = graph:value "loss"
  local norm = finite(loss) and optim:step(lr, loop.stage.clip or 0) or optim:norm()
  return loss, norm
end

--- Running statistics of all the sets of a loop, to be put back after a step that is left out.
local function running(loop, saved)
  local list = {}
  for i = 2, #loop.sets, 2 do list[i] = core.running(loop.sets[i], saved and saved[i]) end
  return list
end

--- Saves a checkpoint if it is time, ends the attempt if someone asked for that.
---@return boolean go_on
local function after_step(ctx, loop, it)
  local keeper = ctx.keeper
  if keeper and it < loop.iterations then
    keeper:collect(false)
    if keeper:due(it) then keeper:save(loop, it) end
  end
  if loop.on_iteration then loop.on_iteration(it) end
  ctx.at_end = it == loop.iterations and ctx.stage_index == #ctx.cfg.stages
  local go_on = not core.interrupted() and (not ctx.at_step or ctx.at_step(ctx))
  if not go_on and not ctx.pruned and keeper and not keeper:saved_here() then keeper:save(loop, it) end
  return go_on
end

--- Images of the stage that could not be read.  A resumed run's loader meets those of the attempts before
--- it once more: the larger count stands for both, too low only where neither saw all images.
---@return integer
function train.bad(loop) return math.max(loop.at.bad, loop.loader:stats().bad) end

--- Logs what a stage comes to in the end.
local function log_totals(ctx, loop)
  local run, at, name = ctx.run, loop.at, loop.name
  local wall = at.seconds + core.clock() - loop.begun
  run:log(name .. "/images_per_s", ctx.step, loop.iterations * loop.stage.batch / wall)
  run:log(name .. "/wall_s", ctx.step, wall)
  local read = loop.loader:stats()
  run:log(name .. "/loader_wait_s", ctx.step, at.wait + read.wait_s)
  dataset.report_bad(ctx, name, train.bad(loop))
  if ctx.keeper then run:log(name .. "/checkpoint_s", ctx.step, at.stall) end
end

--- Where the stage begins: at its first step, or where a checkpoint left it.
---@return boolean go_on
local function begin(ctx, loop)
  loop.at = { iteration = 0, offset = 0, rewinds = 0, skips = 0, seconds = 0, wait = 0, bad = 0, stall = 0 }
  loop.optim = train.optimiser(loop.params, loop.stage.optim)
  local found = ctx.resume
  if found then
    ctx.resume = nil
    require("sak.checkpoint").restore(loop, found.file, found.state)
    found.file:close()
    ctx.keeper:resume(found)
  end
  for name, unit in pairs(units) do ctx.run:describe(loop.name .. "/" .. name, { unit = unit }) end
  loop.begun = core.clock()
  if ctx.keeper and ctx.keeper:is_rewind_point(loop.at.iteration) and not ctx.keeper:saved_here() then
    ctx.keeper:save(loop, loop.at.iteration)
  end
  if loop.at.iteration > 0 and loop.on_iteration then loop.on_iteration(loop.at.iteration) end
  if found and core.interrupted() then return false end
  -- what was decided at this step came after the checkpoint
  return not (found and ctx.at_step) or ctx.at_step(ctx)
end

--- Runs all iterations of a stage. Returns false when the user asked to stop.
---@param ctx table  the run's context
---@param loop Loop
function train.run(ctx, loop)
  local stage, run, graph = loop.stage, ctx.run, loop.graph
  local iterations, per_epoch = iterations_of(stage, loop.loader)
  loop.iterations = iterations
  if not begin(ctx, loop) then return false end
  local at, prefix = loop.at, loop.name .. "/"
  local rate = schedules.make(stage.schedule, stage.optim.lr, { iterations = iterations, batches_per_epoch = per_epoch })
  local progress <close> = core.progress(iterations, loop.name,
    { per_step = stage.batch, unit = "images", tty = ctx.job.tty, quiet = ctx.job.quiet })
  local flops = graph:flops(true)
  local profiling = os.getenv "SAK_PROFILE"
  if profiling then graph:profile(true) end
  local function log(name, value)
    run:log(prefix .. name, ctx.step, value)
    if loop.record then loop.record(name, value) end
  end
  while at.iteration < iterations do
    local it = at.iteration
    loop.loader:next(graph)
    local saved = ctx.cfg.on_nan == "skip" and running(loop)
    local lr, before = rate(it), core.clock()
    local loss, norm = step(ctx, loop, lr)
    local sound = finite(loss) and finite(norm)
    if sound then
      at.skips = 0
      if loop.after_update then loop.after_update(it, iterations) end
    elseif not_finite(ctx, loop, it, loss, norm) then
      goto continue -- from a step before this one
    else
      running(loop, saved)
    end
    local seconds = core.clock() - before
    log("loss", loss)
    for _, term in ipairs(loop.terms) do log(term, graph:value(term)) end
    log("lr", lr)
    log("grad_norm", norm)
    run:log(prefix .. "step_s", ctx.step, seconds)
    run:log(prefix .. "gflops", ctx.step, flops / seconds / 1e9)
    ctx.step = ctx.step + 1
    at.iteration = it + 1
    run:tick()
    progress:update(it + 1, ("loss %.4f  lr %.2g"):format(loss, lr))
    if not after_step(ctx, loop, it + 1) then return false end
    ::continue::
  end
  if profiling then report_profile(graph, loop.name, iterations) end
  if ctx.keeper and not ctx.keeper:saved_here() then ctx.keeper:save(loop, iterations) end
  log_totals(ctx, loop)
  run:flush()
  return true
end

return train
