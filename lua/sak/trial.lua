--- `sak trial ID UID PARENT`: one trial of a sweep in a process of its own, as the sweep starts it.
--- It builds the trial from what the sweep froze, never writes the database, and ends with its parent.

local core = require "sak.core"
local config = require "sak.config"
local failure = require "sak.failure"
local host = require "sak.host"
local run = require "sak.run"
local stopper = require "sak.stopper"

local trial = {}

--- The trial as it was stored, rebuilt from the frozen script; refused when it comes out otherwise.
---@return table loaded, table row
function trial.load(store, id)
  local row = store:query([[select t.*, s.name as sweep, s.spec_json, s.frozen_sha256, s.objective, s.goal from trial t
    join sweep s on s.id = t.sweep_id where t.id = ?1]], id)[1]
  if not row then error(failure.new(1, ("there is no trial %d"):format(id))) end
  local frozen = host.decode(store:blob(row.frozen_sha256))
  local ablation, problems = config.load(frozen.script, frozen.set,
    { files = frozen.files, grid = frozen.grid, ablation = true, point = host.decode(row.point_json) })
  if not ablation then error(failure.new(1, config.format(problems))) end
  local loaded = ablation.trials[1]
  if loaded.config_sha256 ~= row.config_sha256 then
    error(failure.new(1, ("this sak resolves the trial otherwise than the one that stored it (config %s, now %s); "
      .. "begin a new sweep: sak sweep %s --new"):format(row.config_sha256:sub(1, 12),
      loaded.config_sha256:sub(1, 12), frozen.script)))
  end
  loaded.sources = ablation.sources
  row.frozen, row.spec = frozen, host.decode(row.spec_json)
  return loaded, row
end

---@param job table
---@return integer status
function trial.run(job)
  local id, uid, parent = math.tointeger(job.args[1]), job.args[2], math.tointeger(job.args[3])
  -- the lease is written once this process can be named in it: nothing happens before that
  if not core.follow_parent(parent) or io.read "l" ~= "go" then return 130 end
  local store <close> = core.store(job.db, "spool")
  local loaded, row = trial.load(store, id)
  local options = { sweep = row.sweep, trial = id, uid = uid, arm = row.arm, arm_index = row.arm_index, cell = row.cell,
    teacher_files = row.frozen.teachers, attempt = row.attempts }
  -- a run of this uid is an earlier attempt that left a checkpoint
  options.resume = store:query("select * from run where uid = ?1", uid)[1]
  if row.spec.stopper then
    options.watch = stopper.watch(stopper.complete(row.spec.stopper, row.objective, row.goal))
  end
  local state, ctx = run.experiment(loaded, store, job, options)
  return (state == "done" or ctx.pruned) and 0 or 130
end

return trial
