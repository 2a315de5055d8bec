--- From a script and overrides to a frozen configuration: run in the sandbox, checked as a whole,
--- completed with defaults, hashed.  Precedence: defaults < script < arm < grid < --set.
local ablation_config = require "sak.ablation_config"
local checks = require "sak.checks"
local diagnose = require "sak.diagnose"
local freeze = require "sak.freeze"
local host = require "sak.host"
local override = require "sak.override"
local resolve = require "sak.resolve"
local script = require "sak.script"

local config = {}

---@class sak.LoadOptions
---@field grid? string[]  --grid arguments, "path=4,8,16"
---@field files? table<string, string>  texts by path, read instead of the disk (replay)
---@field seeds? integer  number of seeds of a sweep, instead of the script's
---@field ablation? boolean  take a plain experiment as an ablation of one arm
---@field point? table  of a trial: an ablation is loaded with this one alone

---@class sak.Loaded
---@field kind "experiment"|"ablation"
---@field name string
---@field resolved table  plain data with every default filled in
---@field functions table<string, function>  by path, where resolved has { ["$lua"] = … }; they run
---under the sandbox's limits
---@field runtime table  settings that do not change results: threads, loader_threads, checkpoint, cache
---@field given? {script: string, set: string[]}  what load was called with
---@field json string  canonical JSON of resolved
---@field config_sha256 string
---@field group_sha256 string  the same without the seed
---@field params {path: string, value: any, origin: string}[]  leaves of resolved
---@field sources sak.Source[]
---@field warnings sak.Diagnostic[]
---@field trials? (sak.Trial|sak.Loaded)[]  of an ablation; of a sampled one, the corners of its space
---@field parts? table  arms, axes and space of an ablation, from which config.trial makes trials

