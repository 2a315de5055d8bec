--- A run as it stands in the database: all it was made of, enough to go on with it or to do it again
--- without looking at the script, which may have been edited since.

local config = require "sak.config"
local failure = require "sak.failure"
local host = require "sak.host"

local stored = {}

--- What is kept of a run so that it can be built again: texts, not files.
---@param loaded sak.Loaded
---@param committee table[]  as configured
---@param teachers Teacher[]  the same, opened
---@param export? string  where a teacher's encoder goes
---@return string json
function stored.freeze(loaded, committee, teachers, export)
  local files, weights = {}, {}
  for _, source in ipairs(loaded.sources) do
    if source.kind ~= "embedded" then files[source.path] = source.text end
  end
  for i, t in ipairs(committee) do
    if t.builtin then weights[t.builtin] = teachers[i].source end
  end
  return host.encode { script = loaded.given.script, set = host.array(loaded.given.set), files = files,
    teachers = weights, export = export }
end

--- The configuration of a stored run.
---@param row table  of the table run
---@return sak.Loaded loaded
---@return {teachers: table<string, string>, export: string?} frozen
function stored.load(store, row)
  if row.trial_id then
    local loaded, trial = require("sak.trial").load(store, row.trial_id)
    return loaded, trial.frozen
  end
  if not row.frozen_sha256 then
    error(failure.new(2, ("run %d was recorded by an earlier sak, which did not store all that a run is made of")
      :format(row.id)))
  end
  local frozen = host.decode(store:blob(row.frozen_sha256))
  local loaded, problems = config.load(frozen.script, frozen.set, { files = frozen.files })
  if not loaded then error(failure.new(1, config.format(problems))) end
  if loaded.config_sha256 ~= row.config_sha256 then
    error(failure.new(1, ("this sak resolves run %d otherwise than the one that stored it (config %s, now %s)"):format(
      row.id, row.config_sha256:sub(1, 12), loaded.config_sha256:sub(1, 12))))
  end
  return loaded, frozen
end

--- The configuration of a stored run with further changes, as --set gives them.
---@param frozen table  of stored.load
---@param set string[]
---@return sak.Loaded
function stored.changed(store, row, frozen, set)
  local all = table.move(frozen.set, 1, #frozen.set, 1, {})
  table.move(set, 1, #set, #all + 1, all)
  local options = { files = frozen.files }
  if row.trial_id then
    options.grid, options.ablation = frozen.grid, true
    options.point = host.decode(store:query("select point_json from trial where id = ?1", row.trial_id)[1].point_json)
  end
  local loaded, problems = config.load(frozen.script, all, options)
  if not loaded then error(failure.new(2, (config.format(problems):gsub("^error: ", "")))) end
  return loaded.trials and loaded.trials[1] or loaded
end

---@class Input
---@field tag string  of the run, with the identity
---@field identity string  the beginning of it
---@field problem string  what another identity means

--- What a run depends on besides its configuration and training data.
---@return Input[]
function stored.inputs(ctx)
  local list = {}
  local function add(tag, identity, problem)
    list[#list + 1] = { tag = tag, identity = identity:sub(1, 12), problem = problem }
  end
  for _, t in ipairs(ctx.teachers) do
    add("teacher:" .. t.name, t.identity, ("had another teacher '%s' than %s now is"):format(t.name, t.source or "it"))
  end
  if ctx.data.val then
    add("data:val", ctx.data.val:info().identity, "was evaluated on other data than are there now")
  end
  for i in ipairs(ctx.cfg.stages) do
    local identity = ctx.stage_data[i]
    if identity then
      add("data:stage" .. i, identity, ("was trained on other data in stage %d than are there now"):format(i))
    end
  end
  return list
end

--- What a stored run used and what is there now must be the same, as far as its sak recorded it.
---@param row table  of the table run
---@param inputs Input[]
function stored.check_inputs(store, row, data, inputs)
  if row.data_id and row.data_id ~= data.info.identity then
    error(failure.new(1, ("run %d was trained on other data than are there now (%s, now %s)"):format(row.id,
      row.data_id:sub(1, 12), data.info.identity:sub(1, 12))))
  end
  for _, input in ipairs(inputs) do
    local was = store:query("select value from tag where run_id = ?1 and name = ?2", row.id, input.tag)[1]
    if was and was.value ~= input.identity then
      error(failure.new(1, ("run %d %s (%s, now %s)"):format(row.id, input.problem, was.value, input.identity)))
    end
  end
end

--- Row of the table run with its experiment's name.
function stored.row(store, id)
  return store:query([[select r.*, e.name as experiment from run r join experiment e on e.id = r.experiment_id
    where r.id = ?1]], id)[1]
end

return stored
