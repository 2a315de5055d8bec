--- `sak replay RUN`: does a stored run again, from the database alone, and compares every metric.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local identity = require "sak.identity"
local run = require "sak.run"
local stored = require "sak.stored"
local train = require "sak.train"

local replay = {}

--- Relative difference that other kernels for the CPU may make; on the same ones there is none.
local TOLERANCE = 0.01

--- Metrics of a run that do not depend on the clock, nor (sweep/rung<k>) on the sweep around it.
---@return string[]
local function metrics_of(store, id)
  local names = {}
  for _, k in ipairs(store:query([[select k.name, k.unit from metric_last l join metric_key k on k.id = l.key_id
    where l.run_id = ?1 and k.name not glob 'sweep/rung[0-9]*' order by k.name]], id)) do
    if not train.clocked[k.unit] then names[#names + 1] = k.name end
  end
  return names
end

local function points_of(store, id, metric, limit)
  local list = {}
  for _, p in ipairs(store:query("select step, value from metrics where run = ?1 and metric = ?2 and step < ?3 order by step",
    id, metric, limit)) do
    list[#list + 1] = { step = p.step, value = p.value or 0 / 0 }
  end
  return list
end

local function same_bits(a, b) return string.pack("d", a) == string.pack("d", b) or a ~= a and b ~= b end

local function deviation(a, b)
  if same_bits(a, b) then return 0 end
  local d = math.abs(a - b) / math.max(math.abs(a), math.abs(b))
  return d == d and d or math.huge
end

--- Two lists of points, ascending in step; a step that one of them lacks differs.
---@return {step: integer, stored: number?, now: number?}? first  beyond the tolerance
---@return number largest  relative difference
local function compare(was, is, tolerance)
  local i, j, largest = 1, 1, 0
  while was[i] or is[j] do
    local a, b = was[i], is[j]
    if not b or a and a.step < b.step then return { step = a.step, stored = a.value }, largest end
    if not a or b.step < a.step then return { step = b.step, now = b.value }, largest end
    local d = deviation(a.value, b.value)
    if d > tolerance then return { step = a.step, stored = a.value, now = b.value }, math.max(d, largest) end
    largest, i, j = math.max(d, largest), i + 1, j + 1
  end
  return nil, largest
end

--- Compares the first `limit` steps of both runs.
---@return table result
local function compare_runs(was, is, limit, tolerance)
  local result = { metrics = 0, values = 0, differing = 0, largest = 0.0 }
  local names, seen = metrics_of(was.store, was.id), {}
  for _, name in ipairs(names) do seen[name] = true end
  for _, name in ipairs(metrics_of(is.store, is.id)) do
    if not seen[name] then names[#names + 1] = name end
  end
  for _, name in ipairs(names) do
    local old = points_of(was.store, was.id, name, limit)
    local first, largest = compare(old, points_of(is.store, is.id, name, limit), tolerance)
    if #old > 0 or first then result.metrics = result.metrics + 1 end
    result.values, result.largest = result.values + #old, math.max(result.largest, largest)
    if first then
      result.differing, first.metric = result.differing + 1, name
      if not result.first or first.step < result.first.step then result.first = first end
    end
  end
  return result
end

--- What decides about the bits: the instruction set, BLIS's kernels, and which products go there.
local function kernels(isa, blis, gemm) return ("%s, BLIS %s%s"):format(isa, blis, gemm and ", SAK_GEMM=" .. gemm or "") end

--- Where the run was recorded otherwise than it is done again, in words, and what that allows.
local function differences(store, id, precision)
  local said, tolerance = {}, 0
  local now = kernels(identity.isa(precision), core.machine().blis_kernel, os.getenv "SAK_GEMM")
  for _, a in ipairs(store:query("select n, isa, blis_kernel, sak_version, env from attempt where run_id = ?1 order by n", id)) do
    local env = a.env and host.decode(a.env) or {}
    local was = kernels(a.isa, a.blis_kernel, env.SAK_GEMM)
    if was ~= now then
      tolerance = TOLERANCE
      said[#said + 1] = ("attempt %d ran on other kernels (%s; here: %s): values may differ by %g %%"):format(a.n, was, now,
        100 * TOLERANCE)
    end
    if a.sak_version ~= core.version() then
      said[#said + 1] = ("attempt %d ran on sak %s, this is %s"):format(a.n, a.sak_version, core.version())
    end
  end
  return said, tolerance
end

local function shown(value) return value and ("%.17g"):format(value) or "nothing" end

local function report(job, row, result)
  if job.json then
    local f = result.first
    print(host.encode { run = row.id, equal = not f, metrics = result.metrics, values = result.values,
      differing = result.differing, largest = result.largest, tolerance = result.tolerance, notes = host.array(result.notes),
      first = f and { metric = f.metric, step = f.step, stored = shown(f.stored), now = shown(f.now) } })
  elseif result.first then
    local f = result.first
    print(("run %d (%s, seed %d): %d of %d metrics differ; the first one: %s at step %d: stored %s, now %s"):format(row.id,
      row.experiment, row.seed, result.differing, result.metrics, f.metric, f.step, shown(f.stored), shown(f.now)))
  else
    print(("run %d (%s, seed %d): %d values of %d metrics, %s, on %d threads"):format(row.id, row.experiment, row.seed,
      result.values, result.metrics, result.tolerance == 0 and "all equal bit for bit"
        or ("equal up to %.2g (relative)"):format(result.largest), core.threads()))
  end
  return result.first and 1 or 0
end

--- Steps that are compared: those asked for; of a run that did not end, those it completed.
local function limit_of(store, row, job)
  local limit = job.steps > 0 and job.steps or math.maxinteger
  if row.state ~= "done" then
    local last = store:query("select max(step) as last from metric_last where run_id = ?1", row.id)[1].last
    if not last or last < 1 then error(failure.new(2, ("run %d (%s) has logged no step"):format(row.id, row.state))) end
    limit = math.min(limit, last)
  end
  return limit
end

--- Does the run again in `folder`; returns its database and id there.
local function again(loaded, frozen, source, row, job, folder, limit)
  local copy = setmetatable({ db = folder .. "/sak.db", source_db = job.db, source = source, quiet = job.quiet }, { __index = job })
  local every = loaded.resolved.on_nan == "rewind" and loaded.runtime.checkpoint.every or 0
  loaded.runtime.checkpoint = { every_s = 0, every = every, keep = 1, keep_every = 0 }
  local options = { kind = row.kind, teacher_files = frozen.teachers, replay = row, export = folder .. "/encoder.safetensors" }
  if limit < math.maxinteger then
    options.watch = { run = function(r) return r end, at_step = function(ctx) return ctx.step < limit end }
  end
  local store = core.store(copy.db, "write")
  local state, ctx = run.experiment(loaded, store, copy, options)
  if core.interrupted() then error(failure.new(130, "interrupted")) end
  return store, ctx.id, state
end

---@param job table
---@return integer status
function replay.run(job)
  local store <close> = core.store(job.db, "read")
  local row = stored.row(store, store:find(job.args[1]))
  if row.state == "running" then error(failure.new(2, ("run %d is still running"):format(row.id))) end
  local limit = limit_of(store, row, job)
  local loaded, frozen = stored.load(store, row)
  if job.threads == 0 and loaded.runtime.threads then core.threads(loaded.runtime.threads) end
  local notes, tolerance = differences(store, row.id, loaded.resolved.precision)
  for _, text in ipairs(notes) do
    if not job.quiet then io.stderr:write(text, "\n") end
  end
  local folder = ("%s/sak-replay-%s-%d"):format(os.getenv "TMPDIR" or "/tmp", row.uid, core.pid())
  local scratch <close> = setmetatable({}, { __close = function() core.remove(folder) end })
  core.mkdir(folder)
  local own <close>, id = again(loaded, frozen, store, row, job, folder, limit)
  local result = compare_runs({ store = store, id = row.id }, { store = own, id = id }, limit, tolerance)
  result.notes, result.tolerance = notes, tolerance
  return report(job, row, result)
end

return replay
