local sampler = require "sak.sampler"

local space = {
  x = { kind = "uniform", low = -2.0, high = 4.0 },
  lr = { kind = "log_uniform", low = 1e-5, high = 1e-1 },
  n = { kind = "int_uniform", low = 2, high = 9 },
  c = { kind = "choice", values = { "a", "b", "c", "d" } },
}
-- Best at x = 1, lr = 1e-3, n = 5, c = 3; 0 there.
local function quadratic(p)
  return (p.x - 1) ^ 2 + (math.log(p.lr / 1e-3, 10)) ^ 2 + 0.25 * (p.n - 5) ^ 2 + (p.c == 3 and 0 or 1)
end

--- Best value of a search with this sampler.
local function search(spec, dimensions, objective)
  local points, best = {}, math.huge
  for index = 1, spec.trials do
    local past = {}
    for i = 1, sampler.looks_back(spec, index) do past[i] = points[i] end
    local p = sampler.propose(spec, dimensions, index, past, "min")
    points[index] = { space = p, value = objective(p) }
    best = math.min(best, points[index].value)
  end
  return best, points
end

local function tpe(seed) return { kind = "tpe", trials = 40, seed = seed, startup = 8, batch = 4, candidates = 24 } end
local function random(seed) return { kind = "random", trials = 40, seed = seed } end

test("draws lie in the space and are spread over it", function()
  local spec, counts, sum, small = { kind = "random", seed = 3 }, {}, 0, 0
  for i = 1, 2000 do
    local p = sampler.propose(spec, space, i, {}, "min")
    assert(p.x >= -2 and p.x < 4 and p.lr >= 1e-5 and p.lr <= 1e-1 and p.n >= 2 and p.n <= 9, "outside")
    counts[p.n] = (counts[p.n] or 0) + 1
    sum, small = sum + p.x, small + (p.lr < 1e-3 and 1 or 0)
  end
  for n = 2, 9 do assert(math.abs(counts[n] - 250) < 75, n .. " came " .. counts[n] .. " times") end
  assert(math.abs(sum / 2000 - 1) < 0.15, "mean " .. sum / 2000)
  assert(math.abs(small - 1000) < 100, small .. " of 2000 below the middle of the logarithm")
end)

test("a point depends on seed, index and path alone", function()
  local a = sampler.propose(random(1), space, 5, {}, "min")
  local b = sampler.propose(random(1), { x = space.x }, 5, {}, "max")
  equal(a.x, b.x)
  assert(sampler.propose(random(2), space, 5, {}, "min").x ~= a.x)
  assert(sampler.propose(random(1), space, 6, {}, "min").x ~= a.x)
  assert(sampler.propose(random(1), space, 5, {}, "min", 1).x ~= a.x)
end)

test("a proposal looks back at whole batches only", function()
  local back = {}
  for i = 1, 18 do back[i] = sampler.looks_back(tpe(0), i) end
  equal(table.concat(back, " "), "0 0 0 0 0 0 0 0 8 8 8 8 12 12 12 12 16 16")
  equal(sampler.looks_back(random(0), 18), 0)
end)

test("TPE beats random search on a quadratic, on average of many seeds", function()
  local t, r, wins, n = 0, 0, 0, 20
  for seed = 1, n do
    local a, b = search(tpe(seed), space, quadratic), search(random(seed), space, quadratic)
    t, r, wins = t + a / n, r + b / n, wins + (a < b and 1 or 0)
  end
  assert(t < 0.6 * r, ("best of 40 on average: TPE %.3f, random %.3f"):format(t, r))
  assert(wins >= 14, wins .. " of 20 seeds")
end)

test("TPE seeks the largest value when that is the goal", function()
  local points = {}
  for i = 1, 12 do
    points[i] = { space = { x = -2 + 0.5 * i }, value = -2 + 0.5 * i }
  end
  local sum = { min = 0, max = 0 }
  for goal in pairs(sum) do
    for seed = 1, 20 do
      sum[goal] = sum[goal] + sampler.propose(tpe(seed), { x = space.x }, 13, points, goal).x / 20
    end
  end
  assert(sum.max > 2 and sum.min < 0, ("%.2f, %.2f"):format(sum.max, sum.min))
end)
