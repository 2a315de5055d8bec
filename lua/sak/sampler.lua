--- Points of a space, drawn at random or where earlier ones were good.  A point is a number per path:
--- an index for a choice, else the value.  Every draw is a function of the sampler's seed, the point's
--- index and the path alone.

local host = require "sak.host"

local sampler = {}

--- A stream of uniform numbers in [0, 1) that belongs to a text: splitmix64 from its hash (Steele et
--- al. 2014).
---@return fun(): number
local function stream(text)
  local state = tonumber(host.sha256(text):sub(1, 8), 16) << 32 | tonumber(host.sha256(text):sub(9, 16), 16)
  return function()
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ z >> 30) * 0xBF58476D1CE4E5B9
    z = (z ~ z >> 27) * 0x94D049BB133111EB
    return ((z ~ z >> 31) >> 11) / 2.0 ^ 53
  end
end

-- Numbers are handled on the unit interval: u = 0 is the lower end, 1 the upper.

local function from_unit(spec, u)
  if spec.kind == "log_uniform" then
    return math.exp(math.log(spec.low) + u * (math.log(spec.high) - math.log(spec.low)))
  elseif spec.kind == "int_uniform" then
    return math.min(math.floor(spec.low + u * (spec.high - spec.low + 1)), spec.high)
  end
  return spec.low + u * (spec.high - spec.low)
end

local function to_unit(spec, x)
  if spec.kind == "log_uniform" then
    return (math.log(x) - math.log(spec.low)) / (math.log(spec.high) - math.log(spec.low))
  elseif spec.kind == "int_uniform" then
    return (x - spec.low + 0.5) / (spec.high - spec.low + 1)
  end
  return (x - spec.low) / (spec.high - spec.low)
end

local function draw_random(spec, u)
  if spec.kind == "choice" then return math.min(math.floor(u * #spec.values) + 1, #spec.values) end
  return from_unit(spec, u)
end

-- Parzen estimates --------------------------------------------------------------------------------

local function erf(x)
  -- Abramowitz & Stegun 7.1.26, |error| < 1.5e-7: truncation of a kernel needs no more
  local t = 1 / (1 + 0.3275911 * math.abs(x))
  local y = 1 - ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
    * math.exp(-x * x)
  return x < 0 and -y or y
end

local function normal_cdf(z) return 0.5 * (1 + erf(z / math.sqrt(2))) end

--- A mixture of one Gaussian per observation, cut at the ends, and one wide one in the middle as the
--- prior.  A kernel is as wide as the larger gap to its neighbours (Bergstra et al. 2011, section 4.2).
---@param xs number[]  in [0, 1]
local function parzen(xs)
  local points = { 0.5 }
  table.move(xs, 1, #xs, 2, points)
  table.sort(points)
  local narrowest = 1 / math.min(100, #points + 1)
  local kernels, prior = {}, false
  for i, m in ipairs(points) do
    local width = math.max(m - (points[i - 1] or 0), (points[i + 1] or 1) - m)
    width = math.min(math.max(width, narrowest), 1)
    if m == 0.5 and not prior then
      width, prior = 1, true
    end
    local low, high = normal_cdf(-m / width), normal_cdf((1 - m) / width)
    kernels[i] = { m = m, s = width, low = low, mass = high - low }
  end
  return kernels
end

local function density(kernels, x)
  local sum = 0
  for _, k in ipairs(kernels) do
    local z = (x - k.m) / k.s
    sum = sum + math.exp(-0.5 * z * z) / (k.s * k.mass)
  end
  return sum / (#kernels * math.sqrt(2 * math.pi))
end

--- A draw from the mixture: a kernel, then a point of it by bisection of its distribution.
local function draw_parzen(kernels, pick, u)
  local k = kernels[math.min(math.floor(pick * #kernels) + 1, #kernels)]
  local target, a, b = k.low + u * k.mass, 0.0, 1.0
  for _ = 1, 40 do
    local middle = (a + b) / 2
    if normal_cdf((middle - k.m) / k.s) < target then a = middle else b = middle end
  end
  return (a + b) / 2
end

--- Shares of the choices, each counted once in advance.
local function shares(spec, observed)
  local n, list = #spec.values, {}
  for i = 1, n do list[i] = 1 end
  for _, x in ipairs(observed) do list[x] = list[x] + 1 end
  for i = 1, n do list[i] = list[i] / (n + #observed) end
  return list
end

--- One coordinate: a choice is drawn as the good points chose; of several draws of a number from the
--- good points' density, the one with the largest ratio to the others' density is taken.
local function improve(spec, good, bad, candidates, unit)
  local best, best_ratio
  local function offer(x, ratio)
    if not best or ratio > best_ratio then best, best_ratio = x, ratio end
  end
  if spec.kind == "choice" then
    -- one draw, not the best of several: among a few values that would always be the same one
    local g, u, x = shares(spec, good), unit(), 1
    while x < #g and u >= g[x] do
      u, x = u - g[x], x + 1
    end
    return x
  end
  local function units(list)
    local out = {}
    for i, x in ipairs(list) do out[i] = to_unit(spec, x) end
    return out
  end
  local g, b = parzen(units(good)), parzen(units(bad))
  for _ = 1, candidates do
    local u = draw_parzen(g, unit(), unit())
    offer(u, density(g, u) / density(b, u))
  end
  return from_unit(spec, math.min(best, 1 - 1e-12))
end

--- The better part of the finished points and the rest: γ = 1/4, at least one good one.
local function split(history, goal)
  local sorted = table.move(history, 1, #history, 1, {})
  for i, h in ipairs(sorted) do h.order = i end
  table.sort(sorted, function(p, q)
    if p.value ~= q.value then
      if goal == "min" then return p.value < q.value end
      return p.value > q.value
    end
    return p.order < q.order
  end)
  local n = math.max(1, (#sorted + 3) // 4)
  return table.move(sorted, 1, n, 1, {}), table.move(sorted, n + 1, #sorted, 1, {})
end

local function column(points, path)
  local list = {}
  for i, p in ipairs(points) do list[i] = p.space[path] end
  return list
end

-- Proposals ---------------------------------------------------------------------------------------

--- How many of the earlier points a proposal may look at: those of whole batches before its own.
---@param spec table  resolved sampler
---@param index integer  1-based
---@return integer
function sampler.looks_back(spec, index)
  if spec.kind == "random" or index <= spec.startup then return 0 end
  return spec.startup + (index - 1 - spec.startup) // spec.batch * spec.batch
end

--- The point of this index.
---@param spec table  resolved sampler
---@param dimensions table<string, table>  path -> resolved distribution
---@param index integer  1-based
---@param history {space: table, value: number}[]  finished ones of the first looks_back points
---@param goal "min"|"max"
---@param salt? integer  another draw where the first was of no use
---@return table<string, number>
function sampler.propose(spec, dimensions, index, history, goal, salt)
  local paths, point = {}, {}
  for path in pairs(dimensions) do paths[#paths + 1] = path end
  table.sort(paths)
  local good, bad
  if spec.kind == "tpe" and #history > 1 and index > spec.startup then good, bad = split(history, goal) end
  for _, path in ipairs(paths) do
    local unit = stream(table.concat({ spec.seed, index, salt or 0, path }, "/"))
    local dimension = dimensions[path]
    point[path] = good and improve(dimension, column(good, path), column(bad, path), spec.candidates, unit)
      or draw_random(dimension, unit())
  end
  return point
end

return sampler
