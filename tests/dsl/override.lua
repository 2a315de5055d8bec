local override = require "sak.override"
local config = require "sak.config"

local three = { teachers = '{ sak.teacher "dinov2", sak.teacher "clip", sak.teacher "sam" }',
  stages = "{ sak.distill { epochs = 3 }, sak.multitask { iterations = 5 } }" }

local function resolved(...)
  return loads(small(three), { ... }).resolved
end

test("values on the command line have the type they look like", function()
  equal(override.value "3", 3)
  equal(math.type(override.value "3"), "integer")
  equal(override.value "2.5e-3", 2.5e-3)
  equal(override.value "true", true)
  equal(override.value "false", false)
  equal(override.value "cos+l1", "cos+l1")
  equal(override.value '"3"', "3")
  equal(override.value "64x96"[2], 96)
  equal(override.value "[1,[2,3]]"[2][1], 2)
  equal(override.value '{"a":1}'.a, 1)
  equal(override.value "[1,", "[1,")
end)

test("settings are changed by path, list entries by number or by selector", function()
  local r = resolved("seed=4", "student.stem.width=64", "teachers[name=sam].weight=0.5", "teachers[1].weight=2",
    "stages[kind=multitask].batch=3", "stages[1].optim.lr=0.5", "data.size=48x40", "data.size[2]=56")
  equal(r.seed, 4)
  equal(r.student.stem.width, 64)
  equal(r.teachers[3].weight, 0.5)
  equal(r.teachers[1].weight, 2.0)
  equal(r.stages[1].teachers.sam, 0.5)
  equal(r.stages[2].batch, 3)
  equal(r.stages[1].optim.lr, 0.5)
  equal(r.stages[1].optim.weight_decay, 0.01)
  equal(r.data.size[1], 48)
  equal(r.data.size[2], 56)
end)

test("settings that the script does not mention start from their default", function()
  local r = resolved("student.router.noisy=true", "stages[2].augment.photometric=false",
    "stages[2].weights.depth=3")
  equal(r.student.router.kind, "mor")
  equal(r.student.router.noisy, true)
  equal(r.stages[2].augment.crop, true)
  equal(r.stages[2].augment.photometric, false)
  equal(r.student.lora, false)
  equal(r.stages[2].weights.depth, 3.0)
end)

test("LoRA is switched on by setting any part of it", function()
  equal(resolved("student.lora.rank=4").student.lora.alpha, 16.0)
  equal(table.concat(resolved("student.lora={}").student.lora.targets, " "), "qkv proj")
end)

test("a constructor can be given on the command line", function()
  local r = resolved("student.router=sak.router.topk { k = 3 }")
  equal(r.student.router.k, 3)
  contains(refused(small(), { "student.router=sak.router.tpk {}" }), "sak.router has no 'tpk'; did you mean 'topk'?")
  contains(refused(small(), { "student.router=sak.vit { while }" }), "--set student.router=")
end)

test("another kind drops what only the old kind had", function()
  local parts = { student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, router = sak.router.mor { noisy = true, temperature = 2 } }" }
  local r = loads(small(parts), { "student.router.kind=token" }).resolved
  equal(r.student.router.kind, "token")
  equal(r.student.router.temperature, 2.0)
  equal(r.student.router.noisy, nil)
  equal(loads(small(parts), { "student.router=sum" }).resolved.student.router.kind, "sum")
end)

test("an excluded sibling gives way to an override", function()
  local parts = { student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, adapter = { down_ratio = 4 } }" }
  local r = loads(small(parts), { "student.adapter.rank=5" }).resolved
  equal(r.student.adapter.rank, 5)
  equal(r.student.adapter.down_ratio, nil)
  equal(loads(small(parts), { "stages[1].iterations=7" }).resolved.stages[1].epochs, nil)
end)

test("+ adds and ~ removes", function()
  local r = resolved('+student.tasks=edge', "+teachers=sak.teacher 'big' { arch = 'vit_base', weights = 'random' }",
    "~stages[2]", "~teachers[name=clip]")
  equal(table.concat(r.student.tasks, " "), "depth edge")
  equal(#r.stages, 1)
  equal(#r.teachers, 3)
  equal(r.teachers[3].width, 768)
  contains(refused(small(), { "~note" }), "--set ~note: there is nothing to remove")
  contains(refused(small { more = "seed = 1" }, { "+seed=3" }), "--set +seed=3: it is there already")
end)

test("later overrides win, and all win over the script", function()
  equal(loads(small { more = "seed = 1" }, { "seed=2", "seed=3" }).resolved.seed, 3)
end)

test("paths that lead nowhere are refused, with the nearest that exists", function()
  local function says(set, message)
    equal((refused(small(three), { set })), "error: --set " .. set .. ": " .. message .. "\n")
  end
  says("student.stem.name=vit_base", "no such path; did you mean 'student.stem.arch'?")
  says("student.adaptor.rank=16", "no such path; did you mean 'student.adapter.rank'?")
  says("teachers[name=samm].weight=1", "no entry of teachers has name=samm; did you mean 'sam'?")
  says("teachers[name=xxxxxxx].weight=1", "no entry of teachers has name=xxxxxxx; there are: dinov2, clip, sam")
  says("teachers[4].weight=1", "teachers has 3 entries")
  says("teachers.sam.weight=1", "no such path; teachers is a list: use teachers[1] or teachers[name=…]")
  says("stages[kind=multitsk].batch=1", "no entry of stages has kind=multitsk; did you mean 'multitask'?")
  says("seed.x=1", "no such path; seed is a single value")
  says("seed", "give path=value, +path=value or ~path")
  says("=3", "the path is empty")
  says("a..b=3", "not a path")
  says("teachers[=3", "give path=value, +path=value or ~path")
  says("student.router.kind=moor", "student.router.kind must be one of mor|sum|token|joint|topk|static, got 'moor'; did you mean 'mor'?")
  says("seed=x", "seed must be a whole number of at least 0, got 'x'")
end)

test("a value that breaks another setting names the override that did it", function()
  contains(refused(small(), { "student.stem.heads=5" }), "error: --set student.stem.heads=5: 5 heads do not divide a width of 32")
end)

test("an override of a function's parts is refused", function()
  local parts = { student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, router = function(s) return s end }" }
  contains(refused(small(parts), { "student.router.noisy=true" }), "student.router is a function")
  equal(loads(small(parts), { "student.router=sum" }).functions["student.router"], nil)
end)

test("--grid makes an ablation of an experiment", function()
  local path = "experiments/three_teachers.lua"
  local c = assert(config.load(path, { "data.train=40" }, { grid = { "student.adapter.rank=4,8", "student.router=mor,sum" } }))
  equal(c.kind, "ablation")
  equal(#c.trials, 4)
  equal(c.trials[1].label, "base/student.adapter.rank=4/student.router=mor")
  equal(c.trials[4].resolved.student.adapter.rank, 8)
  equal(c.trials[4].resolved.student.router.kind, "sum")
  equal(c.trials[4].resolved.data.train, 40)
  local _, list = config.load(path, {}, { grid = { "student.adpter.rank=4,8" } })
  contains(config.format(list), "error: --grid student.adpter.rank=4: no such path; did you mean 'student.adapter.rank'?")
end)
