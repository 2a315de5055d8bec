--- `sak sweep FILE`, `resume`, `retry`, `stop`: an ablation's trials, stored whole before the first
--- one starts, then run by processes of their own.  What is stored is what runs.

local core = require "sak.core"
local config = require "sak.config"
local failure = require "sak.failure"
local freeze = require "sak.freeze"
local host = require "sak.host"
local paths = require "sak.paths"
local plan = require "sak.sweep_plan"
local run = require "sak.run"
local runner = require "sak.sweep_runner"
local spec = require "sak.spec"
local stopper = require "sak.stopper"
local teachers = require "sak.teachers"

local sweep = {}

local function note(job, text)
  if not job.quiet then io.stderr:write(text, "\n") end
end

--- What a script asks for, seeds aside: equal for two versions of a script that mean the same trials.
local function identity(loaded)
  local list, seen = {}, {}
  for _, t in ipairs(loaded.trials) do
    local key = ("%s\n%s\n%s"):format(t.arm, t.cell or "", t.group_sha256)
    if not seen[key] then list[#list + 1] = key end
    seen[key] = true
  end
  local r = loaded.resolved
  return host.sha256(table.concat(list, "\n\n")
    .. host.encode { sampler = r.sampler, space = next(r.space) and r.space or nil, stopper = r.stopper })
end

-- Finding -----------------------------------------------------------------------------------------

local function base_name(path) return (path:gsub("^.*/", ""):gsub("%.lua$", "")) end

--- A stored sweep by what people call it: its name, its script's name or file (the latest), or @last.
local function find(store, name)
  local rows = store:query("select * from sweep where script_name is not null order by id desc")
  for _, row in ipairs(rows) do row.file = row.script_path and base_name(row.script_path) end
  for _, key in ipairs { "name", "script_name", "script_path", "file" } do
    for _, row in ipairs(rows) do
      if row[key] == name or name == "@last" then return row end
    end
  end
  local names = {}
  for i, row in ipairs(rows) do names[i] = row.name end
  local near = spec.nearest(name, names)
  error(failure.new(2, #names == 0 and "there are no sweeps in this database yet; `sak sweep FILE` begins one"
    or ("there is no sweep '%s'; %s"):format(name, near and ("did you mean '%s'?"):format(near)
      or "there are: " .. table.concat(names, ", "))))
end

--- Does an ablation's name belong to another file?  That one's sweep has it, or it lies beside this one
--- under that name: then this one is a copy whose name was left as it was.
local function borrowed(store, name, path)
  local file = base_name(path)
  if file == name then return false end
  local row = store:query("select script_path as path from sweep where name = ?1", name)[1]
  if row and row.path and base_name(row.path) ~= file then return true end
  local beside = host.read(("%s/%s.lua"):format(paths.folder(path), name)) or ""
  return beside:match "%.ablation%s*%(?%s*[\"']([^\"'\n]+)" == name
end

--- A name for a new sweep: the script's, its file's where that is another's, or with a number.
local function free_name(store, name, path)
  if borrowed(store, name, path) then name = base_name(path) end
  local candidate, k = name, 1
  while store:query("select 1 as there from sweep where name = ?1", candidate)[1] do
    k = k + 1
    candidate = ("%s-%d"):format(name, k)
  end
  return candidate
end

-- A script that has changed -----------------------------------------------------------------------

local function leaves(json)
  local list = {}
  for _, leaf in ipairs(freeze.leaves(host.decode(json))) do
    local v = leaf.value
    local f = freeze.is_func(v) and v["$lua"]
    list[leaf.path] = leaf.path ~= "seed" and { same = f and f.sha256 or host.encode(v), text = f and freeze.shown(v) or host.encode(v) }
      or nil
  end
  return list
end

--- Settings that differ between two configurations, "path: old -> new".
local function changes(old, new)
  local a, b, paths, out = leaves(old), leaves(new), {}, {}
  for path in pairs(a) do paths[#paths + 1] = path end
  for path in pairs(b) do
    if not a[path] then paths[#paths + 1] = path end
  end
  table.sort(paths)
  for _, path in ipairs(paths) do
    local old_value, new_value = a[path] or { text = "(nothing)" }, b[path] or { text = "(nothing)" }
    if old_value.same ~= new_value.same then
      out[#out + 1] = ("%s: %s -> %s"):format(path, old_value.text, new_value.text)
    end
  end
  return out
end

--- What a script asks for now and a stored sweep does not, in words.
local function differences(store, row, loaded)
  local old, out = {}, {}
  for _, t in ipairs(store:query("select label, config_json from trial where sweep_id = ?1 order by n", row.id)) do
    old[t.label] = old[t.label] or t.config_json
  end
  local new = {}
  for _, t in ipairs(loaded.trials) do
    if not new[t.label] then
      new[t.label] = true
      if loaded.resolved.sampler then
        break -- its points are not the script's: only the settings of sampler and space can be told apart
      elseif not old[t.label] then
        out[#out + 1] = "+ " .. t.label
      else
        for _, text in ipairs(changes(old[t.label], t.json)) do out[#out + 1] = ("  %s: %s"):format(t.label, text) end
      end
    end
  end
  for label in pairs(loaded.resolved.sampler and {} or old) do
    if not new[label] then out[#out + 1] = "- " .. label end
  end
  table.sort(out)
  for _, text in ipairs(changes(row.spec_json, loaded.json)) do
    if text:find "^sampler" or text:find "^space" or text:find "^stopper" then out[#out + 1] = "  " .. text end
  end
  if #out > 12 then
    out[13] = ("  … and %d more"):format(#out - 12)
    out = table.move(out, 1, 13, 1, {})
  end
  return table.concat(out, "\n")
end

-- Beginning ---------------------------------------------------------------------------------------

--- All a worker needs to build a trial again: texts, not files.
local function frozen(loaded, job, teacher_files)
  local files = {}
  for _, source in ipairs(loaded.sources) do
    if source.kind ~= "embedded" then files[source.path] = source.text end
  end
  return host.encode { script = job.args[1], files = files, set = host.array(job.set), grid = host.array(job.grid),
    teachers = teacher_files }
end

--- Every arm and grid point is built once, without memory: what cannot run is found before anything does.
function sweep.rehearse(loaded, job)
  local seen = {}
  for _, trial in ipairs(loaded.trials) do
    local key = trial.arm .. "\n" .. (trial.cell or "")
    if not seen[key] then
      seen[key] = true
      trial.sources = loaded.sources
      local ok, message = pcall(run.rehearsal, trial, job)
      if not ok then error(failure.new(2, ("%s: %s"):format(trial.label, tostring(message)))) end
      if core.interrupted() then error(failure.new(130, "interrupted")) end
    end
  end
end

---@return integer id
local function create(store, loaded, job)
  run.make_folder(job)
  sweep.rehearse(loaded, job)
  local files = teachers.prepare(loaded, store, job)
  local r, source = loaded.resolved, loaded.sources[1]
  local name = free_name(store, loaded.name, source.path)
  local id = store:sweep_create { name = name, script_name = loaded.name, script_path = source.path,
    script_text = source.text, spec_json = loaded.json, identity = identity(loaded),
    frozen_json = frozen(loaded, job, files), question = r.question, objective = r.objective.metric,
    goal = r.objective.goal }
  return id
end

--- The ablation as it was frozen, with at least the seeds it has and at most those now asked for.
local function thaw(store, row, seeds)
  local stored = store:query("select count(distinct seed) as n from trial where sweep_id = ?1", row.id)[1].n
  if stored == 0 then stored = #host.decode(row.spec_json).seeds end -- it was killed before its trials were stored
  local f = host.decode(store:blob(row.frozen_sha256))
  local loaded, problems = config.load(f.script, f.set, { files = f.files, grid = f.grid, ablation = true,
    seeds = math.max(stored, seeds or 0, 1) })
  if not loaded then error(failure.new(1, config.format(problems))) end
  return loaded, f
end

--- A stored sweep goes on with seeds of its own: others in the script would not be run.
local function check_seeds(store, row, loaded, job)
  local asked, own, has = loaded.resolved.seeds, thaw(store, row, #loaded.resolved.seeds).resolved.seeds, {}
  for _, seed in ipairs(own) do has[seed] = true end
  for _, seed in ipairs(asked) do
    if not has[seed] then
      error(failure.new(2, ("%s asks for seed %d, but the %d seeds of the sweep '%s' in %s are %s\n  help: --new begins "
        .. "another sweep; --seeds N is how many the stored one is to have"):format(job.args[1], seed, #own, row.name, job.db,
        table.concat(own, ", "))))
    end
  end
end

--- A stopper without a metric of its own goes by the objective: values of two metrics cannot be held against
--- each other.
local function check_stopper(row, loaded, job)
  local own, objective = loaded.resolved.stopper, loaded.resolved.objective
  if not own then return end
  local old, new = stopper.complete(own, row.objective, row.goal), stopper.complete(own, objective.metric, objective.goal)
  if old.metric ~= new.metric or old.goal ~= new.goal then
    error(failure.new(2, ("%s now stops trials by '%s' (%s), the sweep '%s' in %s did by '%s' (%s)\n  help: --new begins "
      .. "another sweep; metric and goal in the stopper keep it apart from the objective"):format(job.args[1], new.metric,
      new.goal, row.name, job.db, old.metric, old.goal)))
  end
end

--- The stored sweep that a script means, or a new one.
local function find_or_create(store, loaded, job)
  local own = identity(loaded)
  local rows = store:query("select * from sweep where script_name = ?1 order by id desc", loaded.name)
  if not job.fresh then
    for _, row in ipairs(rows) do
      if row.identity == own then
        check_seeds(store, row, loaded, job)
        check_stopper(row, loaded, job)
        local r = loaded.resolved
        store:sweep_describe(row.id, { question = r.question, objective = r.objective.metric, goal = r.objective.goal })
        return row.id
      end
    end
    -- a copy of the script, with its name still inside, is a script of its own
    if rows[1] and base_name(rows[1].script_path or "") == base_name(loaded.sources[1].path) then
      error(failure.new(2, ("%s asks for other trials than the sweep '%s' in %s:\n%s\n  help: --new begins another "
        .. "sweep; `sak resume %s` goes on with the stored one"):format(job.args[1], rows[1].name, job.db,
        differences(store, rows[1], loaded), rows[1].name)))
    end
  end
  return create(store, loaded, job)
end

-- Going on ----------------------------------------------------------------------------------------

---@param id integer
---@param seeds? integer  total per arm
---@return integer status
local function go_on(store, id, seeds, job)
  local row = store:query("select * from sweep where id = ?1", id)[1]
  local loaded, f = thaw(store, row, seeds)
  if job.threads == 0 and loaded.runtime.threads then core.threads(loaded.runtime.threads) end
  store:sweep_claim(id)
  if job.retry then
    local n = store:sweep_retry(id)
    note(job, ("%d failed trial%s queued again"):format(n, n == 1 and "" or "s"))
  end
  for name, file in pairs(f.teachers) do
    if host.exists(file) ~= "file" then
      store:sweep_leave(id, "failed")
      error(failure.new(1, ("the teacher '%s' of this sweep is gone (%s); --new begins another sweep"):format(name, file)))
    end
  end
  return runner.run(store, { id = id, name = row.name, objective = row.objective, goal = row.goal,
    spec = host.decode(row.spec_json), plan = plan.make(loaded, row) }, job)
end

---@param job table
---@return integer status
function sweep.run(job)
  local loaded, problems = config.load(job.args[1], job.set,
    { grid = job.grid, seeds = job.seeds > 0 and job.seeds or nil, ablation = true })
  if not loaded then
    io.stderr:write(config.format(problems), "\n")
    return 2
  end
  if #loaded.warnings > 0 then io.stderr:write(config.format(loaded.warnings), "\n") end
  local store <close> = core.store(job.db, "write")
  local id = find_or_create(store, loaded, job)
  return go_on(store, id, #loaded.resolved.seeds, job)
end

function sweep.resume(job)
  local store <close> = core.store(job.db, "write")
  return go_on(store, find(store, job.args[1]).id, job.seeds > 0 and job.seeds or nil, job)
end

function sweep.retry(job)
  job.retry = true
  return sweep.resume(job)
end

function sweep.stop(job)
  local store <close> = core.store(job.db, "write")
  local row = find(store, job.args[1])
  local pid = store:sweep_ask(row.id, job.now and "stopped" or "paused")
  if pid == 0 then error(failure.new(2, ("sweep '%s' is not running"):format(row.name))) end
  print(("sweep '%s' (process %d) ends %s; go on with: sak resume %s"):format(row.name, pid,
    job.now and "after the current step of its trials" or "once its current trials are done", row.name))
  return 0
end

return sweep
