local config = require "sak.config"

test("the error of the design comes with place, excerpt, caret and remedy", function()
  local text = [[
-- experiments/three_teachers.lua
local sak = require "sak"

return sak.experiment "three_teachers" {
  data     = sak.data.rooms { train = 2000, val = 400, size = { 64, 96 } },
  teachers = { sak.teacher "dinov2", sak.teacher "clip", sak.teacher "sam" },
  student  = sak.student {
    stem    = sak.vit { width = 192, depth = 12, heads = 3, patch = 8 },
    adapter = { down_ratio = 4 },
    -- the next line is wrong

    router  = { kind = "moor" },
    tasks   = { "semseg", "depth", "normals", "edge" },
  },
  stages = { sak.distill { epochs = 3 } },
}]]
  equal(refused(text, { "student.adaptor.rank=16" }), [[
x.lua:12:24: error: student.router.kind must be one of mor|sum|token|joint|topk|static, got 'moor'
    12 |     router  = { kind = "moor" },
       |                        ^
  help: did you mean 'mor'?
error: --set student.adaptor.rank=16: no such path; did you mean 'student.adapter.rank'?
]])
end)

--- One wrong thing in a small experiment: what must be said about it.
local function says(parts, place, message, help)
  local text, list = refused(small(parts))
  contains(text, ("x.lua:%s: error: %s\n"):format(place, message))
  local caret = text:match "\n       | ( *)%^"
  equal(#caret + 1, tonumber(place:match ":(%d+)"))
  if help then contains(text, "  help: " .. help .. "\n") end
  if #list > 1 then error(text) end
end

test("unknown settings are pointed at, with the nearest name or all of them", function()
  says({ more = "sed = 1" }, "7:3", "the experiment has no setting 'sed'", "did you mean 'seed'?")
  says({ data = "sak.data.rooms { size = { 32, 32 }, colour = 1 }" }, "3:46", "data has no setting 'colour'",
    "possible: train, val, size, seed, fraction")
  says({ stages = "{ sak.distill { epochs = 3, sched = 'poly' } }" }, "6:40",
    "stages[1] has no setting 'sched'")
end)

test("wrong types say what is expected and what is there", function()
  says({ more = "seed = 'one'" }, "7:10", "seed must be a whole number of at least 0, got 'one'")
  says({ more = "seed = 1.5" }, "7:10", "seed must be a whole number of at least 0, got 1.5")
  says({ more = "seed = -1" }, "7:10", "seed must be a whole number of at least 0, got -1")
  says({ stages = "{ sak.distill { epochs = 0 } }" }, "6:37", "stages[1].epochs must be a number above 0, got 0")
  says({ stages = "{ sak.distill { epochs = 1/0 } }" }, "6:37", "stages[1].epochs must be a number above 0, got inf")
  says({ stages = "sak.distill { epochs = 3 }" }, "6:12", "stages must be a list, each entry a stage, got sak.distill")
  says({ stages = "{}" }, "6:12", "stages must have at least 1 entries, got 0")
  says({ stages = "{ sak.distill { epochs = 3, optim = sak.vit {} } }" }, "6:48",
    "stages[1].optim must be an optimiser, got sak.vit")
  says({ stages = "{ sak.distill { epochs = 3, optim = 3 } }" }, "6:48",
    "stages[1].optim must be an optimiser, got 3")
  says({ data = "sak.data.rooms { size = { 32 } }" }, "3:34", "data.size must be a size { height, width }, got a table")
  says({ data = "function() end" }, "3:10", "data must be images and labels, got a function")
  says({ teachers = '{ sak.teacher "sam", x = 1 }' }, "4:35",
    "teachers is a list, each entry a frozen teacher; it cannot have the key 'x'")
end)

test("choices are suggested", function()
  says({ stages = "{ sak.distill { epochs = 3, loss = 'cos+l2' } }" }, "6:47",
    "stages[1].loss must be one of cos+l1|cos|l2, got 'cos+l2'", "did you mean 'cos+l1'?")
  says({ stages = "{ sak.distill { epochs = 3, optim = 'adamx' } }" }, "6:48",
    "stages[1].optim must be one of adamw|adam|sgd, got 'adamx'", "did you mean 'adamw'?")
  says({ more = "model = 'saks'" }, "7:11",
    "model must be one of sak|single_task|multi_task|distill_heads|teacher_heads|all_teachers|wide, got 'saks'",
    "did you mean 'sak'?")
end)

test("what is missing is said at the constructor", function()
  says({ student = "sak.student { tasks = {} }" }, "5:13", "student needs 'stem': the encoder everything shares")
  says({ data = 'sak.data.folder { size = 32 }' }, "3:10", "data needs 'root': the folder")
  says({ stages = "{ sak.distill {} }" }, "6:14", "stages[1] needs 'epochs' or 'iterations'")
  says({ stages = "{ sak.pretrain { epochs = 2 } }", teachers = "{}",
    student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 } }" }, "6:14", "stages[1] needs 'objective': what it learns from")
end)

test("settings that exclude each other", function()
  says({ stages = "{ sak.distill { epochs = 3, iterations = 5 } }" }, "6:28",
    "stages[1]: give either epochs or iterations, not both")
  says({ student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, adapter = { rank = 4, down_ratio = 4 } }" },
    "5:102", "student.adapter: give either down_ratio or rank, not both")
end)

test("checks between settings", function()
  local stem = "sak.student { stem = sak.vit { %s, patch = 8 }, %s }"
  says({ student = stem:format("width = 130, heads = 4", "") }, "5:65", "4 heads do not divide a width of 130", "heads = 2 does")
  says({ student = stem:format("width = 32, heads = 2, out_indices = { 1, 2, 3, 12 }", "") }, "5:81",
    "out_indices: there is no block 12 in a depth of 12")
  says({ student = stem:format("width = 32, heads = 2, out_indices = { 3, 2, 4, 5 }", "") }, "5:81", "out_indices must ascend")
  says({ student = stem:format("width = 32, heads = 2", "adapter = { rank = 33 }") }, "5:99",
    "an adapter of rank 33 is wider than the stem (32)")
  says({ student = stem:format("width = 32, heads = 2", 'tasks = { "depth", "depth" }') }, "5:99",
    "task 'depth' is listed twice")
  says({ student = stem:format("width = 32, heads = 2", "router = sak.router.topk { k = 5 }") }, "5:111",
    "the router keeps 5 experts, but there are 2 (stem and teachers)")
  says({ teachers = '{ sak.teacher "sam", sak.teacher "sam" }' }, "4:47", "two teachers are called 'sam'")
  says({ teachers = '{ sak.teacher "mine" }' }, "4:16", "teacher 'mine' comes from nowhere")
  says({ teachers = '{ sak.teacher "mine" { weights = "random", width = 8, heads = 2, depth = 4 } }' }, "4:16",
    "teacher 'mine' needs 'patch', or arch = \"…\"")
  says({ teachers = "{}" }, "6:14", "a distill stage needs at least one teacher")
  says({ stages = "{ sak.multitask { epochs = 1, weights = { edge = 3 } } }" }, "6:54",
    "there is no task 'edge' in this experiment")
  says({ stages = "{ sak.distill { epochs = 1, teachers = { dino = 3 }, schedule = 'poly' } }" }, "6:53",
    "there is no teacher 'dino' in this experiment", "did you mean 'dinov2'?")
  says({ stages = "{ sak.distill { epochs = 3 }, sak.distill { epochs = 3 } }" }, "6:42",
    "two stages are called 'distill'")
  says({ more = 'model = "teacher_heads"', teachers = '{ sak.teacher "sam", sak.teacher "clip" }',
    stages = "{ sak.probe { epochs = 1 } }" }, "7:11",
    "teacher_heads is one frozen teacher with heads, but there are 2 teachers")
  says({ data = "sak.data.rooms { size = 4 }" }, "3:34", "an image of 4x4 is smaller than a patch of 8")
end)

local stem = "stem = sak.vit { width = 32, heads = 2, patch = 8 }"
local multitask = "{ sak.multitask { epochs = 1 } }"

test("settings that nothing would read are refused: encoders and teachers", function()
  local function student(more) return "sak.student { " .. more .. " }" end
  says({ student = student "stem = sak.swin {}" }, "5:34",
    "adapter paths need a stem of one width, but a swin stem's stages differ in width and grid",
    'stem = sak.vit { … } or sak.sam { … }, or a baseline: model = "multi_task", "distill_heads"')
  says({ teachers = '{ sak.teacher "t" { kind = "swin", width = 96, heads = { 3, 6, 12, 24 }, weights = "random" } }' }, "4:16",
    "teacher 't' needs 'depths', or arch = \"…\"")
  says({ teachers = '{ sak.teacher "t" { arch = "swin_tiny", heads = { 3, 5, 12, 24 }, weights = "random" } }' },
    "4:62", "5 heads do not divide stage 2's width of 192")
  says({ student = student "stem = sak.vit { cpe = true }" }, "5:50",
    "cpe crops positions out of a table: it needs 'grid', the table's", "grid = { 128, 128 }")
  says({ student = student(stem .. ", lora = { rank = 33 }") }, "5:96",
    "an update of rank 33 is not low-rank in a stem of width 32")
  says({ student = student(stem .. ", freeze_vit = true, lora = {}") }, "5:106",
    "LoRA trains updates of the stem, but freeze_vit freezes the stem", "remove one of them")
  says({ student = student "stem = sak.vit { act = 'swiglu' }, lora = { targets = { 'fc1' } }" }, "5:83",
    "a swiglu MLP has no linear map 'fc1'", 'targets = { "qkv", "proj" }')
  loads(small { student = student(stem .. ", lora = false") })
  loads(small { student = student(stem .. ", lora = { dropout = 0.1, stage2 = 'merge' }") })
  says({ student = student "stem = sak.vit { weights = 'random' }" }, "5:54",
    "a stem without 'weights' starts from random ones; \"random\" is for teachers")
  for _, suffix in ipairs { "npz", "onnx" } do
    says({ student = student(("stem = sak.vit { weights = 'a.%s' }"):format(suffix)) }, "5:54",
      ("a.%s: weights are read from safetensors and PyTorch files"):format(suffix))
  end
  for _, suffix in ipairs { "safetensors", "pth", "bin", "pt" } do
    loads(small { student = student(("stem = sak.vit { weights = 'a.%s', names = 'hf_vit' }"):format(suffix)) })
  end
  says({ student = student "stem = sak.vit { name = 'vit_base' }" }, "5:44",
    "student.stem has no setting 'name'", "did you mean 'arch'?")
  says({ student = student "stem = sak.vit { names = 'timm' }" }, "5:52",
    "names says whose names a file of weights has, but there is no file")
  contains(refused(small { student = student "stem = sak.vit { weights = 'a.pth', names = 'hf' }" }),
    "names must be one of hf_dinov2|hf_vit|")
  says({ teachers = '{ sak.teacher "sam" { pad = "long_side" } }' }, "4:42",
    "pad = \"long_side\" needs 'size', the side of the padded image", "size = 1024")
  says({ teachers = '{ sak.teacher "sam" { pad = "crop", size = { 64, 96 } } }' }, "4:57",
    "a padded image is square, not 64x96", "size = 96")
  loads(small { teachers = '{ sak.teacher "sam" { pad = "crop", size = 64 } }' })
  says({ teachers = '{ sak.teacher "sam" { width = 64 } }' }, "4:44",
    "teacher 'sam' is built in: its recipe decides 'width'")
  says({ teachers = '{ sak.teacher "t" { builtin = "sam", arch = "vit_base" } }' }, "4:58",
    "teacher 't' is built in: its recipe decides its architecture")
  for _, field in ipairs { "mean", "std" } do
    contains(refused(small { data = ("sak.data.rooms { size = 32, %s = { 1, 1, 1 } }"):format(field) }),
      ("data has no setting '%s'"):format(field))
  end
  contains(refused(small { student = student(stem .. ", head = { bn_eps = 1e-3 }") }),
    "student.head has no setting 'bn_eps'")
end)

test("settings that nothing would read are refused: routers, augmentation, evaluation", function()
  local router = "sak.student { " .. stem .. ", router = sak.router.mor { noise = 'image'%s } }"
  says({ student = router:format "" }, "5:114", "noise says how the gate is noisy, but noisy is off")
  equal(loads(small { student = router:format ", noisy = true" }).resolved.student.router.noise, "image")
  local function augment(text) return ("{ sak.distill { epochs = 3, augment = { %s } } }"):format(text) end
  says({ stages = augment "resized_crop = { 0.5, 1 }, scale = { 0.5, 2 }" }, "6:87",
    "resized_crop and scale exclude each other", "switch one off: resized_crop = false, or scale = false")
  says({ stages = augment "resized_crop = { 0.5, 1 }, crop = true" }, "6:86",
    "resized_crop and crop exclude each other")
  says({ stages = augment "max_class = 0.5" }, "6:64",
    "max_class limits what a random crop shows, but crop is off", "crop = true, or no max_class")
  says({ more = "eval = { edge_max_dist = 1 }" }, "7:28", "eval.edge_max_dist must be a number above 0 and below 1, got 1")
  says({ stages = "{ sak.distill { epochs = 3, optim = { betas = { 0.9, 1 } } } }" }, "6:65",
    "stages[1].optim.betas[2] must be a number of at least 0 and below 1, got 1")
  says({ stages = "{ sak.distill { epochs = 3, optim = sak.sgd { momentum = 1 } } }" }, "6:69",
    "stages[1].optim.momentum must be a number of at least 0 and below 1, got 1")
end)

test("how much of one class a crop may show is a setting of the crop", function()
  local function of(text) return loads(small { stages = "{ " .. text .. " }" }).resolved.stages[1].augment end
  equal(of("sak.multitask { epochs = 1 }").max_class, 0.75)
  equal(of("sak.multitask { epochs = 1, augment = { flip = 0 } }").max_class, nil)
  equal(of("sak.multitask { epochs = 3, augment = { crop = true, max_class = 0.5 } }").max_class, 0.5)
end)

test("stages that do not fit the model or each other are refused", function()
  for _, model in ipairs { "single_task", "multi_task", "wide", "teacher_heads", "all_teachers" } do
    says({ more = ('model = "%s"'):format(model) }, "6:14",
      ("model '%s' has no features to distil"):format(model), "remove the distill stage: --set '~stages[1]'")
    local c = loads(small { more = ('model = "%s"'):format(model), stages = "{ sak.distill { epochs = 3 }, sak.multitask { epochs = 1 } }" },
      { "~stages[1]" })
    equal(c.resolved.stages[1].alpha, 0.0) -- there is nothing to distil
    says({ more = ('model = "%s"'):format(model), stages = multitask, student = 'sak.student { tasks = { "depth" } }' },
      "5:13", "student needs 'stem': the encoder everything shares")
  end
  local two = "sak.student { " .. stem .. ", tasks = { 'depth', 'edge' } }"
  says({ more = 'model = "single_task"', stages = multitask, student = two }, "7:11",
    "single_task trains one task at a time, but several are listed")
  says({ more = 'model = "teacher_heads"', stages = multitask, teachers = "{}" }, "7:11",
    "teacher_heads is one frozen teacher with heads, but there are 0 teachers")
  says({ stages = multitask, teachers = "{}" }, "4:14", "a committee needs at least one teacher",
    'teachers = { sak.teacher "dinov2" }, or model = "multi_task"')
  for _, model in ipairs { "multi_task", "wide" } do
    loads(small { stages = multitask, teachers = "{}", more = ('model = "%s"'):format(model) })
  end
  says({ stages = "{ sak.multitask { epochs = 1 }, sak.distill { epochs = 3 } }" }, "6:44",
    "a distill stage cannot follow a multitask stage", "stages are distill …, then multitask or probe")
  says({ student = "sak.student { " .. stem .. ", freeze = true }" }, "5:89",
    "with freeze only routers and heads train, and a distill stage has neither")
  loads(small { stages = multitask, student = "sak.student { " .. stem .. ", freeze = true, tasks = { 'depth' } }" })
end)

test("a pretrain stage stands alone and says what it would ignore", function()
  local function pretrain(objective, more)
    return { stages = ("{ sak.pretrain { epochs = 2, objective = %s } }"):format(objective or "sak.objective.dino {}"),
      teachers = more and more.teachers or "{}", more = more and more.more,
      student = "sak.student { " .. (more and more.student or stem) .. " }" }
  end
  loads(small(pretrain()))
  says(pretrain(nil, { teachers = '{ sak.teacher "sam" }' }), "4:14",
    "a pretrain stage has no teachers; they would be ignored")
  says(pretrain(nil, { student = stem .. ', tasks = { "depth" }' }), "5:88",
    "a pretrain stage has no tasks; they would be ignored")
  says(pretrain(nil, { more = 'model = "wide"' }), "7:11", "a pretrain stage trains the stem alone; model 'wide' is not built")
  says(pretrain(nil, { student = stem .. ", freeze_vit = true" }), "5:93",
    "a pretrain stage trains the stem, which is frozen here")
  says(pretrain(nil, { student = "stem = sak.vit { weights = 'a.safetensors' }" }), "5:54",
    "a pretrain stage starts from random weights in this version")
  says(pretrain(nil, { student = "stem = sak.vit { class_token = false }" }), "5:58",
    "the dino objective needs a class token")
  says(pretrain "sak.objective.contrastive { text_width = 100 }", "6:94",
    "text_width must be a multiple of 32, the width of a head, got 100", "text_width = 96")
  local both = pretrain()
  both.stages = "{ sak.pretrain { epochs = 2, objective = 'dino' }, sak.multitask { epochs = 1 } }"
  contains(refused(small(both)), "x.lua:6:14: error: a pretrain stage stands alone: no other stage goes on with what it trains")
end)

test("a distill stage may have its own image size, no other stage; all have only training images of their own", function()
  local function distill(more) return ("{ sak.distill { epochs = 3, %s } }"):format(more) end
  says({ stages = distill "augment = { size = { 64, 96 } }" }, "6:59",
    "the stage's images are 32x32, not 64x96; give the stage's size", "size = { 32, 32 }")
  loads(small { stages = distill "data = sak.data.rooms { size = { 64, 96 } }" })
  loads(small { stages = distill "size = 48, data = sak.data.rooms { size = { 64, 96 } }" })
  says({ stages = distill "size = 4" }, "6:47", "an image of 4x4 is smaller than a patch of 8")
  says({ stages = distill "data = sak.data.rooms { size = 4 }" }, "6:71", "an image of 4x4 is smaller than a patch of 8")
  contains(config.format(loads(small { stages = distill "size = { 32, 44 }" }).warnings), "32x44 is not a multiple of the stem's patch of 8")
  local own_size = " stage has the experiment's image size, 32x32, on which it is scored, not 64x96"
  for _, kind in ipairs { "multitask", "probe" } do
    contains(refused(small { stages = ("{ sak.distill { epochs = 1 }, sak.%s { epochs = 3, size = { 64, 96 } } }"):format(kind) }),
      "a " .. kind .. own_size)
  end
  contains(refused(small { stages = "{ sak.multitask { epochs = 3, data = sak.data.rooms { size = { 64, 96 } } } }" }), own_size)
  loads(small { stages = distill "augment = { size = 32 }, data = sak.data.rooms { size = 32, train = 99, seed = 3 }" })
  loads(small { stages = "{ sak.pretrain { epochs = 2, objective = 'dino', augment = { size = 16 } } }", teachers = "{}",
    student = "sak.student { " .. stem .. " }" })
  says({ stages = distill "data = sak.data.rooms { size = 32, val = 9 }" }, "6:81",
    "stages[1].data.val would be ignored: a stage takes only training images from its data")
  local own = "data = sak.data.folder { root = 'x', size = 32, %s }"
  says({ stages = distill(own:format "classes = 4") }, "6:98", "stages[1].data.classes would be ignored: "
    .. "a stage takes only training images from its data")
  says({ stages = distill(own:format "parts = 4") }, "6:96", "stages[1].data.parts would be ignored: "
    .. "a stage takes only training images from its data")
  loads(small { stages = distill "data = sak.data.rooms { size = 32, val = 9 }", data = "sak.data.rooms { size = 32, val = 9 }" })
end)

test("a batch that all training images do not fill is refused where it stands", function()
  local function stage(more) return ("{ sak.distill { epochs = 3, %s } }"):format(more) end
  local few = "sak.data.rooms { size = 32, train = 9 }"
  says({ data = few, stages = stage "batch = 10" }, "6:48", "9 images do not fill one batch of 10", "batch = 9 or fewer, or more images in data.train")
  loads(small { data = few, stages = stage "batch = 9" })
  says({ stages = stage(("batch = 10, data = %s"):format(few)) }, "6:48", "9 images do not fill one batch of 10",
    "batch = 9 or fewer, or more images in stages[1].data.train")
  loads(small { data = "sak.data.rooms { size = 32, train = 9, fraction = 0.5 }", stages = stage "batch = 9" })
end)

test("a warm-up as long as its stage is a warning", function()
  local c = loads(small { stages = "{ sak.distill { epochs = 1, schedule = sak.cosine { warmup = 2 } } }" })
  contains(config.format(c.warnings), "x.lua:6:73: warning: a warm-up of 2 epochs does not end within 1 epochs")
  local function warned(iterations, data)
    return config.format(loads(small { data = data, stages = ("{ sak.distill { iterations = %d } }"):format(iterations) }).warnings)
  end
  contains(warned(250), "warning: a warm-up of 2 epochs does not end within 250 iterations")
  contains(warned(250), "help: an epoch has 125 steps; warmup counts epochs")
  equal(warned(251), "")
  contains(warned(24, "sak.data.rooms { size = 32, train = 399, fraction = 0.5 }"), "an epoch has 12 steps")
  equal(warned(25, "sak.data.rooms { size = 32, train = 399, fraction = 0.5 }"), "")
end)

test("a size that does not fit the patches is a warning with the nearest that does", function()
  local c = loads(small { data = "sak.data.rooms { size = { 32, 37 } }" })
  equal(config.format(c.warnings), [[
x.lua:3:34: warning: 32x37 is not a multiple of the stem's patch of 8: the last 0 rows and 5 columns are never seen
     3 |   data = sak.data.rooms { size = { 32, 37 } },
       |                                  ^
  help: 32x40 is
]])
end)

test("all errors come at once, in the order of the source", function()
  local _, list = refused(small { data = "sak.data.rooms { trian = 3, size = 'x' }", more = "seed = {}, sed = 0" })
  equal(#list, 4)
  for i = 2, #list do
    assert(list[i].line * 1000 + list[i].col > list[i - 1].line * 1000 + list[i - 1].col)
  end
end)

test("values made elsewhere are pointed at where they were made", function()
  local text = [[
local sak = require "sak"
local optim = sak.adamw {
  lr = "high",
}
local function stage(n)
  return sak.distill { epochs = n, batch = 0, optim = optim }
end
local shared = { down_ratio = "x" }
return sak.experiment "small" {
  data = sak.data.rooms { size = 32 },
  teachers = { sak.teacher "sam" { weight = "heavy" }, [2] = sak.teacher "clip" },
  student = sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, adapter = shared },
  stages = { stage(3) },
}]]
  local out = refused(text)
  contains(out, "x.lua:3:8: error: stages[1].optim.lr must be a number above 0, got 'high'")
  contains(out, "x.lua:13:14: error: stages[1].batch must be") -- a tail call: only its use is known
  contains(out, "x.lua:11:45: error: teachers[1].weight must be a number of at least 0, got 'heavy'")
  contains(out, "x.lua:12:90: error: student.adapter.down_ratio must be")
end)

test("columns count characters that the reader sees, tabs kept", function()
  local text = refused('local sak = require "sak"\nreturn sak.experiment "é" {\n\t--[[é]] sed = 3 }\n')
  contains(text, "\n     3 | \t--[[é]] sed = 3 }\n       | \t        ^\n")
end)

test("comments, long strings and nested functions do not confuse places", function()
  local text = refused(small { more = [==[
  -- sed = { } "
  note = [[ a { b ]],
  --[[ } } ]] eval = { every = (function() local a, b = { 1, 2 }, "}" return 3 end)(), imges = 4 },]==] })
  contains(text, "x.lua:9:88: error: eval has no setting 'imges'")
  contains(text, "did you mean 'images'?")
end)

