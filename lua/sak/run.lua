--- `sak run FILE`: from a script to a trained model and its metrics in the database.

local checkpoint = require "sak.checkpoint"
local core = require "sak.core"
local host = require "sak.host"
local identity = require "sak.identity"
local config = require "sak.config"
local dataset = require "sak.dataset"
local freeze = require "sak.freeze"
local stages = require "sak.stages"
local paths = require "sak.paths"
local schema = require "sak.schema"
local stored = require "sak.stored"
local summary = require "sak.summary"

local run = {}

local function command(line)
  local pipe = io.popen(line .. " 2>/dev/null")
  local text = pipe and pipe:read "a" or ""
  if pipe then pipe:close() end
  return text:gsub("%s+$", "")
end

--- Commit and local changes of the repository that the script lies in.
local function provenance(script)
  local dir = "'" .. paths.folder(script):gsub("'", "'\\''") .. "'"
  local commit = command("git -C " .. dir .. " rev-parse HEAD")
  if commit == "" then return {} end
  local diff = command("git -C " .. dir .. " diff HEAD")
  return { commit = commit, dirty = diff ~= "", diff = diff ~= "" and diff or nil }
end

--- How edges are scored; nil where nothing was said, as in databases that did not tell this apart.
local function edge_scoring(eval)
  local fields, said = schema.families.eval.kinds.eval.by_name, nil
  for _, name in ipairs { "edge_protocol", "edge_max_dist" } do
    if eval[name] ~= fields[name].default then
      said = said or {}
      said[name] = eval[name]
    end
  end
  return said
end

