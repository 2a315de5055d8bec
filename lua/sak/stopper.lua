--- Early stopping of trials.  A trial comes to a decision at fixed steps of its run ("rungs") and is
--- held against those trials before it, in the order of the sweep, that came as far.  It waits for
--- the ones still on their way, so what is decided does not depend on how many run at once, nor on
--- which is faster.
---
--- The worker measures and asks (watch), the sweep decides (step_of, verdict).

local failure = require "sak.failure"
local goal = require "sak.goal"

local stopper = {}

--- Fills in the ablation's objective where the stopper names none.
function stopper.complete(spec, objective, objective_goal)
  local result = {}
  for k, v in pairs(spec) do result[k] = v end
  result.goal = result.goal or result.metric and result.metric ~= objective and goal.of(result.metric) or objective_goal
  result.metric = result.metric or objective
  return result
end

--- Step of the r-th decision, r = 1, 2, …
---@param spec table  resolved stopper
---@param r integer
---@return integer
function stopper.step_of(spec, r)
  if spec.kind == "asha" then return spec.grace * spec.factor ^ (r - 1) // 1 | 0 end
  return spec.grace + (r - 1) * (spec.every or spec.grace)
end

local function median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

--- Does a trial with this value go on, given those of the trials before it that came as far?
--- ASHA: while it is among the best 1/factor of them all, itself included.  Median: unless it is worse
--- than the median of at least `startup` others.  What is not a number is worse than everything.
---@param spec table
---@param own number
---@param others number[]
---@return boolean
function stopper.goes_on(spec, own, others)
  local sign = spec.goal == "min" and 1 or -1
  local function cost(v) return v == v and sign * v or math.huge end
  local costs, better = {}, 0
  for i, v in ipairs(others) do
    costs[i] = cost(v)
    if costs[i] <= cost(own) then better = better + 1 end
  end
  if spec.kind == "median" then
    return #costs < spec.startup or cost(own) <= median(costs)
  end
  return better < math.max(1, (#costs + 1) // spec.factor)
end

--- The sweep's answer to a trial at rung r: "go", "stop", or nil while a trial before it is on its way.
---@param earlier {over: boolean, rungs: number[]}[]  the trials before it
function stopper.verdict(spec, r, own, earlier)
  local others = {}
  for _, t in ipairs(earlier) do
    if t.rungs[r] then
      others[#others + 1] = t.rungs[r]
    elseif not t.over then
      return nil
    end
  end
  return stopper.goes_on(spec, own, others) and "go" or "stop"
end

--- In the worker: what the run logs is watched, and at each rung the sweep is asked over standard
--- output, which nothing else uses.
---@return {run: (fun(run: any): any), at_step: fun(ctx: table): boolean}
function stopper.watch(spec)
  local last, rung = nil, 1
  local watch = {}

  --- Takes up a run whose next step is `step`: what was logged and decided before it stands.
  function watch.go_on(store, run, step)
    local row = store:query([[select value from metrics where run = ?1 and metric = ?2 and step < ?3
      order by step desc limit 1]], run, spec.metric, step)[1]
    last = row and (row.value or 0 / 0)
    while stopper.step_of(spec, rung) < step do rung = rung + 1 end
  end

  --- The run with its `log` overheard.
  function watch.run(run)
    local proxy = {}
    function proxy:log(key, step, value)
      if key == spec.metric then last = value end
      run:log(key, step, value)
    end
    return setmetatable(proxy, { __index = function(_, name)
      return function(_, ...) return run[name](run, ...) end
    end })
  end

  --- After each step; false ends the run.
  function watch.at_step(ctx)
    if ctx.step < stopper.step_of(spec, rung) or ctx.at_end then return true end -- nothing is left to save
    if not last then
      error(failure.new(1, ("the stopper decides by '%s', which has not been logged by step %d; eval = sak.eval "
        .. "{ every = … } scores while training"):format(spec.metric, ctx.step)))
    end
    ctx.run:log(("sweep/rung%d"):format(rung), ctx.step, last)
    ctx.run:flush()
    io.stdout:write(("rung %d %.17g\n"):format(rung, last))
    io.stdout:flush()
    local answer = io.read "l"
    if answer == "stop" then
      ctx.run:tag("pruned", ("at step %d: %s = %g"):format(ctx.step, spec.metric, last))
      ctx.pruned = true
    end
    rung = rung + 1
    return answer == "go"
  end

  return watch
end

return stopper
