--- A stored run's model with weights that it left, for what comes after training: evaluation and
--- prediction.  Neither the script nor, for most models, the teachers need be there any more.

local checkpoint = require "sak.checkpoint"
local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local locate = require "sak.locate"
local paths = require "sak.paths"
local spec = require "sak.spec"
local stages = require "sak.stages"
local stored = require "sak.stored"
local weights = require "sak.weights"

local rebuild = {}

--- Models whose graph looks at the teachers after training too.
local with_teachers = { teacher_heads = true, all_teachers = true, distill_heads = true }

---@class Rebuilt
---@field row table  of the table run
---@field cfg table
---@field ctx table  what the stages need
---@field path string  of the weights
---@field step? integer  at which they were saved, of a checkpoint
---@field frozen table

local function name_of(row) return ("run %d (%s)"):format(row.id, row.experiment) end

--- Checkpoints of stages with labels; the others have no heads.
local function usable(cfg, folder)
  local list = {}
  for _, e in ipairs(checkpoint.list(folder)) do
    if stages.labelled(cfg.stages[e.stage]) then list[#list + 1] = e end
  end
  return list
end

local function steps_of(list)
  local steps = {}
  for i, e in ipairs(list) do steps[i] = e.step end
  return #steps == 0 and "it has no checkpoint of a stage with labels" or "it has checkpoints at step " .. table.concat(steps, ", ")
end

--- A checkpoint that is asked for: "best", "last" or a step.
---@return string path, integer step
local function pick(row, cfg, folder, which)
  local list = usable(cfg, folder)
  local path, step = nil, math.tointeger(tonumber(which))
  if which == "best" then
    path = folder .. "/best.safetensors"
    if host.exists(path) ~= "file" then
      error(failure.new(2, ("%s kept no best checkpoint; checkpoint = { best = \"val/<task>/<metric>\" } in its script keeps one")
        :format(name_of(row))))
    end
  elseif which == "last" then
    path = #list > 0 and list[#list].path
  elseif step then
    for _, e in ipairs(list) do path = e.step == step and e.path or path end
  else
    error(failure.new(2, ("--checkpoint must be best, last or a step, got '%s'"):format(which)))
  end
  if not path then error(failure.new(2, ("%s: there is no checkpoint '%s'; %s"):format(name_of(row), which, steps_of(list)))) end
  local file <close>, state = checkpoint.open(path, row.config_sha256)
  if not file then error(failure.new(1, state)) end
  return path, state.step
end

--- The weights that are asked for; without --checkpoint, and for "last", what the run left at its end.
local function choose(store, row, cfg, job)
  local folder = ("%s/runs/%s/checkpoints"):format(paths.folder(job.db), row.uid)
  local left = store:query([[select count(*) as n from artifact where run_id = ?1 and kind = 'weights'
    and path like '%student.safetensors']], row.id)[1].n > 0
  if left and (not job.checkpoint or job.checkpoint == "last") then
    return locate.student(store, job.db, tostring(row.id)).path
  end
  if not job.checkpoint then
    error(failure.new(2, ("%s is %s and left no student; %s%s"):format(name_of(row), row.state,
      steps_of(usable(cfg, folder)), #usable(cfg, folder) > 0 and ": --checkpoint last" or "")))
  end
  return pick(row, cfg, folder, job.checkpoint)
end

--- Output channels of a head that the weights have, where the head is one of sak's own.
---@return integer?
local function channels_of(shapes, task)
  for _, name in ipairs { "last_conv.weight", "linears.0.weight" } do
    local shape = shapes[("heads.%s.%s"):format(task, name)]
    if shape then return shape[1] end
  end
end

--- What the heads were built for. Of heads of the researcher's own only the data know.
local function info_of(cfg, path)
  local file <close> = core.weights(path)
  local shapes = file:shapes()
  local info = { classes = channels_of(shapes, "semseg"), parts = channels_of(shapes, "human_parts") }
  for _, task in ipairs(cfg.student.tasks) do
    local key = ({ semseg = "classes", human_parts = "parts" })[task]
    if key and not info[key] then
      info[key] = cfg.data[key] or require("sak.dataset").side(cfg.data, "train", true):info()[key]
    end
  end
  return info
end

local nothing = function() end
--- In the place of a run that is being recorded.
local unrecorded = { log = nothing, describe = nothing, event = nothing, artifact = nothing, tick = nothing }

--- The committee: names alone, where the graph has no teacher in it.
local function committee(ctx, frozen)
  local list = require("sak.run").committee(ctx.cfg)
  if with_teachers[ctx.cfg.model] then
    ctx.teacher_files = frozen.teachers
    return require("sak.teachers").open(ctx, list)
  end
  local names = {}
  for i, t in ipairs(list) do names[i] = { name = t.name, widths = {} } end
  return names
end

--- Finds a run and the weights that are asked for.
---@param store userdata
---@param job table
---@return Rebuilt
function rebuild.open(store, job)
  local row = stored.row(store, store:find(job.args[1]))
  local loaded, frozen = stored.load(store, row)
  if #job.set > 0 then
    local before = loaded.resolved
    loaded = stored.changed(store, row, frozen, job.set)
    for key, value in pairs(before) do
      if key ~= "data" and key ~= "eval" and host.encode { value } ~= host.encode { loaded.resolved[key] } then
        error(failure.new(2, ("--set: '%s' belongs to what %s trained; only data.* and eval.* can change"):format(key,
          name_of(row))))
      end
    end
    loaded.trained = before
  end
  if job.threads == 0 and loaded.runtime and loaded.runtime.threads then core.threads(loaded.runtime.threads) end
  local cfg = loaded.resolved
  local last = cfg.stages[#cfg.stages]
  if not stages.labelled(last) then
    error(failure.new(2, ("%s has no stage with labels: its student has no heads that predict"):format(name_of(row))))
  end
  local path, step = choose(store, row, cfg, job)
  local trained = (loaded.trained or cfg).data.size
  local ctx = { cfg = cfg, functions = loaded.functions, job = job, step = step or 0, run = unrecorded, trained_size = trained,
    results = paths.folder(job.db), data = { size = cfg.data.size, info = info_of(cfg, path) }, stage_index = #cfg.stages,
    note = function(text) if not job.quiet then io.stderr:write(text, "\n") end end }
  ctx.label_shape = require("sak.run").label_shape(ctx.data)
  ctx.teachers = committee(ctx, frozen)
  return { row = row, cfg = cfg, ctx = ctx, path = path, step = step, frozen = frozen }
end

--- Gives a planned graph's parameters the weights.
---@param r Rebuilt
---@param image integer[]  size that the graph was built for
function rebuild.load(r, params, image)
  local s = r.cfg.student
  local file <close> = core.weights(r.path)
  local fit, _, fresh = weights.fit_student(params, weights.values_of(file), { where = r.path, stem = s.stem, image = image,
    from_image = r.ctx.trained_size, lora = s.lora or nil, alpha = s.lora and s.lora.alpha })
  if fresh then error(failure.new(1, ("%s: holds no %s"):format(r.path, fresh))) end
  weights.load(fit, params, file)
end

--- Tasks by name, all of them the run's.
---@param text? string  "a,b"
---@return string[]
function rebuild.tasks(r, text)
  local own = r.cfg.student.tasks
  if not text then return own end
  local picked, seen = {}, {}
  for task in text:gmatch "[^,]+" do
    local found = false
    for _, t in ipairs(own) do found = found or t == task end
    if not found then
      local near = spec.nearest(task, own)
      error(failure.new(2, ("--tasks: %s has no task '%s'; it has %s%s"):format(name_of(r.row), task,
        table.concat(own, ", "), near and (" (did you mean '%s'?)"):format(near) or "")))
    end
    if not seen[task] then picked[#picked + 1] = task end
    seen[task] = true
  end
  if #picked == 0 then error(failure.new(2, "--tasks names no task; write --tasks semseg,depth")) end
  return picked
end

rebuild.name_of = name_of

return rebuild
