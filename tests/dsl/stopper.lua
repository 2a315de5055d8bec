local stopper = require "sak.stopper"

local asha = { kind = "asha", metric = "loss", goal = "min", grace = 10, factor = 3 }
local median = { kind = "median", metric = "score", goal = "max", grace = 5, every = 10, startup = 3 }

test("decisions come at grace, grace x factor, …, or evenly", function()
  local function steps(spec) return table.concat({ stopper.step_of(spec, 1), stopper.step_of(spec, 2), stopper.step_of(spec, 3) }, " ") end
  equal(steps(asha), "10 30 90")
  equal(steps(median), "5 15 25")
  equal(math.type(stopper.step_of(asha, 3)), "integer")
end)

test("a metric of its own says which way is better, the objective's goal is the objective's", function()
  local function goal(spec) return stopper.complete(spec, "val/semseg/mIoU", "max").goal end
  equal(goal {}, "max")
  equal(goal { metric = "multitask/loss" }, "min")
  equal(goal { metric = "val/depth/RMSE" }, "min")
  equal(goal { metric = "val/depth/delta1" }, "max")
  equal(goal { metric = "multitask/images_per_s" }, "max")
  equal(goal { metric = "multitask/loss", goal = "max" }, "max")
end)

test("ASHA keeps the best third of those that came as far, the first always", function()
  local function kept(own, others) return stopper.goes_on(asha, own, others) end
  equal(kept(5, {}), true)
  equal(kept(5, { 6 }), true)
  equal(kept(5, { 4 }), false)
  equal(kept(5, { 4, 6, 7, 8 }), false)
  equal(kept(5, { 4, 6, 7, 8, 9 }), true) -- second of six
  equal(kept(5, { 4, 4.5, 7, 8, 9 }), false)
  equal(kept(0 / 0, { 4 }), false)
  equal(kept(5, { 0 / 0 }), true)
end)

test("the median ends what is worse than half of at least three others", function()
  local function kept(own, others) return stopper.goes_on(median, own, others) end
  equal(kept(1, { 5, 6 }), true)
  equal(kept(1, { 5, 6, 7 }), false)
  equal(kept(6, { 5, 6, 7 }), true)
  equal(kept(5.9, { 5, 6, 7 }), false)
  equal(kept(5.6, { 5, 5.5, 6, 7 }), false)
  equal(kept(5.8, { 5, 5.5, 6, 7 }), true)
end)

test("a verdict waits for the trials before it, and for them only", function()
  local function verdict(r, own, earlier) return stopper.verdict(asha, r, own, earlier) end
  equal(verdict(1, 5, {}), "go")
  equal(verdict(1, 5, { { over = false, rungs = {} } }), nil)
  equal(verdict(1, 5, { { over = false, rungs = { 4 } } }), "stop")
  equal(verdict(2, 5, { { over = true, rungs = { 4 } } }), "go") -- ended at the first rung: no rival at the second
  equal(verdict(1, 5, { { over = true, rungs = {} } }), "go")
end)

--- ASHA over 27 trials whose loss falls to a floor of their own: what any order of arrival decides.
local function simulate(jobs, hurry)
  local trials, running, started, clock, over = {}, {}, 0, 0, 0
  for i = 1, 27 do trials[i] = { floor = (i * 7919) % 101, rungs = {}, over = false, rung = 1 } end
  while over < 27 do
    while #running < jobs and started < 27 do
      started = started + 1
      running[#running + 1] = started
    end
    clock = clock + 1
    local i = running[(clock * hurry) % #running + 1] -- whose turn it is
    local t = trials[i]
    t.rungs[t.rung] = t.floor + 100 / t.rung
    local answer = stopper.verdict(asha, t.rung, t.rungs[t.rung], table.move(trials, 1, i - 1, 1, {}))
    if answer == "go" and t.rung < 3 then
      t.rung = t.rung + 1
    elseif answer then
      t.over, over = true, over + 1
      for k, n in ipairs(running) do
        if n == i then table.remove(running, k) break end
      end
    end
    assert(clock < 100000, "it hangs")
  end
  local reached = {}
  for i, t in ipairs(trials) do reached[i] = #t.rungs end
  return table.concat(reached)
end

test("what is ended does not depend on how many run at once, nor on which is faster", function()
  local alone = simulate(1, 1)
  assert(alone:find "1" and alone:find "3", alone)
  for jobs = 2, 8 do
    for hurry = 1, 5 do equal(simulate(jobs, hurry), alone) end
  end
end)

test("a run is not ended at its last step", function()
  equal(stopper.watch(asha).at_step { step = 10, at_end = true }, true)
end)
