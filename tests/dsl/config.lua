local config = require "sak.config"
local host = require "sak.host"
local archs = require "sak.archs"

test("the example of the design resolves", function()
  local c = loads([[
local sak = require "sak"

return sak.experiment "three_teachers" {
  data     = sak.data.rooms { train = 2000, val = 400, size = { 64, 96 } },
  teachers = { sak.teacher "dinov2", sak.teacher "clip", sak.teacher "sam" },
  student  = sak.student {
    stem    = sak.vit { width = 192, depth = 12, heads = 3, patch = 8 },
    adapter = { down_ratio = 4 },
    router  = sak.router.mor { noisy = true },
    tasks   = { "semseg", "depth", "normals", "edge" },
  },
  stages = {
    sak.distill   { epochs = 10, batch = 32, loss = "cos+l1", optim = sak.adamw { lr = 1e-3, weight_decay = 0.01 }, schedule = sak.cosine { warmup = 1 } },
    sak.multitask { iterations = 2000, batch = 16, alpha = 1, clip = 10, optim = sak.adamw { lr = 2e-4 }, schedule = sak.poly {} },
  },
  seed = 0,
}]])
  equal(#c.warnings, 0)
  local r = c.resolved
  equal(c.name, "three_teachers")
  equal(r.student.adapter.rank, 48)
  equal(table.concat(r.student.stem.out_indices, " "), "2 5 8 11")
  equal(r.stages[1].schedule.min_lr, 1e-5)
  equal(r.stages[1].optim.weight_decay, 0.01)
  equal(r.stages[2].optim.weight_decay, 1e-6) -- the published stage 2, not AdamW's own default
  equal(r.stages[2].optim.lr, 2e-4)
  equal(r.stages[2].weights.edge, 50.0)
  equal(r.stages[2].teachers.sam, 1.0)
  equal(r.teachers[3].builtin, "sam")
  equal(host.encode(host.decode(c.json)), c.json)
  equal(host.sha256(c.json), c.config_sha256)
end)

test("the repository's main experiment resolves from its file", function()
  local c = assert(config.load("experiments/three_teachers.lua"))
  equal(c.resolved.student.stem.width, 128)
  equal(c.sources[1].path, "experiments/three_teachers.lua")
  equal(c.sources[1].sha256, host.sha256(c.sources[1].text))
  equal(c.sources[2].kind, "embedded")
end)

test("stages that say nothing else are trained as published", function()
  local function agrees(got, wanted, at)
    for key, v in pairs(wanted) do
      local path = at .. "." .. key
      if type(v) == "table" then
        agrees(got[key], v, path)
      else
        assert(got[key] == v, ("%s is %s, published %s"):format(path, tostring(got[key]), tostring(v)))
      end
    end
  end
  local r = loads(small { stages = "{ sak.distill { epochs = 30 }, sak.multitask { iterations = 40000 } }" }).resolved
  local adamw = { kind = "adamw", betas = { 0.9, 0.999 }, eps = 1e-8 }
  agrees(r.stages[1], { loss = "cos+l1", clip = false, optim = adamw,
    schedule = { kind = "cosine", per = "iteration", warmup = 2, warmup_init = 1.25e-7, min_lr = 1e-5, lag = true },
    augment = { resized_crop = { 0.08, 1 }, flip = 0.5, photometric = false, scale = false, crop = false } }, "distill")
  agrees(r.stages[1].optim, { lr = 1e-3, weight_decay = 0.01 }, "distill.optim")
  agrees(r.stages[2], { loss = "cos+l1", clip = 10, alpha = 1, optim = adamw, schedule = { kind = "poly", power = 0.9 },
    augment = { scale = { 0.5, 2 }, crop = true, max_class = 0.75, flip = 0.5, photometric = true, resized_crop = false } },
    "multitask")
  agrees(r.stages[2].optim, { lr = 2e-5, weight_decay = 1e-6 }, "multitask.optim")
  agrees(r.student, { adapter = { kind = "bottleneck", down_ratio = 4, scale_init = 1 }, router = { kind = "mor" },
    head = { kind = "fusion" }, freeze = false, freeze_vit = false, lora = false, stem = { ln_eps = 1e-6 } }, "student")
end)

test("the radius within which edges match is the one published for the data", function()
  local function radius(kind, more, overrides)
    local data = { rooms = "sak.data.rooms { size = 32 }", folder = "sak.data.folder { root = 'x', size = 32 }",
      pascal = "sak.data.pascal { root = 'x', size = 32 }" }
    return loads(small { data = data[kind], more = more,
      student = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, tasks = { 'edge' } }" }, overrides)
      .resolved.eval.edge_max_dist
  end
  equal(radius "pascal", 0.0075)
  equal(radius("pascal", "eval = sak.eval { every = 5 }"), 0.0075)
  equal(radius("pascal", nil, { "eval.every=5" }), 0.0075)
  equal(radius("pascal", "eval = { edge_max_dist = 0.011 }"), 0.011)
  equal(radius("pascal", nil, { "eval.edge_max_dist=0.02" }), 0.02)
  equal(radius "folder", 0.011)
  equal(radius "rooms", 0.011)
end)

test("hashes are stable, and the group hash ignores the seed only", function()
  local a, b = loads(small()), loads(small())
  equal(a.config_sha256, b.config_sha256)
  local c = loads(small { more = "seed = 7" })
  assert(c.config_sha256 ~= a.config_sha256)
  equal(c.group_sha256, a.group_sha256)
  local d = loads(small { stages = "{ sak.distill { epochs = 4 } }" })
  assert(d.group_sha256 ~= a.group_sha256)
  equal(loads(small(), { "seed=7" }).config_sha256, c.config_sha256)
end)

test("what is written differently but means the same has the same hash", function()
  local a = loads(small { stages = "{ sak.distill { epochs = 3 } }" })
  local b = loads(small { stages = "{ sak.distill { epochs = 3.0, batch = 16.0, schedule = sak.cosine {} } }" })
  equal(a.json, b.json)
  local c = loads(small { stages = '{ { kind = "distill", epochs = 3, optim = "adamw" } }' })
  equal(a.json, c.json)
end)

test("threads do not enter the configuration", function()
  local a, b = loads(small()), loads(small { more = "threads = 3" })
  equal(a.config_sha256, b.config_sha256)
  equal(b.runtime.threads, 3)
end)

local with_router = [[sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 },
  tasks = { "depth" }, router = %s }]]

