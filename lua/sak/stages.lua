--- The stages of an experiment. `plan` builds and plans a stage's training graph without giving it
--- memory (all that `sak check` needs); `run` trains it and leaves its weights in ctx.student.

local core = require "sak.core"
local nn = require "sak.nn"
local build = require "sak.build"
local dataset = require "sak.dataset"
local evaluate = require "sak.evaluate"
local features = require "sak.features"
local losses = require "sak.losses"
local pretrain = require "sak.pretrain"
local shared_stage = require "sak.shared_stage"
local teacher = require "sak.models.teacher"
local train = require "sak.train"
local encoder = require "sak.models.encoder"
local weights = require "sak.weights"

local stages = {}

--- Things that need a planned graph's memory are registered while it is built.
local function deferred()
  local list = {}
  return function(f) list[#list + 1] = f end,
    function(graph) for _, f in ipairs(list) do f(graph) end end
end

---@class Plan  one planned graph of a stage
---@field graph userdata
---@field params userdata
---@field terms string[]   outputs to log each step
---@field fields string[]  what a batch holds
---@field finish fun()     allocates memory and fills constants

--- Image size that a stage sees: its own, its data's or the experiment's.
---@return integer[] {H, W}
function stages.size(ctx, stage)
  return stage.size or stage.data and stage.data.size or ctx.data.size
end

--- Teachers' features in a graph. A teacher with a grid but without parameters gives them as inputs
--- teacher/<name>/level<k>, each (B, h, w, C_t).
local function teacher_maps(ctx, graph, image, later, inputs)
  local maps, batch = {}, image.shape[1]
  for _, t in ipairs(ctx.teachers) do
    if t.params then
      maps[t.name] = teacher.features(graph, image, t, later, inputs)
    else
      maps[t.name] = {}
      for level = 1, #t.widths do
        maps[t.name][level] = graph:input(("teacher/%s/level%d"):format(t.name, level),
          { batch, t.grid[1], t.grid[2], t.widths[level] })
      end
    end
  end
  return maps
end

local function names_of(teachers)
  local names, width = {}, {}
  for i, t in ipairs(teachers) do
    names[i], width[t.name] = t.name, t.weight
  end
  return names, width
end

--- An empty graph as the configuration has them executed.
function stages.new_graph(cfg, training)
  return core.graph { training = training, seed = cfg.seed, rewrite = cfg.engine.rewrite,
    checkpoint = cfg.engine.checkpoint == "blocks", bf16 = cfg.precision == "bf16" }
end

--- Model, losses and outputs of one graph. o.tasks: with heads; o.stage: with losses (training);
--- o.size: of the images, where they are not the experiment's.
--- Aligners are built where the distillation loss sees them, and nowhere else.
local function assemble(ctx, params, o)
  local cfg, stage = ctx.cfg, o.stage
  local size = stage and stages.size(ctx, stage) or o.size or ctx.data.size
  local graph = stages.new_graph(cfg, o.stage ~= nil)
  local later, finish = deferred()
  local inputs = {}
  local scope = nn.scope(graph, params, { inputs = inputs })
  local image = scope:input("image", { o.batch, size[1], size[2], 3 })
  local distils = stage and stage.alpha ~= 0 and stage.kind ~= "probe"
  local needs_maps = distils or cfg.model == "teacher_heads" or cfg.model == "all_teachers"
  local cached = cfg.cache and distils and #ctx.teachers > 0
    and features.sketch(ctx, size, function() return stages.new_graph(cfg, false) end) or nil
  local maps = cached and cached:maps(graph, o.batch) or needs_maps and teacher_maps(ctx, graph, image, later, inputs) or {}
  local spec = build.student(cfg, ctx.functions, ctx.teachers, ctx.data.info, o.tasks, stage and stage.kind)
  spec.training, spec.drop_aligners = stage ~= nil, not distils
  local levels, outputs, routing = build.model(cfg)(scope, image, spec, maps)
  return { graph = graph, params = params, spec = spec, size = size, outputs = outputs, routing = routing,
    features = levels, maps = maps, scope = scope, terms = {}, more = {}, cached = cached,
    finish = function() graph:allocate() finish(graph) end }
end

local function add_terms(graph, names, group, terms)
  for _, term in ipairs(terms) do
    graph:output(group .. term.name, term.value)
    names[#names + 1] = group .. term.name
  end
end

--- Distillation loss of an assembled graph.
local function distillation(ctx, made, stage)
  local grids = encoder.grids(made.spec.stem, made.size)
  local order, weight = names_of(ctx.teachers)
  for name, v in pairs(stage.teachers or {}) do weight[name] = v end
  local kind = type(stage.loss) == "table" and ctx.functions[("stages[%d].loss"):format(ctx.stage_index)] or stage.loss
  return losses.distill(made.features, made.maps, order, grids, kind, weight)
end

--- Goes on with what the stage before trained; position tables take this stage's grid.
local function carry(ctx, stage, params)
  local description = weights.carry(params, ctx.student, { where = "the stage before", any_part = true,
    stem = ctx.cfg.student.stem, image = stages.size(ctx, stage), from_image = ctx.student_size,
    lora = ctx.cfg.student.lora or nil })
  ctx.run:event("info", "carried", ctx.step, description .. ", from the stage before")
end

--- What the first stage starts from: files of the stem or of a whole student, held against the
--- parameters; with `load`, loaded into them.
---@return {path: string, text: string}[]
local function initial(ctx, stage, params, load)
  local s, image, said = ctx.cfg.student, stages.size(ctx, stage), {}
  if s.weights then
    local path = require("sak.locate").file(ctx.job.source_db or ctx.job.db, s.weights)
    local file <close> = core.weights(path, { key = s.key })
    local o = { where = path, stem = s.stem, image = image, from_image = weights.image_of(file),
      lora = weights.lora_of(file) or s.lora or nil, alpha = s.lora and s.lora.alpha }
    local fit, description = weights.fit_student(params, weights.values_of(file), o)
    if load then weights.load(fit, params, file) end
    said[1] = { path = path, key = s.key, text = ("student: %s: %s"):format(path, description) }
  elseif s.stem.weights then
    local path, prefix = s.stem.weights, nil
    for _, p in ipairs(params:list()) do prefix = prefix or p.name:match "^(.-vit%.)cls_token$" or p.name:match "^(.-vit%.)patch_embed" end
    if not prefix then
      error(("student.stem.weights: model '%s' has no stem to load %s into"):format(ctx.cfg.model, path), 0)
    end
    local file <close> = core.weights(path, { key = s.stem.key })
    local fit, description = weights.fit_encoder(params, file, s.stem, { where = path, image = image,
      prefix = prefix, source_grid = s.stem.grid, names = s.stem.names })
    if load then weights.load(fit, params, file) end
    said[1] = { path = path, key = s.stem.key, text = ("stem: %s: %s"):format(path, description) }
  end
  return said
end

local plan = {}

--- Stage 1: the student imitates its teachers; no labels.
function plan.distill(ctx, stage)
  local made = assemble(ctx, core.params(ctx.cfg.seed), { batch = stage.batch, stage = stage })
  local objective, parts = distillation(ctx, made, stage)
  add_terms(made.graph, made.terms, "kd/", parts)
  made.fields = { "image" }
  return made, objective
end

--- Stage 2: task losses and alpha times the distillation loss, on labelled images. Also the probes
--- and the baselines, which only differ in their model.
function plan.multitask(ctx, stage)
  local tasks = ctx.cfg.student.tasks
  local made = assemble(ctx, core.params(ctx.cfg.seed), { batch = stage.batch, stage = stage, tasks = tasks })
  local labels, own = {}, {}
  for _, task in ipairs(tasks) do
    labels[task] = made.scope:input(task, ctx.label_shape(task, stage.batch))
    own[task] = ctx.functions[("stages[%d].losses.%s"):format(ctx.stage_index, task)]
  end
  local objective, parts = losses.multitask(made.outputs, labels, tasks, stage.weights or {}, own)
  add_terms(made.graph, made.terms, "task/", parts)
  if next(made.features) and stage.alpha and stage.alpha > 0 then
    local kd, kd_parts = distillation(ctx, made, stage)
    add_terms(made.graph, made.terms, "kd/", kd_parts)
    objective = objective + (stage.alpha == 1 and kd or kd * stage.alpha)
  end
  made.fields = { "image", table.unpack(tasks) }
  return made, objective
end

plan.probe = plan.multitask

--- Trains an encoder alone, as the built-in teachers are.
function plan.pretrain(ctx, stage)
  local cfg = ctx.cfg
  local fields, more = pretrain.needs(stage.objective, cfg.student.stem)
  local shapes <close> = dataset.train_loader(ctx.data, cfg.data, stage, fields, cfg.seed, more)
  local params, graph = core.params(cfg.seed), stages.new_graph(cfg, true)
  local later, finish = deferred()
  local inputs = {}
  local scope = nn.scope(graph, params, { inputs = inputs })
  local objective, parts, options = pretrain[stage.objective.kind] { graph = graph, scope = scope,
    params = params, inputs = inputs, objective = stage.objective, encoder = cfg.student.stem,
    info = ctx.data.info, seed = cfg.seed, image = scope:input("image", shapes:shape "image"),
    later = later, shape = function(field) return shapes:shape(field) end }
  local made = { graph = graph, params = params, terms = {}, fields = fields, more = more,
    options = options or {}, finish = function() graph:allocate() finish(graph) end }
  add_terms(graph, made.terms, "", parts)
  return made, objective
end

--- The training graph of a stage, planned but without memory.
---@return Plan
function stages.plan(ctx, stage)
  local made, objective = plan[stage.kind](ctx, stage)
  made.graph:output("loss", objective)
  build.freeze(ctx.cfg, made.params, stage)
  if ctx.stage_index == 1 then made.starts_from = initial(ctx, stage, made.params, false) end
  made.graph:plan(objective)
  return made
end

--- The graph that predicts one image of `size` pixels: outputs out/<task>; planned but without memory.
---@return Plan
function stages.plan_prediction(ctx, params, size, tasks)
  local made = assemble(ctx, params, { batch = 1, tasks = tasks, size = size })
  for _, task in ipairs(tasks) do made.graph:output("out/" .. task, made.outputs[task]) end
  made.graph:plan()
  return made
end

--- The graph that evaluates what a stage trained, planned but without memory.
---@param tasks? string[]  those of the experiment
---@return Plan, string[] routing  keys of its router/<key> outputs
function stages.plan_evaluation(ctx, params, tasks)
  tasks = tasks or ctx.cfg.student.tasks
  local made = assemble(ctx, params, { batch = ctx.cfg.eval.batch, tasks = tasks })
  local graph, keys = made.graph, {}
  for _, task in ipairs(tasks) do
    graph:output("out/" .. task, made.outputs[task])
    -- labels only pass through, for the meters and the sheet; the sum keeps them in the graph
    local label = made.scope:input(task, ctx.label_shape(task, ctx.cfg.eval.batch))
    graph:output("label_sum/" .. task, label:mean_all())
  end
  for key, p in pairs(made.routing) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local p = made.routing[key]
    if #p.shape == 3 then p = p:mean { axis = 1 } end
    graph:output("router/" .. key, p)
  end
  graph:plan()
  return made, keys
end

--- Whether a stage has labels, and so something to score.
function stages.labelled(stage) return stage.kind == "multitask" or stage.kind == "probe" end

--- Scores what the stage has trained so far; the final time with edges matched and a sheet drawn.
---@param made Plan  what stages.plan_evaluation gave
---@param routing string[]
local function scorer(ctx, made, routing)
  local cfg, tasks = ctx.cfg, ctx.cfg.student.tasks
  made.finish()
  local experts = { "stem" }
  for _, t in ipairs(ctx.teachers) do experts[#experts + 1] = t.name end
  return function(final)
    return evaluate.run(ctx, made.graph, { data = ctx.data, cfg = cfg, tasks = tasks, routing = routing,
      experts = experts, final = final, sheet = final and ctx:path "predictions.png" or nil })
  end
end

--- Says what the run starts from and under whose names, and keeps it with the run.
---@param start {path: string, text: string}[]
local function report_weights(ctx, start)
  local said = {}
  for i, file in ipairs(start) do
    said[i] = file.text
    ctx.run:tag("weights", weights.identity(file.path, file.key):sub(1, 12))
  end
  for _, t in ipairs(ctx.teachers) do
    if t.loaded_as then said[#said + 1] = ("teacher %s: %s: %s"):format(t.name, t.source, t.loaded_as) end
  end
  for _, text in ipairs(said) do
    ctx.run:event("info", "weights", ctx.step, text)
    ctx.note(text)
  end
end

--- Leaves the stage's student in the run's folder: the last stage's as student.safetensors, an
--- earlier one's as stage1.safetensors, ….
local function save(ctx, stage)
  local size, last = ctx.student_size, ctx.stage_index == #ctx.cfg.stages
  local path = ctx:path(last and "student.safetensors" or ("stage%d.safetensors"):format(ctx.stage_index))
  local lora = ctx.cfg.student.lora
  ctx.student:save(path, { experiment = ctx.cfg.name, stage = stage.name, image = ("%dx%d"):format(size[1], size[2]),
    lora_alpha = lora and ("%.17g"):format(lora.alpha) or nil })
  ctx.run:artifact(path, "weights")
end

--- What a stage trained is where the next one begins.
local function hand_on(ctx, stage, params)
  ctx.student, ctx.student_size = params, stages.size(ctx, stage)
  save(ctx, stage)
end

--- Frozen weights are read where they lie in their files, which must not have changed.
local function check_files(ctx, params)
  params:check_files()
  for _, t in ipairs(ctx.teachers) do
    if t.params then t.params:check_files() end
  end
end

--- Trains a stage. Returns false when the user asked to stop.
function stages.run(ctx, stage)
  local cfg, made = ctx.cfg, stages.plan(ctx, stage)
  local options = made.options or {}
  if ctx.resume then
    ctx.note(("going on at step %d, in stage %d of %d"):format(ctx.step, ctx.stage_index, #cfg.stages))
  elseif ctx.student then
    carry(ctx, stage, made.params)
    ctx.student:close()
  else
    report_weights(ctx, initial(ctx, stage, made.params, true))
  end
  local cached <close> = made.cached
  local data, spec = dataset.of_stage(ctx, stage)
  local shared <close> = shared_stage.open(ctx, stage, made, data.train)
  local claim = shared and shared:claim()
  if claim == "stopped" then return false end
  if claim == "taken" then
    local go_on = shared:tell()
    made.graph:close()
    check_files(ctx, made.params)
    if go_on then hand_on(ctx, stage, made.params) end
    return go_on
  end
  local evaluation, routing
  if stages.labelled(stage) then
    evaluation, routing = stages.plan_evaluation(ctx, made.params)
    made.graph:share(evaluation.graph) -- never at the same time
  end
  made.finish()
  if options.start and not ctx.resume then options.start() end
  local more = made.more or {}
  more.threads = ctx.loader_threads
  more.digests = made.cached ~= nil
  local loader <close> = dataset.train_loader(data, spec, stage, made.fields, cfg.seed, more)
  if cached then cached:open() end
  local score = evaluation and scorer(ctx, evaluation, routing)
  local loop = { name = stage.name, graph = made.graph, params = made.params,
    loader = cached and cached:with(loader, stage.batch) or loader, stage = stage,
    record = shared and function(name, value) shared:record(name, value) end,
    terms = made.terms, after_update = options.after_update, sets = { "", made.params } }
  if options.export then table.move({ "average.", options.export }, 1, 2, 3, loop.sets) end
  local function evaluate_at(it, final)
    local result = score(final)
    if result and ctx.keeper then ctx.keeper:offer(result, loop, it) end
    return result
  end
  if score and cfg.eval.every > 0 then
    function loop.on_iteration(it)
      if it % cfg.eval.every == 0 then evaluate_at(it, false) end
    end
  end
  local done = train.run(ctx, loop)
  if cached then cached:report(stage) end
  if not done then return false end
  check_files(ctx, made.params)
  if stage.kind == "pretrain" then
    ctx.encoder_params = options.export or made.params
  else
    hand_on(ctx, stage, made.params)
  end
  if shared then shared:keep(loop) end
  made.graph:close()
  collectgarbage() -- teachers of this stage's image size
  if score then
    ctx.result = evaluate_at(loop.at.iteration, true)
    if not ctx.result then return false end
  end
  check_files(ctx, made.params)
  return true
end

return stages
