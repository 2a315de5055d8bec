--- Which trials a sweep still needs: all of a grid at once, points of a sampler as it proposes them.

local config = require "sak.config"
local failure = require "sak.failure"
local host = require "sak.host"
local sampler = require "sak.sampler"

local plan = {}
local Plan = {}
Plan.__index = Plan

---@param loaded sak.Loaded  the frozen ablation
---@param row table  of the sweep
function plan.make(loaded, row)
  return setmetatable({ loaded = loaded, goal = row.goal, resolved = loaded.resolved }, Plan)
end

--- Trials of a sweep with the value of its objective, in order.
---@return {id: integer, n: integer, arm: string, arm_index: integer, cell: string?, seed: integer, label: string, state: string, value: number?, …}[]
function plan.trials(store, id, metric)
  local value = metric == "val/delta_m" and "(select d.delta_m from delta_m d where d.run = t.run_id)"
    or [[(select l.value from metric_last l join metric_key k on k.id = l.key_id where l.run_id = t.run_id
      and k.name = ?2)]]
  return store:query(([[select t.id, t.n, t.arm, t.arm_index, t.cell, t.seed, t.label, t.state, t.attempts, t.run_id,
    t.point_json, t.error, ?2 as metric, case when t.state = 'done' then %s end as value,
    (select sum(coalesce(a.ended_us, a.heartbeat_us) - a.started_us) / 1e6 from attempt a where a.run_id = t.run_id)
      as seconds
    from trial t where t.sweep_id = ?1 order by t.n]]):format(value), id, metric)
end

--- As a row of the trial table.
local function stored(trial)
  return { label = trial.label, point_json = host.encode(trial.point), arm = trial.arm, arm_index = trial.arm_index - 1,
    cell = trial.cell, seed = trial.seed, config_json = trial.json, config_sha256 = trial.config_sha256 }
end

local function add_missing(list, have, trial)
  local row = stored(trial)
  if not have[row.point_json] then list[#list + 1] = row end
  have[row.point_json] = true
end

--- Points proposed so far, by index, whether each is over, and the values of its seeds.
local function proposed(rows)
  local points = {}
  for _, t in ipairs(rows) do
    local at = host.decode(t.point_json)
    local p = points[at.index]
    if not p then
      p = { space = at.space, over = true, sum = 0, n = 0, seeds = 0 }
      points[at.index] = p
    end
    p.seeds = p.seeds + 1
    p.over = p.over and t.state ~= "queued" and t.state ~= "running"
    if t.value then p.sum, p.n = p.sum + t.value, p.n + 1 end
  end
  return points
end

--- What has come out of the first n points; nil while one of them is not over.  One that lost a seed (ended
--- early, failed, not a number) is worse than all that did not: the mean of its better seeds would flatter it.
local function history(points, n, goal)
  local list, whole = {}, 0
  for i = 1, n do
    local p = points[i]
    if not p.over then return nil end
    if p.n == p.seeds then whole = whole + 1 end
    list[i] = { space = p.space, value = p.n == p.seeds and p.sum / p.n or goal == "min" and math.huge or -math.huge }
  end
  return whole > 0 and list or {}
end

--- A further point that has not been there and gives a valid trial; nil when none is found.
function Plan:propose(points, seen, index, past)
  local dimensions = {}
  for path, d in pairs(self.loaded.parts.space) do dimensions[path] = d.spec end
  for salt = 0, 49 do
    local space = sampler.propose(self.resolved.sampler, dimensions, index, past, self.goal, salt)
    local trial = config.trial(self.loaded, { arm = 1, space = space, index = index, seed = self.resolved.seeds[1] })
    if trial and not seen[trial.cell] then
      seen[trial.cell] = true
      points[index] = { space = space, over = false, n = 0 }
      return true
    end
  end
end

--- Trials to add to those there are.
---@param rows table[]  as plan.trials gives them
---@return table[]
function Plan:missing(rows)
  local have, list = {}, {}
  for _, t in ipairs(rows) do have[t.point_json] = true end
  if not self.resolved.sampler then
    for _, trial in ipairs(self.loaded.trials) do add_missing(list, have, trial) end
    return list
  end
  local points, seen = proposed(rows), {}
  for _, t in ipairs(rows) do seen[t.cell] = true end
  while #points < self.resolved.sampler.trials do
    local index = #points + 1
    local past = history(points, sampler.looks_back(self.resolved.sampler, index), self.goal)
    if not past or not self:propose(points, seen, index, past) then break end
  end
  for _, seed in ipairs(self.resolved.seeds) do
    for index, p in ipairs(points) do
      local trial, problems = config.trial(self.loaded, { arm = 1, space = p.space, index = index, seed = seed })
      if not trial then error(failure.new(1, config.format(problems))) end
      add_missing(list, have, trial)
    end
  end
  return list
end

--- Trials there will be in the end, as far as is known.
function Plan:total(rows)
  local s = self.resolved.sampler
  return math.max(#rows, s and s.trials * #self.resolved.seeds or 0)
end

return plan
