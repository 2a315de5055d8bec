--- From an ablation script to its trials: what it asks for is checked as a whole, and every trial
--- resolved as an experiment of its own.  config.lua lends the parts that experiments are made with.
local ablation = require "sak.ablation"
local diagnose = require "sak.diagnose"
local freeze = require "sak.freeze"
local goal = require "sak.goal"
local host = require "sak.host"
local override = require "sak.override"
local resolve = require "sak.resolve"

local ablation_config = {}

--- The base of an ablation: its own script, or an experiment inside it.
local function base_of(read, loader, report, read_result, document)
  local raw = read_result.tree.base
  if type(raw) == "table" then
    return { tree = raw, document = diagnose.document(raw, loader.texts), dir = read_result.dir }
  end
  local dir = read_result.dir
  local candidates = { raw, dir .. raw, dir .. "../" .. raw }
  local path
  for _, candidate in ipairs(candidates) do
    local there = loader.files and loader.files[candidate] or
      (not loader.files and host.exists(candidate) == "file")
    path = path or there and candidate or nil
  end
  if not path then
    local d = { message = ("base: %s: no such file"):format(raw) }
    d.file, d.line, d.col = document:locate { "base" }
    report:add(d)
    return nil
  end
  local base = read(loader, report, path)
  if base and base.kind ~= "experiment" then
    local d = { message = ("base: %s is not an experiment"):format(raw) }
    d.file, d.line, d.col = document:locate { "base" }
    report:add(d)
    return nil
  end
  return base
end

local ablation_fields = { base = true, arms = true, grid = true, seeds = true, objective = true,
  question = true, space = true, sampler = true, stopper = true }

