--- What must hold between the stages of an experiment and the rest of it: their order, what each
--- trains, the images it sees.  Called by checks.lua; values already refused are nil or false.
local data_checks = require "sak.data_checks"
local host = require "sak.host"
local schema = require "sak.schema"

local stage_checks = {}

--- Models that offer nothing to the distillation loss.
stage_checks.featureless = { single_task = true, multi_task = true, wide = true,
  teacher_heads = true, all_teachers = true }

local labelled = { multitask = true, probe = true }
stage_checks.labelled = labelled

local function list_of(v)
  return type(v) == "table" and v or {}
end

--- Weights are carried on in one direction: distill …, then multitask or probe.
local function order(cx, stages)
  local before
  for i, stage in ipairs(stages) do
    local kind = list_of(stage).kind
    if kind == "pretrain" and #stages > 1 then
      return cx.problem({ "stages", i },
        "a pretrain stage stands alone: no other stage goes on with what it trains",
        "give it an experiment of its own, as in experiments/teachers/")
    elseif kind == "distill" and before then
      cx.problem({ "stages", i }, ("a distill stage cannot follow a %s stage"):format(before),
        "stages are distill …, then multitask or probe")
    end
    before = labelled[kind] and kind or before
  end
end

local function text_of(size)
  return ("%dx%d"):format(size[1], size[2])
end

--- What a labelled stage trains is scored at the experiment's image size; a distill stage may have
--- its own, and pretraining takes smaller crops.
local function sizes(cx, config, i, stage)
  local size = list_of(config.data).size
  local own, crop = list_of(stage.data).size, list_of(stage.augment).size
  local function differs(other, from)
    return from and other and (other[1] ~= from[1] or other[2] ~= from[2])
  end
  local function refuse(key, other, message, want)
    local steps = { "stages", i, table.unpack(key) }
    cx.problem(steps, message:format(text_of(want), text_of(other)), ("size = { %d, %d }"):format(want[1], want[2]))
  end
  if labelled[stage.kind] then
    local message = "a " .. stage.kind .. " stage has the experiment's image size, %s, on which it is scored, not %s"
    if differs(stage.size, size) then refuse({ "size" }, stage.size, message, size) end
    if differs(own, size) then refuse({ "data", "size" }, own, message, size) end
  elseif stage.kind == "pretrain" then
    local message = "a pretrain stage has the experiment's image size, %s, not %s; augment.size makes smaller crops"
    if differs(stage.size, size) then refuse({ "size" }, stage.size, message, size) end
    if differs(own, size) then refuse({ "data", "size" }, own, message, size) end
  elseif stage.size or own then
    stage_checks.patches(cx, stage.size and { "stages", i, "size" } or { "stages", i, "data", "size" },
      stage.size or own, list_of(config.student).stem)
  end
  local seen = stage.size or own or size
  if stage.kind ~= "pretrain" and differs(crop, seen) then
    refuse({ "augment", "size" }, crop, "the stage's images are %s, not %s; give the stage's size", seen)
  end
end

