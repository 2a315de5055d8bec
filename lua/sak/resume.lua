--- `sak resume RUN|SWEEP`: goes on with what was interrupted, as it is stored in the database.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local run = require "sak.run"
local spec = require "sak.spec"
local stored = require "sak.stored"

local resume = {}

--- The sweep that is meant, if one is: by its own, its script's or its file's name; @last is whatever began last.
---@return string? name
local function sweep_of(store, what)
  if what == "@last" then
    local row = store:query([[select s.name, s.created_us > coalesce((select max(started_us) from run), 0) as newer,
      (select sweep_id from run order by id desc limit 1) = s.id as own from sweep s where s.script_name is not null
      order by s.id desc limit 1]])[1]
    return row and (row.newer == 1 or row.own == 1) and row.name or nil
  end
  local row = store:query([[select name from sweep where script_name is not null and (name = ?1 or script_name = ?1
    or script_path = ?1 or substr('/' || script_path, -length(?1) - 5) = '/' || ?1 || '.lua') limit 1]], what)[1]
  return row and what or nil
end

--- The run that is meant; what is neither a run nor a sweep may be a slip of either's name.
local function find(store, what)
  local ok, id = pcall(store.find, store, what)
  if ok then return stored.row(store, id) end
  local names = {}
  for i, r in ipairs(store:query "select name from run union select name from sweep where script_name is not null") do
    names[i] = r.name
  end
  local near = spec.nearest(what, names)
  if near then
    error(failure.new(2, ("there is neither a run nor a sweep '%s'; did you mean '%s'?"):format(what, near)))
  end
  error(id, 0)
end

--- Refuses what cannot go on, with what can be done instead.
local function check(store, row, job)
  if row.sweep_id then
    local name = store:query("select name from sweep where id = ?1", row.sweep_id)[1].name
    error(failure.new(2, ("run %d is a trial of the sweep '%s': sak resume %s"):format(row.id, name, name)))
  elseif row.state == "running" then
    local a = store:query("select pid, host from attempt where run_id = ?1 order by n desc limit 1", row.id)[1]
    error(failure.new(2, ("run %d is still running (process %d on %s)"):format(row.id, a.pid, a.host)))
  elseif row.state == "done" then
    error(failure.new(2, ("run %d is done; there is nothing to go on with"):format(row.id)))
  elseif job.seeds > 0 or job.jobs > 0 or job.retry then
    error(failure.new(2, "--seeds, --jobs and --retry are for sweeps"))
  end
end

---@param job table
---@return integer status
function resume.run(job)
  local state, ctx
  do
    local store <close> = core.store(job.db, "write")
    local sweep = sweep_of(store, job.args[1])
    if sweep then
      job.args = host.array { sweep }
      goto sweep
    end
    local row = find(store, job.args[1])
    check(store, row, job)
    local loaded, frozen = stored.load(store, row)
    if job.threads == 0 and loaded.runtime.threads then core.threads(loaded.runtime.threads) end
    state, ctx = run.experiment(loaded, store, job, { kind = row.kind, export = frozen.export,
      teacher_files = frozen.teachers, resume = row })
    return run.report(job, state, ctx)
  end
  ::sweep::
  return require("sak.sweep").resume(job)
end

return resume