test("a function stands for a router and is kept aside", function()
  local c = loads(small { student = with_router:format "function(stem, experts) return stem end" })
  equal(type(c.functions["student.router"]), "function")
  equal(c.functions["student.router"](5), 5)
  local frozen = c.resolved.student.router["$lua"]
  equal(frozen.file, "x.lua")
  equal(frozen.line, 6)
  equal(#frozen.sha256, 64)
end)

test("functions are told apart by their text and by what they captured", function()
  local function hash(text, prefix)
    local script = small { student = with_router:format(text) }
    return loads((script:gsub("\nreturn", "\n" .. (prefix or "") .. "\nreturn", 1)))
      .resolved.student.router["$lua"].sha256
  end
  local maker = "local function make(k) return function(s, e) return s * k end end"
  assert(hash("make(1)", maker) ~= hash("make(2)", maker))
  equal(hash("make(2)", maker), hash("make(2)", maker))
  assert(hash "function(s) return s end" ~= hash "function(s) return s * 2 end")
  local helper = "local function h(x) return x * %d end"
  assert(hash("function(s) return h(s) end", helper:format(1))
    ~= hash("function(s) return h(s) end", helper:format(2)))
end)

test("a script's function stays under the limits when it is called later", function()
  local c = loads(small { student = with_router:format "function(n) if n == 1 then while true do end end return os end" })
  local ok, message = pcall(c.functions["student.router"], 1)
  equal(ok, false)
  contains(message, "x.lua:6: the script does too much work")
  ok, message = pcall(c.functions["student.router"], 2)
  equal(ok, false)
  contains(message, "x.lua:6: 'os' is not available to scripts")
end)

test("losses, adapters and heads can be functions too", function()
  local c = loads(small {
    student = [[sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, tasks = { "depth" },
      adapter = function(x, i) return x end, head = function(l, t) return l end }]],
    stages = [[{ sak.distill { epochs = 1, loss = function(a, b) return a end, schedule = "constant" },
      sak.multitask { epochs = 1, losses = { depth = function(p, l) return p end } } }]],
  })
  for _, path in ipairs { "student.adapter", "student.head", "stages[1].loss", "stages[2].losses.depth" } do
    equal(type(c.functions[path]), "function")
  end
end)

