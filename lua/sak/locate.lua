--- Where an earlier run left its weights.

local core = require "sak.core"
local host = require "sak.host"
local paths = require "sak.paths"

local locate = {}

---@class StoredWeights
---@field path string
---@field run integer
---@field uid string
---@field experiment string
---@field config_sha256 string

--- The student that a run's stage left: of the last stage, or of the one given, counted from 1.
---@param store userdata
---@param db string  its path
---@param what string  id, @last, unique prefix of a uid, or a name
---@param stage? integer
---@return StoredWeights
function locate.student(store, db, what, stage)
  local id = store:find(what)
  local run = store:query("select run, uid, experiment, state, config_sha256 from runs where run = ?1", id)[1]
  local stages = store:query("select path, sha256 from artifact where run_id = ?1 and kind = 'weights' order by path", id)
  local name = stage and ("stage%d.safetensors"):format(stage) or "student.safetensors"
  local count = store:query("select count(*) as n from param where run_id = ?1 and path like 'stages[%].kind'", id)[1].n
  if stage and stage > count then
    error(("run %d (%s) has %d stage%s, not %d"):format(run.run, run.experiment, count, count == 1 and "" or "s", stage), 0)
  end
  if stage == count then name = "student.safetensors" end
  local found = #stages == 1 and not stage and stages[1] or nil -- a teacher's run leaves an encoder
  for _, a in ipairs(stages) do
    if a.path:match "[^/]*$" == name then found = a end
  end
  if not found then
    error(("run %d (%s, %s) has left no %s%s"):format(run.run, run.experiment, run.state, name,
      #stages == 0 and "; it left no weights at all" or ""), 0)
  end
  -- the folder may have moved together with its database
  local moved = ("%s/runs/%s/%s"):format(paths.folder(db), run.uid, found.path:match "[^/]*$")
  local path = host.exists(found.path) == "file" and found.path or moved
  if host.exists(path) ~= "file" then
    error(("run %d (%s): its weights are gone: neither %s nor %s is there"):format(run.run, run.experiment, found.path,
      moved), 0)
  end
  local hash = host.sha256_file(path)
  if hash ~= found.sha256 then
    error(("run %d (%s): %s is not the file that the run wrote (SHA-256 %s, recorded %s)"):format(run.run,
      run.experiment, path, hash:sub(1, 12), found.sha256:sub(1, 12)), 0)
  end
  run.path = path
  return run
end

--- What runs left stays as they left it: refuses to write over their files and into their folders.
function locate.check_destination(store, db, file)
  for _, row in ipairs(store:query "select run_id, path from artifact") do
    if host.same_file(row.path, file) then
      error(("%s: run %d left this file; choose another name"):format(file, row.run_id), 0)
    end
  end
  local runs, dir = paths.folder(db) .. "/runs", paths.folder(file)
  for _ = 1, 2 do -- runs/ itself, or a run's folder in it
    if host.same_file(dir, runs) then
      error(("%s: %s holds what runs leave; choose another folder"):format(file, runs), 0)
    end
    dir = dir .. "/.."
  end
end

--- A file as it is; of "run:17" the student of that run.
---@return string path
function locate.file(db, what)
  local run = what:match "^run:(.+)$"
  if not run then return what end
  local store <close> = core.store(db, "read")
  return locate.student(store, db, run).path
end

return locate
