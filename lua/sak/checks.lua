--- What must hold between settings.  Each check reads a resolved experiment and reports problems;
--- settings that were already refused are missing here, so every check tolerates nil.
local archs = require "sak.archs"
local data_checks = require "sak.data_checks"
local host = require "sak.host"
local resolve = require "sak.resolve"
local schema = require "sak.schema"
local stage_checks = require "sak.stage_checks"

local checks = {}

local function list_of(v)
  return type(v) == "table" and v or {}
end

local function names_of(teachers)
  local names = {}
  for _, t in ipairs(list_of(teachers)) do
    if type(t) == "table" and t.name then names[#names + 1] = t.name end
  end
  return names
end

--- Endings of weight files in formats that are not read.
local other_formats = { npz = true, npy = true, h5 = true, onnx = true, gguf = true, msgpack = true }

local function encoder(cx, steps, e)
  if type(e) ~= "table" then
    return
  end
  local function at(key)
    local result = table.move(steps, 1, #steps, 1, {})
    result[#result + 1] = key
    return result
  end
  if math.type(e.width) and math.type(e.heads) and e.width % e.heads ~= 0 then
    local near = e.heads
    while e.width % near ~= 0 do near = near - 1 end
    cx.problem(at "heads", ("%d heads do not divide a width of %d"):format(e.heads, e.width),
      ("heads = %d does"):format(near))
  end
  for stage, heads in ipairs(list_of(e.heads)) do
    local width = e.width and e.width << stage - 1
    if width and heads and width % heads ~= 0 then
      cx.problem(at "heads", ("%d heads do not divide stage %d's width of %d"):format(heads, stage, width))
    end
  end
  for _, key in ipairs { "out_indices", "global" } do
    local before = -1
    for _, index in ipairs(list_of(e[key])) do
      if e.depth and index and index >= e.depth then
        cx.problem(at(key), ("%s: there is no block %d in a depth of %d"):format(key, index,
          e.depth),
          "blocks are counted from 0")
      elseif index and index <= before then
        cx.problem(at(key), ("%s must ascend"):format(key))
      end
      before = index or before
    end
  end
  local suffix = e.weights and e.weights:match "%.(%w+)$"
  if suffix and other_formats[suffix] then
    cx.problem(at "weights", ("%s: weights are read from safetensors and PyTorch files"):format(e.weights),
      "the same weights are usually published as .safetensors too")
  elseif (e.names or e.key) and (not e.weights or e.weights == "random") then
    cx.problem(at(e.names and "names" or "key"), e.names and "names says whose names a file of weights has, but there is no file"
      or "key names an entry of a file of weights, but there is no file", "remove it, or give weights")
  elseif e.weights and e.weights ~= "random" and cx.files and not host.exists(e.weights) then
    cx.problem(at "weights", ("%s: no such file"):format(e.weights))
  end
  if e.cpe and not e.grid then
    cx.problem(at "cpe", "cpe crops positions out of a table: it needs 'grid', the table's",
      "grid = { 128, 128 }")
  end
end


--- A built-in teacher's recipe decides its architecture.
local function built_in(cx, i, t)
  if t.kind ~= "vit" or t.arch then
    return cx.problem({ "teachers", i, t.arch and "arch" or "kind" },
      ("teacher '%s' is built in: its recipe decides its architecture"):format(t.name or "?"),
      "give weights instead of builtin, or change experiments/teachers/")
  end
  for _, field in ipairs(schema.families.teacher.kinds[t.kind].fields) do
    if field.shape and t[field[1]] ~= nil then
      cx.problem({ "teachers", i, field[1] },
        ("teacher '%s' is built in: its recipe decides '%s'"):format(t.name or "?", field[1]),
        "give weights instead of builtin, or change experiments/teachers/")
    end
  end
end

--- Padding makes a square of the image.
local function padding(cx, i, t)
  local size = list_of(t.size)
  if not t.pad or t.pad == "none" or cx.failed_at(("teachers[%d].size"):format(i)) then
    return
  elseif not t.size then
    cx.problem({ "teachers", i, "pad" },
      ("pad = \"%s\" needs 'size', the side of the padded image"):format(t.pad), "size = 1024")
  elseif size[1] ~= size[2] then
    cx.problem({ "teachers", i, "size" }, ("a padded image is square, not %dx%d"):format(size[1],
      size[2]), ("size = %d"):format(math.max(size[1], size[2])))
  end
end

local function teachers(cx, config)
  local seen = {}
  for i, t in ipairs(list_of(config.teachers)) do
    if t then
      local steps = { "teachers", i }
      if t.name and seen[t.name] then
        cx.problem({ "teachers", i, "name" }, ("two teachers are called '%s'"):format(t.name),
          "names are keys in the database; give each its own")
      end
      seen[t.name or 0] = true
      if t.builtin then
        built_in(cx, i, t)
      elseif not t.weights then
        cx.problem(steps, ("teacher '%s' comes from nowhere"):format(t.name or "?"),
          'give weights = "file.safetensors", weights = "random", or builtin = "dinov2"')
      else
        for _, key in ipairs { "width", t.kind == "swin" and "depths" or "depth", "heads", "patch" } do
          if t[key] == nil and not t.arch then
            cx.problem(steps, ("teacher '%s' needs '%s', or arch = \"…\""):format(t.name or "?",
              key))
          end
        end
      end
      padding(cx, i, t)
      encoder(cx, steps, t)
    end
  end
end

local function low_rank(cx, config, s)
  local l, stem = list_of(s.lora), list_of(s.stem)
  if s.lora and (config.model == "teacher_heads" or config.model == "all_teachers") then
    cx.problem({ "student", "lora" }, ("model '%s' has no stem to train with LoRA"):format(config.model),
      "remove it, or lora = false")
  elseif s.lora and s.freeze_vit then
    cx.problem({ "student", "lora" }, "LoRA trains updates of the stem, but freeze_vit freezes the stem",
      "remove one of them")
  end
  if l.rank and stem.width and l.rank > stem.width then
    cx.problem({ "student", "lora", "rank" },
      ("an update of rank %d is not low-rank in a stem of width %d"):format(l.rank, stem.width))
  end
  for i, target in ipairs(list_of(l.targets)) do
    if stem.act == "swiglu" and (target == "fc1" or target == "fc2") then
      cx.problem({ "student", "lora", "targets", i },
        ("a swiglu MLP has no linear map '%s'"):format(target), 'targets = { "qkv", "proj" }')
    end
  end
end

local function student(cx, config)
  local s = list_of(config.student)
  if not s.stem and config.student and not cx.failed_at "student.stem" then
    cx.problem({ "student" }, "student needs 'stem': the encoder everything shares",
      "stem = sak.vit { … }")
  end
  local weights = list_of(s.stem).weights
  if list_of(s.stem).kind == "swin" and config.model == "sak" then
    cx.problem({ "student", "stem" },
      "adapter paths need a stem of one width, but a swin stem's stages differ in width and grid",
      'stem = sak.vit { … } or sak.sam { … }, or a baseline: model = "multi_task", "distill_heads"')
  end
  if weights == "random" then
    cx.problem({ "student", "stem", "weights" },
      "a stem without 'weights' starts from random ones; \"random\" is for teachers",
      "remove 'weights'")
  end
  low_rank(cx, config, s)
  encoder(cx, { "student", "stem" }, s.stem)
  if s.weights and weights then
    cx.problem({ "student", "weights" }, "a whole student has its stem's weights with it",
      "give student.weights or student.stem.weights")
  elseif s.weights and not s.weights:match "^run:." and cx.files and not host.exists(s.weights) then
    cx.problem({ "student", "weights" }, ("%s: no such file"):format(s.weights),
      "a file, or a run's last stage: run:17, run:@last")
  end
  local width = type(s.stem) == "table" and s.stem.width
  local adapter = list_of(s.adapter)
  if adapter.kind == "conv" and adapter.kernel and adapter.kernel % 2 == 0 then
    cx.problem({ "student", "adapter", "kernel" },
      ("a kernel has an odd side, got %d: the map must keep its size"):format(adapter.kernel),
      ("kernel = %d"):format(adapter.kernel + 1))
  end
  if width and adapter.rank and adapter.rank > width then
    cx.problem({ "student", "adapter", "rank" },
      ("an adapter of rank %d is wider than the stem (%d)"):format(
      adapter.rank, width))
  elseif width and adapter.down_ratio and adapter.down_ratio > width then
    cx.problem({ "student", "adapter", "down_ratio" },
      ("a down ratio of %d leaves no channel of %d"):format(
      adapter.down_ratio, width))
  end
  local experts = #list_of(config.teachers) + 1
  local router = list_of(s.router)
  if router.kind == "topk" and router.k and router.k > experts then
    cx.problem({ "student", "router", "k" },
      ("the router keeps %d experts, but there are %d (stem and teachers)"):format(
      router.k, experts))
  end
  if router.kind == "mor" and router.noise and router.noisy == false then
    cx.problem({ "student", "router", "noise" },
      "noise says how the gate is noisy, but noisy is off", "noisy = true, or no 'noise'")
  end
  local seen = {}
  for i, task in ipairs(list_of(s.tasks)) do
    if task and seen[task] then
      cx.problem({ "student", "tasks", i }, ("task '%s' is listed twice"):format(task))
    end
    seen[task] = true
  end
  if s.aligner == false and width then
    for i, t in ipairs(list_of(config.teachers)) do
      if t and t.width and (t.width ~= width or t.kind == "swin") then
        cx.problem({ "student", "aligner" },
          ("aligner = false needs equal widths: the student has %d, teacher '%s' %d"):format(
          width, t.name or i, t.width), 'aligner = "auto"')
      end
    end
  end
end

--- Names in a map must be teachers (or tasks) of this experiment.
local function known(cx, steps, map, names, what)
  if cx.failed_at(what == "task" and "student" or "teachers") then
    return
  end
  for name in pairs(list_of(map)) do
    local found = false
    for _, other in ipairs(names) do found = found or other == name end
    if not found then
      local at = table.move(steps, 1, #steps, 1, {})
      at[#at + 1] = name
      cx.problem(at, ("there is no %s '%s' in this experiment"):format(what, name),
        resolve.suggestion(name, names), "key")
    end
  end
end

local function stages(cx, config)
  local teacher_names, tasks = names_of(config.teachers), list_of(list_of(config.student).tasks)
  local seen = {}
  for i, stage in ipairs(list_of(config.stages)) do
    if stage then
      local steps = { "stages", i }
      if not stage.epochs and not stage.iterations
        and not cx.failed_at(("stages[%d]"):format(i)) then
        cx.problem(steps, ("stages[%d] needs 'epochs' or 'iterations'"):format(i))
      end
      if stage.name and seen[stage.name] then
        cx.problem({ "stages", i, "name" }, ("two stages are called '%s'"):format(stage.name),
          "give one of them a name of its own")
      end
      seen[stage.name or 0] = true
      known(cx, { "stages", i, "teachers" }, stage.teachers, teacher_names, "teacher")
      known(cx, { "stages", i, "weights" }, stage.weights, tasks, "task")
      known(cx, { "stages", i, "losses" }, stage.losses, tasks, "task")
      local needed = stage_checks.labelled[stage.kind] and tasks or {}
      data_checks.data(cx, { "stages", i, "data" }, stage.data, needed)
    end
  end
  stage_checks.all(cx, config)
end

--- Is there a stage of this kind, or (kind nil) any that is not pretraining?
local function has_stage(config, kind)
  for _, stage in ipairs(list_of(config.stages)) do
    local own = list_of(stage).kind
    if own and (own == kind or not kind and own ~= "pretrain") then
      return true
    end
  end
  return false
end

local function model(cx, config)
  local count, tasks = #list_of(config.teachers), #list_of(list_of(config.student).tasks)
  if config.model == "teacher_heads" and count ~= 1 then
    cx.problem({ "model" },
      ("teacher_heads is one frozen teacher with heads, but there are %d teachers"):format(count))
  elseif (config.model == "all_teachers" or config.model == "distill_heads") and count == 0 then
    cx.problem({ "model" }, ("model '%s' needs teachers"):format(config.model))
  elseif config.model == "sak" and count == 0 and has_stage(config)
    and not has_stage(config, "distill") and not cx.failed_at "teachers" then
    cx.problem({ "teachers" }, "a committee needs at least one teacher",
      'teachers = { sak.teacher "dinov2" }, or model = "multi_task"')
  elseif config.model == "single_task" and tasks == 0 and not cx.failed_at "student" then
    cx.problem({ "model" }, "single_task needs exactly one task, but none is listed",
      'tasks = { "semseg" } in sak.student')
  elseif config.model == "single_task" and tasks > 1 then
    cx.problem({ "model" }, "single_task trains one task at a time, but several are listed",
      "one run per task: --grid student.tasks=[\"semseg\"],[\"depth\"]")
  end
end

--- bfloat16 pays where the CPU multiplies it, works where our own kernels run, and nowhere else.
local function precision(cx, config)
  local kernel = host.bf16_kernel()
  if config.precision ~= "bf16" or kernel == "avx512_bf16" then return end
  if kernel then
    cx.warning({ "precision" }, "this CPU has no AVX512-BF16: bf16 gives its results, but not its speed",
      'precision = "fp32" is as fast here and more exact')
  else
    cx.problem({ "precision" }, "bf16 needs a CPU with AVX2 (and SAK_GEMM=blis unset)",
      'precision = "fp32"')
  end
end

--- Where a run is rewound to may not depend on the clock; only what is evaluated can be best.
local function checkpoints(cx, config)
  local c = list_of(config.checkpoint)
  if config.on_nan == "rewind" and c.every == 0 then
    cx.problem({ "on_nan" }, "on_nan = \"rewind\" goes back to multiples of checkpoint.every steps, which is 0",
      "checkpoint = { every = 100 }")
  end
  local task = c.best and c.best:match "^val/([^/]+)/[^/]+$"
  if c.best and not task then
    cx.problem({ "checkpoint", "best" }, ("checkpoint.best must be an evaluation's metric, val/<task>/<metric>, got '%s'")
      :format(c.best), "checkpoint = { best = \"val/semseg/mIoU\" }")
  elseif task then
    local found = false
    for _, t in ipairs(list_of(list_of(config.student).tasks)) do found = found or t == task end
    if not found then
      cx.problem({ "checkpoint", "best" }, ("checkpoint.best is '%s', but '%s' is not one of the tasks"):format(c.best,
        task))
    end
  end
end

--- Everything between settings of an experiment.
---@param cx sak.Context
---@param config table
function checks.experiment(cx, config)
  teachers(cx, config)
  student(cx, config)
  data_checks.data(cx, { "data" }, config.data, list_of(config.student).tasks)
  stage_checks.patches(cx, { "data", "size" }, list_of(config.data).size, list_of(config.student).stem)
  stages(cx, config)
  model(cx, config)
  precision(cx, config)
  checkpoints(cx, config)
end

--- Fills what follows from other settings, once everything has been checked.
---@param config table
function checks.complete(config)
  local s = config.student
  local stem, adapter = list_of(s.stem), list_of(s.adapter)
  if stem.width and adapter.down_ratio and not adapter.rank then
    adapter.rank = stem.width // adapter.down_ratio
  end
  if stem.kind == "vit" and not stem.out_indices and stem.depth then
    stem.out_indices = host.array(archs.levels(stem.depth))
  end
  for _, stage in ipairs(config.stages) do
    if config.cache and stage.augment and stage.kind ~= "pretrain" then
      stage.augment.views = stage.augment.views or config.cache.views -- in all arms, with teachers or without
    end
    if stage.alpha and stage_checks.featureless[config.model] then
      stage.alpha = 0.0 -- nothing to distil: what is recorded is what is done
    end
    if stage.teachers then
      for _, t in ipairs(config.teachers) do
        stage.teachers[t.name] = stage.teachers[t.name] or t.weight
      end
    end
    if stage.weights then
      for _, task in ipairs(s.tasks) do
        stage.weights[task] = stage.weights[task] or schema.task_weights[task] + 0.0
      end
    end
  end
end

return checks