--- What a single-task baseline must share with a multi-task run: data, stem, head, precision, how stage 2
--- trains and edges are scored, without seed, tasks and kind.
local function comparable(cfg)
  local last = cfg.stages[#cfg.stages]
  local stage = {}
  for _, k in ipairs { "data", "batch", "iterations", "epochs", "optim", "schedule", "clip", "augment" } do
    stage[k] = last[k]
  end
  -- no word of fp32, as in databases that did not tell precisions apart
  return host.sha256(host.encode { data = cfg.data, stem = cfg.student.stem, head = cfg.student.head, stage = stage,
    edges = edge_scoring(cfg.eval), precision = cfg.precision ~= "fp32" and cfg.precision or nil })
end

--- What the environment tells sak, as JSON.
local function environment()
  local env = {}
  for _, name in ipairs { "SAK_DB", "SAK_ISA", "SAK_GEMM", "SAK_LUA_ROOT" } do
    env[name] = os.getenv(name)
  end
  return host.encode(env)
end

local Context = {}
Context.__index = Context

--- A file in this run's own folder.
function Context:path(name) return self.folder .. "/" .. name end

local function kind_of(cfg)
  local first = cfg.stages[1].kind
  if first == "pretrain" then return "teacher" end
  if cfg.model ~= "sak" then return cfg.model end
  return "sak"
end

--- Builds every stage's graph once without memory, so that a shape error in the last stage shows
--- before the first one trains.  Notes which data stages of their own have.
local function rehearse(ctx)
  for i, stage in ipairs(ctx.cfg.stages) do
    ctx.stage_index = i
    local data, d = dataset.of_stage(ctx, stage)
    dataset.limit(data, d, stage.batch)
    if stage.data then ctx.stage_data[i] = data.info.identity end
    local made = stages.plan(ctx, stage)
    if stages.labelled(stage) then stages.plan_evaluation(ctx, made.params) end
  end
end

--- The machine and the command of this attempt.
local function attempt_info(cfg, job)
  local machine = core.machine()
  return { argv = table.concat(job.argv, " "), env = environment(), sak_version = core.version(), cpu = machine.cpu,
    blis_kernel = machine.blis_kernel, isa = identity.isa(cfg.precision), threads = core.threads() }
end

local function begin(loaded, store, job, options)
  local cfg = loaded.resolved
  local source, git = loaded.sources[1], provenance(loaded.sources[1].path)
  local info = { experiment = cfg.name, kind = options.kind or kind_of(cfg), seed = cfg.seed,
    script_path = source.path, script_text = source.text, config_json = loaded.json,
    config_sha256 = loaded.config_sha256, group_sha256 = loaded.group_sha256,
    compare_sha256 = comparable(cfg), git_commit = git.commit, git_dirty = git.dirty, git_diff = git.diff,
    frozen_json = options.frozen_json, data_id = options.data_id, sweep = options.sweep, trial = options.trial, uid = options.uid, arm = options.arm,
    arm_index = options.arm_index, cell = options.cell }
  for k, v in pairs(attempt_info(cfg, job)) do info[k] = v end
  return store:begin(info)
end

--- A further attempt of a stored run: from its latest usable checkpoint, or from the beginning.
---@param row table  of the table run
local function go_on(ctx, store, job, row)
  ctx.folder, ctx.uid = ("%s/runs/%s"):format(ctx.results, row.uid), row.uid
  local found, refused = checkpoint.latest(ctx.folder .. "/checkpoints", row.config_sha256)
  local state = found and found.state
  ctx.step, ctx.resume = state and state.step or 0, found
  local attempt = store:resume(attempt_info(ctx.cfg, job), row.id, ctx.step - 1)
  for _, text in ipairs(refused) do
    attempt:event("warn", "checkpoint_refused", ctx.step, text)
    ctx.note("warning: " .. text)
  end
  local from = found and found.path or "the beginning: there is no checkpoint"
  if state and state.sak_version ~= core.version() then
    attempt:event("warn", "version", ctx.step, ("the checkpoint is of sak %s, this is %s"):format(state.sak_version,
      core.version()))
  end
  attempt:event("info", "resumed", ctx.step, "from " .. from)
  ctx.note(("run %d goes on at step %d, from %s"):format(row.id, ctx.step, from))
  return attempt
end

function run.label_shape(data)
  return function(task, batch)
    local H, W = data.size[1], data.size[2]
    local last = ({ depth = 1, edge = 1, normals = 3 })[task]
    return last and { batch, H, W, last } or { batch, H, W }
  end
end

--- Every task needs labels in the data.
local function check_tasks(cfg, data)
  for _, task in ipairs(cfg.student.tasks) do
    if not data.info.has[task] then
      error(("student.tasks: '%s' has no labels in the data (%s)"):format(task, data.info.name), 0)
    end
  end
end

--- Models that never look at a teacher: theirs are neither opened nor trained.
local without_teachers = { single_task = true, multi_task = true, wide = true }

--- The committee that a configuration looks at.
---@return table[]
function run.committee(cfg)
  return without_teachers[cfg.model] and {} or cfg.teachers
end

--- Does the run take and keep finished stages?
local function shares(runtime, options)
  if runtime.share_stages ~= nil then return runtime.share_stages and not options.replay end
  return options.trial ~= nil
end

--- The folder that holds those of all runs, made before anything trains for them.
---@param job table
function run.make_folder(job) core.mkdir(paths.folder(job.db) .. "/runs") end

--- Data, sketched teachers and every stage's graph: all that can be wrong before something trains.
---@return table ctx
local function prepare(loaded, store, job, options)
  local cfg = loaded.resolved
  local data = dataset.open(cfg.data)
  check_tasks(cfg, data)
  local ctx = setmetatable({ cfg = cfg, functions = loaded.functions, job = job, store = store, step = 0, stage_data = {},
    config_sha256 = loaded.config_sha256, data = data, results = paths.folder(job.db), script = loaded.sources[1].path, label_shape = run.label_shape(data),
    teacher_files = options.teacher_files,
    loader_threads = (loaded.runtime or {}).loader_threads, cache_limits = (loaded.runtime or {}).cache,
    share_stages = shares(loaded.runtime or {}, options),
    note = function(text) if not job.quiet then io.stderr:write(text, "\n") end end }, Context)
  ctx.teachers = require("sak.teachers").sketch(ctx, run.committee(cfg))
  rehearse(ctx)
  collectgarbage() -- Lua cannot see how much C memory the rehearsal holds
  return ctx
end

--- Raises what would make the experiment fail at its start.
---@return table ctx
function run.rehearsal(loaded, job)
  return prepare(loaded, nil, job, {})
end

---@param loaded sak.Loaded
---@param options? {kind: string?, export: string?, sweep: string?, trial: integer?, uid: string?, watch: table?, resume: table?, replay: table?}
---resume, replay: row of the run that goes on, or is done again (job.source: the database it is in)
---@return string state  "done" | "stopped"
---@return table ctx
function run.experiment(loaded, store, job, options)
  options = options or {}
  local cfg = loaded.resolved
  run.make_folder(job)
  local ctx = prepare(loaded, store, job, options)
  local data = ctx.data
  ctx.teachers = require("sak.teachers").open(ctx, run.committee(cfg))
  local inputs = stored.inputs(ctx)
  if options.replay then stored.check_inputs(job.source, options.replay, data, inputs) end
  if options.resume then
    stored.check_inputs(store, options.resume, data, inputs)
    ctx.run = go_on(ctx, store, job, options.resume)
  else
    options.data_id = data.info.identity
    if loaded.given then -- else a trial, which is frozen with its sweep
      options.frozen_json = stored.freeze(loaded, run.committee(cfg), ctx.teachers, options.export)
    end
    ctx.run = begin(loaded, store, job, options)
  end
  local id, uid = ctx.run:id()
  ctx.id, ctx.uid, ctx.folder = id, uid, ("%s/runs/%s"):format(ctx.results, uid)
  if options.watch then
    if options.resume then options.watch.go_on(store, options.resume.id, ctx.step) end
    ctx.run, ctx.at_step = options.watch.run(ctx.run), options.watch.at_step
  end
  core.mkdir(ctx.folder)
  ctx.note(("run %d (%s): %s, seed %d, %d threads"):format(id, uid, cfg.name, cfg.seed, core.threads()))
  if not options.resume then
    for _, p in ipairs(loaded.params) do ctx.run:param(p.path, freeze.shown(p.value), p.origin) end
    for _, input in ipairs(inputs) do ctx.run:tag(input.tag, input.identity) end
  end
  if job.unsafe_lua then ctx.run:tag("unsafe_lua", "the script ran without sandbox") end
  ctx.keeper = checkpoint.keeper(ctx, loaded.runtime.checkpoint)
  local ok, state = pcall(run.stages, ctx, options)
  if not ok then ctx.run:event("error", "failed", ctx.step, tostring(state)) end
  ctx.keeper:close()
  ctx.run:finish(ok and state or "failed")
  -- a trial that failed is tried again from its beginning, one that was pruned not at all
  if ok and state == "done" or options.trial and (not ok or ctx.pruned) then ctx.keeper:tidy() end
  if not ok then error(state, 0) end
  return state, ctx
end

--- What a teacher must know of a pretrained encoder: its shape and the grid of its positions.
local function encoder_of(cfg)
  local spec = {}
  for k, v in pairs(cfg.student.stem) do spec[k] = v end
  local last = cfg.stages[#cfg.stages]
  local size = last.augment and last.augment.size or cfg.data.size
  spec.grid = { size[1] // spec.patch, size[2] // spec.patch }
  return spec
end

--- All stages in order, then what the run leaves behind.
function run.stages(ctx, options)
  for i = ctx.resume and ctx.resume.state.stage or 1, #ctx.cfg.stages do
    ctx.stage_index = i
    if not stages.run(ctx, ctx.cfg.stages[i]) then return "stopped" end
  end
  if ctx.encoder_params then
    local file = options.export or ctx:path "encoder.safetensors"
    ctx.encoder_params:save(file, { encoder = host.encode(encoder_of(ctx.cfg)) },
      { "cls_token", "pos_embed", "reg_token", "patch_embed", "norm_pre", "blocks" })
    ctx.run:artifact(file, "weights")
  end
  if ctx.result then
    local trivial = require("sak.evaluate").trivial(ctx, ctx.data, ctx.cfg, ctx.cfg.student.tasks)
    if not trivial then return "stopped" end
    ctx.run:sync()
    ctx.table = summary.text(ctx, trivial)
  end
  return "done"
end

--- Exit status of what was interrupted: 130, or 75 (EX_TEMPFAIL: try again) after SIGUSR1, with which
--- a batch system announces the end of a job.
---@return integer
function run.stopped_status() return core.interrupted() == "USR1" and 75 or 130 end

--- Says where to find what a run left.
---@return integer status
function run.report(job, state, ctx)
  if state == "stopped" then
    ctx.note(("run %d stopped at step %d; `sak resume %d` goes on (what it logged is in %s)"):format(ctx.id, ctx.step,
      ctx.id, job.db))
    return run.stopped_status()
  end
  if ctx.table then
    print(ctx.table)
    ctx.note(("predictions: %s\nresults:     sak show %d, or sak sql --db %s"):format(ctx:path "predictions.png", ctx.id, job.db))
  end
  return 0
end

--- Says that the same run was begun before and could go on.
local function mention_interrupted(loaded, store, job)
  local row = store:query([[select id, state, coalesce((select max(l.step) from metric_last l where l.run_id = run.id), 0) as step
    from run where config_sha256 = ?1 and sweep_id is null order by id desc limit 1]], loaded.config_sha256)[1]
  if row and (row.state == "lost" or row.state == "stopped") and not job.quiet then
    io.stderr:write(("run %d of the same configuration was interrupted after step %d (%s): `sak resume %d` goes on with "
      .. "it; this begins another\n"):format(row.id, row.step, row.state, row.id))
  end
end

---@param job table
---@return integer status
function run.run(job)
  local loaded, problems = config.load(job.args[1], job.set)
  if not loaded then
    io.stderr:write(config.format(problems), "\n")
    return 2
  end
  if loaded.kind == "ablation" then return require("sak.sweep").run(job) end
  if #loaded.warnings > 0 then io.stderr:write(config.format(loaded.warnings), "\n") end
  if job.threads == 0 and loaded.runtime.threads then core.threads(loaded.runtime.threads) end
  local store <close> = core.store(job.db, "write")
  mention_interrupted(loaded, store, job)
  return run.report(job, run.experiment(loaded, store, job))
end

return run