test("mistakes of Lua itself have a place", function()
  contains(refused "local sak = require 'sak'\nreturn sak.experimnt 'x' {}",
    "x.lua:2:12: error: sak has no 'experimnt'\n     2 | return sak.experimnt 'x' {}\n       |            ^\n  help: did you mean 'experiment'?\n")
  contains(refused "return sak.experiment 'x' {}", "x.lua:1:8: error: there is no variable 'sak'")
  contains(refused "local x = = 3", "x.lua:1:11: error: unexpected symbol near '='")
  contains(refused "local x = {}\nx.y.z = 1", "x.lua:2:3: error: attempt to index a nil value (field 'y')")
  contains(refused "local sak = require 'sak'\nlocal x = sak.student(3)", "x.lua:2:11: error: sak.student takes a table")
  contains(refused "local sak = require 'sak'\nlocal x = sak.router.moor {}", "x.lua:2:22: error: sak.router has no 'moor'")
  contains(refused "return 3", "x.lua: error: the script must return an experiment, got 3; end it with")
end)

test("a missing script is one clear line", function()
  local loaded, list = config.load "/nowhere/x.lua"
  equal(loaded, nil)
  if #list > 1 then error(text) end
  contains(config.format(list), "/nowhere/x.lua")
end)

test("missing files and labels of real data are found before anything runs", function()
  local root = os.tmpname()
  os.remove(root)
  assert(os.execute(("mkdir -p %s/gt_sets %s/images %s/depth && touch %s/gt_sets/train.txt"):format(root, root, root, root)))
  local script = root .. "/x.lua"
  local function text_of(parts)
    local f = assert(io.open(script, "w"))
    f:write(small(parts))
    f:close()
    local _, list = config.load(script)
    return config.format(list or {})
  end
  local stem = "stem = sak.vit { width = 32, heads = 2, patch = 8, weights = '/nowhere.safetensors' }"
  local text = text_of { data = ("sak.data.folder { root = '%s', size = 32 }"):format(root),
    student = "sak.student { " .. stem .. ", tasks = { 'depth', 'normals' } }" }
  contains(text, "3:10: error: " .. root .. "/gt_sets/val.txt: no such list of images")
  contains(text, "error: " .. root .. " has no labels for 'normals'")
  contains(text, "help: it has: depth")
  contains(text, "/nowhere.safetensors: no such file")
  contains(text_of { data = "sak.data.folder { root = '/nowhere', size = 32 }" }, "3:35: error: /nowhere: no such folder")
  os.execute(("touch %s/gt_sets/val.txt"):format(root))
  local own = ("{ sak.multitask { epochs = 1, data = sak.data.folder { root = '%s', size = 32 } } }"):format(root)
  text = text_of { stages = own, student = "sak.student { " .. stem:gsub(", weights.*", " }") .. ", tasks = { 'depth', 'edge' } }" }
  contains(text, "error: " .. root .. " has no labels for 'edge'")
  assert(not text:find("no labels for 'depth'", 1, true))
  os.execute("rm -r " .. root)
end)