--- Does an image size fit the patches?  Pixels that do not fill a patch are dropped (2.1).
function stage_checks.patches(cx, steps, size, e)
  if type(size) ~= "table" or type(e) ~= "table" or not e.patch then
    return
  end
  local h, w, p = size[1], size[2], e.patch
  if h < p or w < p then
    cx.problem(steps, ("an image of %dx%d is smaller than a patch of %d"):format(h, w, p))
  elseif h % p ~= 0 or w % p ~= 0 then
    cx.warning(steps,
      ("%dx%d is not a multiple of the stem's patch of %d: the last %d rows and %d columns are never seen"):format(
      h, w, p, h % p, w % p), ("%dx%d is"):format(math.max(1, (h + p // 2) // p) * p,
      math.max(1, (w + p // 2) // p) * p))
  end
end

--- Of a stage's own data only the training images are taken.
local function own_data(cx, config, i, stage)
  local d, whole = list_of(stage.data), list_of(config.data)
  local kind = schema.families.data.kinds[d.kind]
  for _, key in ipairs { "val", "classes", "parts" } do
    local field = kind and kind.by_name[key]
    if field and d[key] and d[key] ~= field.default and d[key] ~= whole[key] then
      cx.problem({ "stages", i, "data", key },
        ("stages[%d].data.%s would be ignored: a stage takes only training images from its data")
        :format(i, key), "give it in the experiment's data, or leave it out")
    end
  end
end

local function augmentation(cx, i, stage)
  local a = list_of(stage.augment)
  for _, key in ipairs { "scale", "crop" } do
    if a.resized_crop and a[key] then
      cx.problem({ "stages", i, "augment", key }, ("resized_crop and %s exclude each other"):format(
        key), ("switch one off: resized_crop = false, or %s = false"):format(key))
    end
  end
  if a.max_class and not a.crop and not cx.failed_at(("stages[%d].augment"):format(i)) then
    cx.problem({ "stages", i, "augment", "max_class" },
      "max_class limits what a random crop shows, but crop is off", "crop = true, or no max_class")
  end
end

--- Images to train on, where their number is known before the data is opened.
local function images_of(cx, d)
  if d.kind == "rooms" then return d.train end
  local list = cx.files and data_checks.list_of_images(d, "train")
  local text = list and host.read(list)
  return text and select(2, text:gsub("[^\r\n]*%S[^\r\n]*", ""))
end

--- A batch that all images together do not fill is never full.
local function filled(cx, config, i, stage)
  local d = list_of(stage.data or config.data)
  local n = stage.batch and images_of(cx, d)
  if n and n > 0 and stage.batch > n then
    cx.problem({ "stages", i, "batch" }, ("%d images do not fill one batch of %d"):format(n, stage.batch),
      ("batch = %d or fewer, or more images in %sdata.train"):format(n, stage.data and ("stages[%d]."):format(i) or ""))
  end
end

--- Steps of one epoch, where the number of images is known before the data is opened.
local function steps_per_epoch(cx, d, batch)
  local n = batch and images_of(cx, d)
  return n and math.max(batch, math.floor(n * (d.fraction or 1) + 0.5)) // batch
end

local function warm_up(cx, config, i, stage)
  local warmup = list_of(stage.schedule).warmup or 0
  local steps = steps_per_epoch(cx, list_of(stage.data or config.data), stage.batch)
  local at = { "stages", i, "schedule", "warmup" }
  if warmup > 0 and stage.epochs and warmup >= stage.epochs then
    cx.warning(at, ("a warm-up of %g epochs does not end within %g epochs"):format(warmup,
      stage.epochs))
  elseif warmup > 0 and stage.iterations and steps and warmup * steps >= stage.iterations then
    cx.warning(at, ("a warm-up of %g epochs does not end within %d iterations"):format(warmup,
      stage.iterations), ("an epoch has %d steps; warmup counts epochs"):format(steps))
  end
end

--- Pretraining builds the stem and its objective, nothing else of the experiment.
local function pretraining(cx, config, i, stage)
  local s, o = list_of(config.student), list_of(stage.objective)
  local stem = list_of(s.stem)
  if #list_of(config.teachers) > 0 then
    cx.problem({ "teachers" }, "a pretrain stage has no teachers; they would be ignored",
      "remove 'teachers'")
  end
  if #list_of(s.tasks) > 0 then
    cx.problem({ "student", "tasks" }, "a pretrain stage has no tasks; they would be ignored",
      "remove 'tasks'")
  end
  if config.model and config.model ~= "sak" then
    cx.problem({ "model" },
      ("a pretrain stage trains the stem alone; model '%s' is not built"):format(config.model),
      "remove 'model'")
  end
  if stem.kind == "sam" or stem.kind == "swin" or stem.cpe then
    cx.problem({ "student", "stem" }, "a pretrain stage trains a plain ViT, with a position per token",
      "stem = sak.vit { … }")
  end
  if s.lora then
    cx.problem({ "student", "lora" }, "a pretrain stage trains the whole stem; it has no LoRA", "remove 'lora'")
  end
  for _, at in ipairs { { "student", "stem", "weights" }, { "student", "weights" } } do
    if list_of(at[3] and stem or s).weights then
      cx.problem(at, "a pretrain stage starts from random weights in this version", "remove 'weights'")
    end
  end
  if o.kind == "dino" and stem.class_token == false then
    cx.problem({ "student", "stem", "class_token" }, "the dino objective needs a class token",
      "class_token = true")
  elseif o.kind == "contrastive" and o.text_width and o.text_width % 32 ~= 0 then
    cx.problem({ "stages", i, "objective", "text_width" },
      ("text_width must be a multiple of 32, the width of a head, got %d"):format(o.text_width),
      ("text_width = %d"):format(math.max(1, (o.text_width + 16) // 32) * 32))
  end
end

--- Does the stage have anything to train, and to train with?
local function trained(cx, config, i, stage)
  local s, model = list_of(config.student), config.model
  local steps, teachers = { "stages", i }, #list_of(config.teachers)
  if stage.kind == "distill" and stage_checks.featureless[model] then
    cx.problem(steps, ("model '%s' has no features to distil"):format(model),
      ("remove the distill stage: --set '~stages[%d]'"):format(i))
  elseif stage.kind == "distill" and teachers == 0 and not cx.failed_at "teachers" then
    cx.problem(steps, "a distill stage needs at least one teacher",
      'teachers = { sak.teacher "dinov2" }')
  elseif labelled[stage.kind] and #list_of(s.tasks) == 0 and not cx.failed_at "student" then
    cx.problem(steps, ("a %s stage needs at least one task"):format(stage.kind),
      'tasks = { "semseg", "depth" } in sak.student')
  end
  if s.freeze and stage.kind == "distill" then
    cx.problem({ "student", "freeze" },
      "with freeze only routers and heads train, and a distill stage has neither",
      "remove 'freeze', or the distill stage")
  elseif stage.kind == "pretrain" and (s.freeze or s.freeze_vit) then
    cx.problem({ "student", s.freeze and "freeze" or "freeze_vit" },
      "a pretrain stage trains the stem, which is frozen here")
  end
  if stage.kind == "pretrain" then
    pretraining(cx, config, i, stage)
  end
end

---@param cx sak.Context
---@param config table
function stage_checks.all(cx, config)
  local stages = list_of(config.stages)
  order(cx, stages)
  for i, stage in ipairs(stages) do
    if stage then
      trained(cx, config, i, stage)
      sizes(cx, config, i, stage)
      own_data(cx, config, i, stage)
      augmentation(cx, i, stage)
      filled(cx, config, i, stage)
      if not cx.failed_at(("stages[%d]"):format(i)) then
        warm_up(cx, config, i, stage)
      end
    end
  end
end

return stage_checks