--- Warns when --set fixes what is swept: the sweep would compare equal things.
local function warn_pinned(report, pinned, arms, axes, space)
  for _, change in ipairs(pinned) do
    local path = override.show(change.steps)
    for _, axis in ipairs(axes) do
      if ablation.covers(path, axis.path) then
        report:add { severity = "warning", path = path,
          message = ("--set %s pins '%s', which the grid sweeps"):format(change.text, axis.path) }
      end
    end
    for swept in pairs(space) do
      if ablation.covers(path, swept) then
        report:add { severity = "warning", path = path,
          message = ("--set %s pins '%s', which the sampler draws"):format(change.text, swept) }
      end
    end
    local set_by = {}
    for _, arm in ipairs(arms) do
      for _, c in ipairs(arm.changes) do
        if ablation.covers(path, c.text) then
          set_by[c.text] = set_by[c.text] or {}
          table.insert(set_by[c.text], "'" .. arm.name .. "'")
        end
      end
    end
    local texts = {}
    for text in pairs(set_by) do texts[#texts + 1] = text end
    table.sort(texts)
    for _, text in ipairs(texts) do
      local names = set_by[text]
      report:add { severity = "warning", path = path,
        message = ("--set %s pins '%s', which arm%s %s set%s"):format(change.text, text,
          #names > 1 and "s" or "", table.concat(names, ", "), #names > 1 and "" or "s") }
    end
    if path == "seed" then
      report:add { severity = "warning", path = path,
        message = ("--set %s pins the seed: all replicates will be the same run"):format(change.text) }
    end
  end
end

--- The first n seeds of a script; more than it lists go on after its largest.
local function first_seeds(seeds, n)
  local result, largest = host.array {}, -1
  for _, seed in ipairs(seeds) do largest = math.max(largest, seed) end
  for i = 1, n do
    result[i] = seeds[i] or largest + i - #seeds
  end
  return result
end

--- What a sampler needs, and what it cannot be combined with.
local function check_sampler(cx, resolved)
  if resolved.sampler and next(resolved.grid) then
    cx.problem({ "sampler" }, "a sampler draws from 'space'; a grid is listed in full: give one of them")
  elseif resolved.sampler and not next(resolved.space) then
    cx.problem({ "sampler" }, "a sampler needs a 'space' to draw from",
      'space = { ["student.adapter.rank"] = sak.choice { 8, 16, 32 } }')
  elseif next(resolved.space) and not resolved.sampler then
    cx.problem({ "space" }, "a space needs a sampler", "sampler = sak.random { trials = 20 }")
  elseif resolved.sampler and #resolved.arms > 1 then
    cx.problem({ "sampler" }, "a sampler improves one arm, but there are " .. #resolved.arms,
      "make what the arms differ in a sak.choice of the space")
  end
end

--- Who decides while trials run needs a metric that is there by then.
local function check_deciders(cx, resolved, report)
  local objective, stopper = resolved.objective.metric, resolved.stopper
  local unknown = goal.unknown(objective)
  if unknown then cx.problem({ "objective", "metric" }, unknown) end
  unknown = stopper and stopper.metric and goal.unknown(stopper.metric)
  if unknown then cx.problem({ "stopper", "metric" }, unknown) end
  local why = stopper and goal.only_at_the_end(stopper.metric or objective)
  if why then
    cx.problem({ "stopper" }, ("a stopper cannot decide by '%s', which %s"):format(stopper.metric or objective, why),
      'metric = "multitask/loss", or "val/semseg/mIoU" with eval = sak.eval { every = 100 } in the base')
  end
  if resolved.sampler and resolved.sampler.kind ~= "random" and objective == "val/delta_m" then
    report:add { severity = "warning", path = "objective", message = "the sampler improves 'val/delta_m', the default, which "
      .. "needs single-task runs of the same configuration in the database; objective = { metric = … } names another" }
  end
end

--- Points that show whether all values of a space are allowed: each end and choice once.
local function corners(space, seed)
  local list, middle = {}, {}
  for path, dimension in pairs(space) do
    local spec = dimension.spec
    middle[path] = spec.kind == "choice" and 1 or spec.low
  end
  local paths = {}
  for path in pairs(space) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local spec, ends = space[path].spec, {}
    if spec.kind == "choice" then
      for i = 1, #spec.values do ends[i] = i end
    else
      ends = { spec.low, spec.high }
    end
    for _, x in ipairs(ends) do
      local at = {}
      for other, value in pairs(middle) do at[other] = value end
      at[path] = x
      list[#list + 1] = { arm = 1, space = at, seed = seed }
    end
  end
  return list
end

--- One trial, resolved; nil after reporting what is wrong.
---@param experiment function  of config.lua
function ablation_config.trial(experiment, base, parts, point, report, files)
  local trial = ablation.trial(parts, point)
  local loaded = experiment(base, trial.changes, report, files)
  if not loaded then
    return nil
  end
  for key, value in pairs(loaded) do trial[key] = value end
  return trial
end

--- Resolves an ablation and every trial of it.
---@param config {context: function, experiment: function, read: function}
function ablation_config.load(config, loader, report, found, changes, options)
  local own, pinned = {}, {}
  for _, change in ipairs(changes) do
    local list = ablation_fields[change.steps[1]] and own or pinned
    list[#list + 1] = change
  end
  local job = { report = report, document = found.document, applied = {}, dir = found.dir,
    files = options.files }
  for _, change in ipairs(own) do
    local steps, message, help = override.apply(found.tree, change, "ablation")
    if steps then
      job.applied[#job.applied + 1] = { steps = steps, source = change }
    else
      report:add { message = ("--set %s: %s"):format(change.text, message), help = help }
    end
  end
  local cx = config.context(job)
  local inline = type(found.tree.base) == "table" and found.tree.base
  local raw = freeze.copy(found.tree)
  if inline then raw.base = "inline" end
  local resolved = resolve.value(cx, { t = "spec", family = "ablation" }, raw, {})
  for _, d in ipairs(cx.derived) do
    cx.problem(d.steps, "sak.derive is for an experiment's settings, not for an ablation's own")
  end
  if report:failed() or not resolved then
    return nil
  end
  local names = {}
  for i, arm in ipairs(resolved.arms) do
    if names[arm.name] then
      cx.problem({ "arms", i, "name" }, ("two arms are called '%s'"):format(arm.name))
    end
    names[arm.name] = true
  end
  local listed = {}
  for i, seed in ipairs(resolved.seeds) do
    if listed[seed] then cx.problem({ "seeds", i }, ("seed %d is listed twice"):format(seed)) end
    listed[seed] = true
  end
  for path, values in pairs(options.axes) do
    resolved.grid[path] = values
  end
  resolved.seeds = options.seeds and first_seeds(resolved.seeds, options.seeds) or resolved.seeds
  check_sampler(cx, resolved)
  resolved.objective.goal = resolved.objective.goal or goal.of(resolved.objective.metric)
  check_deciders(cx, resolved, report)
  local function problem(steps, message, want) cx.problem(steps, message, nil, want) end
  local arms, axes = ablation.parts(resolved, found.document, options.axes, problem)
  local parts = { arms = arms, axes = axes, pinned = pinned,
    space = ablation.space(resolved, found.document, problem) }
  local base = base_of(config.read, loader, report, found, found.document)
  if not base or report:failed() then
    return nil
  end
  warn_pinned(report, pinned, arms, axes, parts.space)
  local trials = {}
  local points = options.point and { options.point }
    or resolved.sampler and corners(parts.space, resolved.seeds[1])
    or ablation.points(parts, resolved.seeds)
  for i, point in ipairs(points) do
    trials[i] = ablation_config.trial(config.experiment, base, parts, point, report, options.files)
    if #report.list > 50 then
      break
    end
  end
  if report:failed() then
    return nil
  end
  local runtime = { threads = resolved.threads }
  resolved.threads = nil
  local plain = freeze.plain(resolved, report.texts, found.dir)
  plain.kind = "ablation"
  for _, key in ipairs { "arms", "seeds" } do host.array(plain[key]) end
  if inline then plain.base = freeze.plain(inline, report.texts, found.dir) end
  local base_loaded = config.experiment(base, pinned, report, options.files)
  if not base_loaded then
    return nil
  end
  plain.base_sha256 = base_loaded.group_sha256
  local json = host.encode(plain)
  return { kind = "ablation", name = resolved.name, resolved = plain, functions = {},
    runtime = runtime, json = json, config_sha256 = host.sha256(json), files = options.files,
    group_sha256 = host.sha256(json), params = {}, trials = trials, base = base, parts = parts,
    report = report }
end

return ablation_config