test("derived values see overrides and each other", function()
  local script = small {
    student = [[sak.student { stem = sak.vit { width = 32, heads = sak.derive(function(c) return c.student.stem.width // 16 end), patch = 8 },
      adapter = { rank = sak.derive(function(c) return c.student.stem.heads * 3 end) }, tasks = { "depth" } }]],
  }
  equal(loads(script).resolved.student.stem.heads, 2)
  local c = loads(script, { "student.stem.width=64" })
  equal(c.resolved.student.stem.heads, 4)
  equal(c.resolved.student.adapter.rank, 12)
  equal(c.resolved.student.adapter.down_ratio, nil)
end)

test("derived values that go wrong are reported where they stand", function()
  local head = "sak.student { stem = sak.vit { width = 32, heads = 2, patch = sak.derive(function(c) %s end) } }"
  contains(refused(small { student = head:format "return 'x'" }),
    "x.lua:5:75: error: student.stem.patch must be a whole number of at least 1, got 'x'")
  contains(refused(small { student = head:format "return c.student.stem.patch" }), "derived from itself")
  contains(refused(small { student = head:format "while true do end" }), "too much work")
  contains(refused(small { student = head:format "c.a.b = 1" }), "attempt to index a nil value")
end)

test("every published architecture resolves as teacher and as stem, Swin as stem of the baselines", function()
  for _, name in ipairs(archs.names()) do
    local kind = archs.table[name].kind
    local teachers = ('{ sak.teacher "t" { arch = "%s", weights = "random" } }'):format(name)
    local stem = ('sak.student { stem = sak.%s { arch = "%s" }, tasks = {} }'):format(kind, name)
    local data = "sak.data.rooms { size = { 448, 448 } }"
    local c = loads(small { data = data, teachers = teachers })
    equal(c.resolved.teachers[1].kind, kind)
    equal(c.resolved.teachers[1].width, archs.table[name].width)
    if kind == "swin" then
      contains(refused(small { data = data, student = stem }), "x.lua:5:34: error: adapter paths need a stem of one "
        .. "width, but a swin stem's stages differ in width and grid")
      stem = stem:gsub("tasks = {}", "tasks = { 'depth' }")
    end
    local more = kind == "swin" and 'model = "multi_task"' or nil
    c = loads(small { data = data, student = stem, stages = more and "{ sak.multitask { epochs = 1 } }", more = more })
    equal(c.resolved.student.stem.width, archs.table[name].width)
  end
  local c = loads(small { student = 'sak.student { stem = sak.vit { arch = "vit_base", depth = 6 } }', data = "sak.data.rooms { size = 32 }" })
  equal(c.resolved.student.stem.depth, 6)
  equal(c.resolved.student.stem.width, 768)
  equal(c.resolved.data.size[2], 32)
end)

test("output blocks are those of the published table", function()
  local function levels(d) return table.concat(archs.levels(d), " ") end
  equal(levels(12), "2 5 8 11")
  equal(levels(24), "5 11 17 23")
  equal(levels(27), "6 13 20 26")
  equal(levels(32), "7 15 23 31")
  equal(levels(40), "9 19 29 39")
end)

test("modules beside the script are found and recorded", function()
  local c = loads(small { student = 'require("parts.student")' }, nil, { files = {
    ["parts/student.lua"] = 'local sak = require "sak"\nreturn sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 } }',
  } })
  local found
  for _, s in ipairs(c.sources) do
    found = found or s.path == "parts/student.lua" and s
  end
  equal(found.kind, "module")
  local text = refused(small { student = 'require("parts.student")' }, nil, { files = {
    ["parts/student.lua"] = 'local sak = require "sak"\nreturn sak.student {\n  stem = sak.vit { widht = 32 } }',
  } })
  contains(text, "parts/student.lua:3:20: error: student.stem has no setting 'widht'")
end)

test("params list every leaf with its origin", function()
  local c = loads(small { more = "seed = 3" }, { "stages[1].batch=8", "student.router=sum" })
  local by = {}
  for _, p in ipairs(c.params) do by[p.path] = p end
  equal(by["seed"].origin, "script")
  equal(by["stages[1].batch"].origin, "set")
  equal(by["stages[1].batch"].value, 8)
  equal(by["student.router.kind"].origin, "set")
  equal(by["stages[1].optim.lr"].origin, "default")
  equal(by["student.stem.width"].origin, "script")
  equal(by["data.size[1]"].value, 32)
end)

test("a stored configuration is replayed from its sources alone", function()
  local c = assert(config.load("experiments/three_teachers.lua", { "seed=3" }))
  local files = {}
  for _, s in ipairs(c.sources) do files[s.path] = s.text end
  local again = assert(config.load("experiments/three_teachers.lua", { "seed=3" }, { files = files }))
  equal(again.config_sha256, c.config_sha256)
end)
