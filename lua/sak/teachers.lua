--- The committee of an experiment: weight files as they are, built-in teachers trained when missing
--- and cached by the hash of their recipe.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local paths = require "sak.paths"
local teacher = require "sak.models.teacher"

local teachers = {}

--- Changes when what a recipe's training computes changes, so that old files are not taken for new.
local RECIPE_VERSION = "1"

--- experiments/teachers/<name>.lua, beside the script or in the current folder.
local function recipe_path(name, script)
  local tried = {}
  local here = paths.folder(script)
  for _, dir in ipairs { here .. "/teachers", here, here .. "/../experiments/teachers", "experiments/teachers" } do
    local path = dir .. "/" .. name .. ".lua"
    if host.exists(path) == "file" then return path end
    tried[#tried + 1] = path
  end
  error(("the recipe of the built-in teacher '%s' was not found; looked for %s"):format(name,
    table.concat(tried, ", ")), 0)
end

---@return string file, table loaded  where the teacher's weights are, or will be
local function cached_file(ctx, name)
  local config = require "sak.config"
  local path = recipe_path(name, ctx.script)
  local loaded, problems = config.load(path, {})
  if not loaded then error(config.format(problems), 0) end
  local hash = host.sha256(RECIPE_VERSION .. loaded.json)
  return ("%s/cache/teachers/%s-%s.safetensors"):format(ctx.results, name, hash:sub(1, 12)), loaded
end

--- Trains the named built-in teacher as a run of its own.
local function train(ctx, name, loaded, file)
  ctx.note(("teacher '%s' is not in the cache yet: training it (%s)"):format(name, loaded.sources[1].path))
  core.mkdir(paths.folder(file))
  -- an interrupted training of the same recipe goes on
  local row = ctx.store:query([[select * from run where kind = 'teacher' and config_sha256 = ?1
    and state in ('stopped', 'lost') order by id desc limit 1]], loaded.config_sha256)[1]
  local run = require "sak.run"
  local state = run.experiment(loaded, ctx.store, ctx.job, { kind = "teacher", export = file, resume = row })
  if state ~= "done" then
    error(failure.new(run.stopped_status(), "interrupted while training teacher '" .. name .. "'"))
  end
end

--- The file of a built-in teacher, which is trained if it is missing.  A sweep has settled on files
--- before its trials start.
local function trained(ctx, name)
  if ctx.teacher_files then return ctx.teacher_files[name] end
  local path, loaded = cached_file(ctx, name)
  if host.exists(path) ~= "file" then train(ctx, name, loaded, path) end
  return path
end

--- Files of all built-in teachers that the trials of a sweep look at; missing ones are trained.
---@return table<string, string>
function teachers.prepare(ablation, store, job)
  local ctx = { script = ablation.sources[1].path, results = paths.folder(job.db), store = store, job = job,
    note = function(text) if not job.quiet then io.stderr:write(text, "\n") end end }
  local files = {}
  for _, trial in ipairs(ablation.trials) do
    for _, t in ipairs(require("sak.run").committee(trial.resolved)) do
      if t.builtin and not files[t.builtin] then files[t.builtin] = trained(ctx, t.builtin) end
    end
  end
  return files
end

--- Opens every teacher of the configuration.
---@return Teacher[]
function teachers.open(ctx, list)
  local open = {}
  for i, t in ipairs(list) do
    local file = t.builtin and trained(ctx, t.builtin) or t.weights
    open[i] = teacher.open(t, file or "random")
  end
  return open
end

--- The same without training anything: missing built-in teachers get random weights (for `check`).
function teachers.sketch(ctx, list)
  local open = {}
  for i, t in ipairs(list) do
    local file, spec = t.weights or "random", t
    if t.builtin and ctx.teacher_files then
      file = ctx.teacher_files[t.builtin]
    elseif t.builtin then
      local path, loaded = cached_file(ctx, t.builtin)
      if host.exists(path) == "file" then
        file = path
      else
        spec = {} -- the recipe's encoder, as this teacher
        for k, v in pairs(loaded.resolved.student.stem) do spec[k] = v end
        for k, v in pairs(t) do spec[k] = v end
      end
    end
    open[i] = teacher.open(spec, file)
  end
  return open
end

return teachers
