--- The workloads of `sak bench`: the five that the speed goals are stated in, and small ones for
--- tests. Each is an experiment script, so that what is measured is what experiments run.

local cases = {}

---@class Workload
---@field name string
---@field doc string
---@field width integer  of the student's stem
---@field depth integer
---@field heads integer
---@field patch integer
---@field size integer[]  {H, W} pixels
---@field batch integer
---@field teachers table[]  {name, width, heads, grid = {h, w}}
---@field live boolean  teachers run in the step; else their features are inputs
---@field aligner boolean
---@field tasks? string[]  stage 2
---@field steps integer  timed steps by default
---@field rate number
---@field decay number
---@field clip? number

--- grids: one for all teachers, or one each.
local function committee(width, grids)
  local list = {}
  for i, name in ipairs { "dinov2", "clip", "sam" } do
    list[i] = { name = name, width = width, heads = width // 64, grid = type(grids[1]) == "table" and grids[i] or grids }
  end
  return list
end

local function case(name, doc, base, own)
  local c = { name = name, doc = doc }
  for _, from in ipairs { base, own } do
    for k, v in pairs(from) do c[k] = v end
  end
  cases[#cases + 1] = c
  cases[name] = c
end

local s1 = { width = 384, depth = 12, heads = 6, patch = 16, size = { 224, 224 }, batch = 8,
  teachers = committee(768, { 14, 14 }), aligner = true, rate = 1e-3, decay = 0.01, steps = 15 }
local small = { width = 192, depth = 12, heads = 3, patch = 8, size = { 64, 64 }, batch = 32,
  teachers = committee(192, { 8, 8 }), aligner = false, rate = 1e-3, decay = 0.01, steps = 15 }

case("s1_full", "stage 1: ViT-S student, three ViT-B teachers in the step, 224x224, batch 8", s1,
  { live = true, steps = 7 })
case("s1_precomputed", "the same with the teachers' features given", s1, { live = false })
case("s2_nyud", "stage 2: ViT-B student, 448x576, batch 2, four NYUD tasks, MoR, features given", {},
  { width = 768, depth = 12, heads = 12, patch = 16, size = { 448, 576 }, batch = 2, live = false,
    teachers = committee(768, { { 32, 41 }, { 28, 36 }, { 64, 64 } }), aligner = false,
    tasks = { "semseg", "normals", "edge", "depth" }, rate = 2e-5, decay = 1e-6, clip = 10, steps = 5 })
case("proxy", "small: width 192, depth 12, 64x64, batch 32, three such teachers in the step", small,
  { live = true })
case("proxy_precomputed", "the same with the teachers' features given", small, { live = false })
cases.default = #cases

-- for tests and for instruction counts: both stages in milliseconds
local tiny = { width = 32, depth = 4, heads = 2, patch = 8, size = { 32, 48 }, batch = 2, rate = 1e-3, decay = 0.01,
  teachers = { { name = "a", width = 32, heads = 2, grid = { 4, 6 } }, { name = "b", width = 48, heads = 2, grid = { 6, 8 } } },
  aligner = true, steps = 5 }
case("tiny_stage1", "a very small stage 1, for tests", tiny, { live = true })
case("tiny_stage2", "a very small stage 2, for tests", tiny,
  { live = false, clip = 10, tasks = { "semseg", "normals", "edge", "depth" } })

--- Names that the goals use in words.
cases.alias = { stage1_full = "s1_full", stage1_precomputed = "s1_precomputed", stage2_nyud = "s2_nyud",
  small = "proxy", small_precomputed = "proxy_precomputed" }

local vit = "width = %d, depth = %d, heads = %d, patch = %d"

--- The experiment as a script.
---@param c Workload
---@return string
function cases.script(c)
  local teachers = {}
  for i, t in ipairs(c.teachers) do
    teachers[i] = ("sak.teacher %q { weights = \"random\", " .. vit .. " }"):format(t.name, t.width, c.depth,
      t.heads, c.patch)
  end
  local tasks = {}
  for i, task in ipairs(c.tasks or {}) do tasks[i] = ("%q"):format(task) end
  return ([[
local sak = require "sak"
return sak.experiment "bench" {
  data = sak.data.rooms { train = %d, val = %d, size = { %d, %d } },
  teachers = { %s },
  student = sak.student {
    stem = sak.vit { %s },
    adapter = { down_ratio = 4 }, aligner = %s, router = sak.router.mor { noisy = true }, tasks = { %s },
  },
  stages = {
    sak.%s { iterations = 1, batch = %d, clip = %s, loss = "cos+l1", schedule = sak.constant {},
      optim = sak.adamw { lr = %g, weight_decay = %g } },
  },
}
]]):format(c.batch, c.batch, c.size[1], c.size[2], table.concat(teachers, ", "),
    vit:format(c.width, c.depth, c.heads, c.patch), c.aligner, table.concat(tasks, ", "),
    c.tasks and "multitask" or "distill", c.batch, c.clip or false, c.rate, c.decay)
end

--- Multiply-adds of a ViT for one image: patch embedding, rest.
local function vit_macs(width, depth, patch, size)
  local n = (size[1] // patch) * (size[2] // patch)
  local t, hidden = n + 1, 4 * width
  local block = t * width * 3 * width + 2 * t * t * width + t * width * width + 2 * t * width * hidden
  return n * 3 * patch * patch * width, depth * block
end

--- FLOP of one step as ../shared/reference/peer_bench.py counts them: 2 per multiply-add of linear
--- layers, convolutions and the two attention products in the published form of the model;
--- backward is twice forward less the input gradient of the patch embedding. What the engine saves
--- by rewriting a graph does not lower this number: it is the same for every program.
---@param c Workload
---@return number
function cases.flops(c)
  local w, n = c.width, (c.size[1] // c.patch) * (c.size[2] // c.patch)
  local k = #c.teachers
  local patch, rest = vit_macs(w, c.depth, c.patch, c.size)
  rest = rest + k * (c.depth + 1) * (n + 1) * 2 * w * (w // 4) -- adapters
  if c.aligner then
    for _, t in ipairs(c.teachers) do rest = rest + 4 * n * w * t.width end
  end
  local channels = { semseg = 40, normals = 3, edge = 1, depth = 1 }
  local h, v = c.size[1] // 4, c.size[2] // 4
  for _, task in ipairs(c.tasks or {}) do
    rest = rest + 4 * n * (w * (w // 2) + (w // 2) * 2 * (k + 1)) -- router
    rest = rest + 4 * n * w * (w // 4)                            -- head: linears
    rest = rest + h * v * (9 * w * w + w * channels[task])        -- head: convolutions
  end
  local teachers = 0
  for _, t in ipairs(c.live and c.teachers or {}) do
    local p, r = vit_macs(t.width, c.depth, c.patch, c.size)
    teachers = teachers + p + r
  end
  return 2 * c.batch * (2 * patch + 3 * rest + teachers)
end

return cases