test("a folder's own layout is checked task by task", function()
  local function own(tasks, more)
    return ("sak.data.folder { root = 'x', size = 32, tasks = { %s } %s }"):format(tasks, more or "")
  end
  local function refuses(data, ...)
    local text = refused(small { data = data })
    for _, part in ipairs { ... } do contains(text, part) end
  end
  refuses(own "semseg = { dir = 'm', scale = 2, classes = 3 }", "'scale' says nothing about semseg",
    "semseg has: dir, suffix, classes, colours, offset, ignore")
  refuses(own "semseg = { dir = 'm' }", "tasks.semseg needs 'classes'")
  refuses(own "semseg = { dir = 'm', classes = 3, colours = { { 0, 0, 0 }, { 1, 1, 1 } } }", "2 colours for 3 classes")
  refuses(own "semseg = { dir = 'm', classes = 3, ignore = { 0, 0, 0 } }", "labels stored as values are ignored by value")
  refuses(own "normals = { dir = 'n', axes = { 'x', '-x', 'z' } }", "axes holds x twice")
  refuses(own "semsg = { dir = 'm' }", "unknown name 'semsg'", "did you mean 'semseg'?")
  refuses(own("depth = { dir = 'd' }", ", train = 0.9, val = 0.2"), "are more than all images")
  refuses(own("depth = { dir = 'd' }", ", train = 0.9"), "train and val are both lists or both shares")
  refuses("sak.data.folder { root = 'x', size = 32, image = { dir = 'i' } }", "'image' goes with 'tasks'")
  loads(small { data = own("depth = { dir = 'd', scale = 0.001 }", ", train = 0.9, val = 0.1") })
  loads(small { data = "sak.data.pascal { root = 'x', size = 32 }", student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, tasks = { 'semseg' } }", })
  refuses("sak.data.images { root = 'x', size = 32 }", "x has no labels for 'depth'", "it has images alone")
end)