--- Where a setting was given: an override, or a place in a script.
local function place(job, steps, want)
  for i = #job.applied, 1, -1 do
    local change = job.applied[i]
    local inside = #change.steps <= #steps
    for n, step in ipairs(change.steps) do
      inside = inside and step == steps[n]
    end
    if inside and change.source.at then
      local at = change.source.at
      local path = table.move(at.steps, 1, #at.steps, 1, {})
      table.move(steps, #change.steps + 1, #steps, #path + 1, path)
      return { document = at.document, steps = path, want = want, origin = change.source.origin }
    elseif inside then
      return { prefix = change.source.shown .. ": ", origin = change.source.origin }
    end
  end
  return { document = job.document, steps = steps, want = want }
end

local function add(job, severity, steps, message, help, want)
  local at = place(job, steps, want)
  local d = { severity = severity, message = (at.prefix or "") .. message, help = help,
    path = diagnose.path(steps) }
  if at.document then
    d.file, d.line, d.col = at.document:locate(at.steps, at.want)
  end
  job.report:add(d)
end

--- The context that resolve.lua and checks.lua work in.
local function context(job)
  local failed = {}
  local cx = { functions = {}, derived = {}, files = job.files == nil }
  function cx.problem(steps, message, help, want)
    failed[diagnose.path(steps)] = true
    add(job, "error", steps, message, help, want)
  end
  function cx.warning(steps, message, help)
    add(job, "warning", steps, message, help)
  end
  function cx.failed_at(prefix)
    for path in pairs(failed) do
      if path:sub(1, #prefix) == prefix then return true end
    end
    return false
  end
  function cx.freeze(f)
    return freeze.func(f, job.report.texts, job.dir)
  end
  return cx
end

--- The configuration as JSON, its hash, and that of what replicates have in common: all but the seed and the
--- places of functions, whose lines move when something is written above them.
local function canonical(resolved)
  local json = host.encode(resolved)
  local seed = resolved.seed
  resolved.seed = nil
  local group = host.encode(resolved):gsub('{"%$lua":{"file":"[^"]*","line":%d+,', '{"$lua":{')
  resolved.seed = seed
  return json, host.sha256(json), host.sha256(group)
end

--- Origin of every leaf: default, script, arm, grid or set.
local function origins(job, tree, resolved)
  local params = freeze.leaves(resolved)
  local given, by_path = {}, {}
  for _, leaf in ipairs(freeze.leaves(freeze.plain(tree, job.report.texts, job.dir))) do
    given[leaf.path] = true
  end
  for _, change in ipairs(job.applied) do
    by_path[#by_path + 1] = { path = diagnose.path(change.steps), origin = change.source.origin }
  end
  for _, leaf in ipairs(params) do
    leaf.origin = given[leaf.path] and "script" or "default"
    if leaf.origin == "default" then
      for path in leaf.path:gmatch "()[.%[]" do
        if given[leaf.path:sub(1, path - 1)] then leaf.origin = "script" end
      end
    end
    for _, change in ipairs(by_path) do
      if leaf.path == change.path or (leaf.path:sub(1, #change.path) == change.path
        and leaf.path:find("^[.%[]", #change.path + 1) and leaf.origin ~= "default") then
        leaf.origin = change.origin
      end
    end
  end
  return params
end

--- A script's function as the executor may call it: under the sandbox's limits, errors as text.
local function limited(f)
  return function(...)
    local results = table.pack(host.guard(f, ...))
    if not results[1] then
      error(results[2], 0)
    end
    return table.unpack(results, 2, results.n)
  end
end

--- A base tree with changes, resolved; nil if anything is wrong.
---@param base {tree: table, document: sak.Document, dir: string}
---@param changes sak.Change[]
---@param report sak.Report
---@param files? table
---@return sak.Loaded?
local function experiment(base, changes, report, files)
  local tree = freeze.copy(base.tree)
  local job = { report = report, document = base.document, applied = {}, dir = base.dir,
    files = files }
  local before = #report.list
  for _, change in ipairs(changes) do
    local steps, message, help, why = override.apply(tree, change)
    if steps then
      job.applied[#job.applied + 1] = { steps = steps, source = change }
    elseif why == "absent" and change.may_be_absent then
      goto continue
    elseif change.at then
      local d = { message = ("%s: %s"):format(change.text, message), help = help }
      local at = change.at.steps
      d.file, d.line, d.col = change.at.document:locate({ table.unpack(at, 1, at[1] == "grid" and 2
        or #at) }, "key")
      report:add(d)
    else
      report:add { message = ("%s: %s"):format(change.shown, message), help = help }
    end
    ::continue::
  end
  local cx = context(job)
  local type = { t = "spec", family = "experiment" }
  local resolved = resolve.value(cx, type, tree, {})
  if resolved then
    resolve.derive(cx, resolved, host.guard)
    checks.experiment(cx, resolved)
  end
  for i = before + 1, #report.list do
    if report.list[i].severity == "error" then return nil end
  end
  if not resolved or report:failed() then
    return nil
  end
  checks.complete(resolved)
  for path, f in pairs(cx.functions) do
    cx.functions[path] = limited(f)
  end
  resolved.kind = "experiment"
  local runtime = { threads = resolved.threads, loader_threads = resolved.loader_threads,
    share_stages = resolved.share_stages, checkpoint = resolved.checkpoint }
  if resolved.cache then
    runtime.cache = { gigabytes = resolved.cache.gigabytes, verify = resolved.cache.verify }
    resolved.cache.gigabytes, resolved.cache.verify = nil, nil
  end
  resolved.threads, resolved.loader_threads, resolved.share_stages = nil, nil, nil
  -- where a run may be rewound to changes what comes out, the rest of these settings does not
  resolved.checkpoint = resolved.on_nan == "rewind" and { every = resolved.checkpoint.every } or nil
  local json, config_sha256, group_sha256 = canonical(resolved)
  return { kind = "experiment", name = resolved.name, resolved = resolved, functions = cx.functions,
    runtime = runtime, json = json, config_sha256 = config_sha256, group_sha256 = group_sha256,
    params = origins(job, tree, resolved) }
end

-- Reading -----------------------------------------------------------------------------------------

local function folder(path)
  return path:match "^(.*/)[^/]*$" or ""
end

--- What a script file returned, as a snapshot with its document; nil after a report.
local function read(loader, report, path)
  local ok, value = loader:run_file(path)
  if not ok then
    report:add_lua(value, loader.texts[path] and path or nil)
    return nil
  end
  local mark = type(value) == "table" and host.marked(value)
  local kind = mark and mark.kind
  if kind ~= "experiment" and kind ~= "ablation" then
    report:add { file = path, message = ("the script must return an experiment, got %s"):format(
      diagnose.shown(value)), help = 'end it with: return sak.experiment "name" { … }' }
    return nil
  end
  local problems = {}
  local tree = freeze.snapshot(value, function(steps, message)
    problems[#problems + 1] = { steps = table.move(steps, 1, #steps, 1, {}), message = message }
  end)
  local document = diagnose.document(tree, loader.texts)
  for _, p in ipairs(problems) do
    local d = { message = (#p.steps > 0 and diagnose.path(p.steps) .. ": " or "") .. p.message }
    d.file, d.line, d.col = document:locate(p.steps)
    report:add(d)
  end
  if #problems > 0 then
    return nil
  end
  return { tree = tree, document = document, dir = folder(path), kind = kind, path = path }
end

--- --set and --grid arguments.
local function parse(loader, report, overrides, grids)
  local changes, axes = {}, {}
  local function evaluate(text)
    local ok, value = loader:run("local sak = require 'sak' return " .. text, "=--set", "")
    if not ok then
      return false, (value:gsub("^%-%-set:%d+: ", ""))
    end
    local bad
    local tree = freeze.snapshot(value, function(_, message) bad = bad or message end)
    return not bad, bad or tree
  end
  for _, text in ipairs(overrides or {}) do
    local change, message = override.parse(text, evaluate)
    if change then
      changes[#changes + 1] = change
    else
      report:add { message = ("--set %s: %s"):format(text, message) }
    end
  end
  for _, text in ipairs(grids or {}) do
    local path, values = override.grid(text)
    if path then
      axes[path] = values
    else
      report:add { message = ("--grid %s: %s"):format(text, values) }
    end
  end
  return changes, axes
end

--- What ablation_config.lua builds trials with.
local parts = { context = context, experiment = experiment, read = read }

--- Loads a script; on any error returns nil and all diagnostics.
---@param path string
---@param overrides? string[]  --set arguments
---@param options? sak.LoadOptions
---@return sak.Loaded? loaded
---@return sak.Diagnostic[]? diagnostics
function config.load(path, overrides, options)
  options = options or {}
  local loader = script.loader(options.files)
  local report = diagnose.report(loader.texts)
  local changes, axes = parse(loader, report, overrides, options.grid)
  local found = read(loader, report, path)
  local loaded
  if found and not report:failed() or found and found.kind == "experiment" then
    if found.kind == "experiment" and (next(axes) or options.seeds or options.ablation) then
      local seed = found.tree.seed
      local tree = host.mark({ name = found.tree.name, base = found.tree,
        seeds = math.type(seed) == "integer" and { seed } or nil }, "ablation", path, 1)
      found = { kind = "ablation", dir = found.dir, tree = tree,
        document = diagnose.document(tree, loader.texts) }
    end
    if found.kind == "experiment" then
      loaded = experiment(found, changes, report, options.files)
    else
      loaded = ablation_config.load(parts, loader, report, found, changes,
        { files = options.files, axes = axes, seeds = options.seeds, point = options.point })
    end
  end
  if not loaded or report:failed() then
    return nil, report:sort()
  end
  loaded.sources = loader.sources
  loaded.given = { script = path, set = overrides or {} }
  loaded.warnings = report:sort()
  return loaded
end

--- A further trial of a loaded ablation, as a sampler proposes them.
---@param loaded sak.Loaded
---@param point table  see ablation.trial
---@return sak.Loaded? trial
---@return sak.Diagnostic[]? diagnostics
function config.trial(loaded, point)
  local report = diagnose.report(loaded.report.texts)
  local trial = ablation_config.trial(experiment, loaded.base, loaded.parts, point, report, loaded.files)
  return trial, not trial and report:sort() or nil
end

config.format = diagnose.format

return config
