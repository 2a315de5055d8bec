-- Every published architecture by name: as teacher, under the baselines and as stem, with the
-- number of parameters that is published for it. Graphs are planned only; nothing is allocated.
local archs = require "sak.archs"
local config = require "sak.config"
local core = require "sak.core"
local build = require "sak.build"
local encoder = require "sak.models.encoder"
local nn = require "sak.nn"
local teacher = require "sak.models.teacher"

-- Parameters of whole published models, and what of them features do not need.
--   vit, vit_huge: torchvision's vit_b_16, vit_l_16 and vit_h_14 at 224, DeiT-Ti and DeiT-S: a
--     classifier of 1000 (C + 1 each) and the final norm (2 C)
--   swin: torchvision's swin_t, swin_s, swin_b; timm's swin_large_patch4_window7_224: likewise, of 8 C
--   dinov2: Meta's dinov2_vit*14 (Hugging Face Dinov2Model): final norm and mask token, 3 C; registers add 4 C
--   sam: timm's samvit_*_patch16 at 1024: the neck, 256 C + 9 * 256 * 256 + 4 * 256
--   theia: Hugging Face ViT without pooler, that is DeiT without its classifier: as vit
--   siglip: Hugging Face's SiglipVisionModel at 512, 384 and 384 without head and post_layernorm;
--     clip: timm's vit_*_clip_224; radio: 98 M and 320 M in its README. By the formula below.
local function classifier(c) return 1000 * (c + 1) + 2 * c end
local function neck(c) return 256 * c + 9 * 256 * 256 + 4 * 256 end
local published = {
  vit_tiny = { 224, 5717416 - classifier(192) }, vit_small = { 224, 22050664 - classifier(384) },
  vit_base = { 224, 86567656 - classifier(768) }, vit_large = { 224, 304326632 - classifier(1024) },
  vit_huge = { 224, 632045800 - classifier(1280) },
  dinov2_small = { 518, 22056576 - 3 * 384 }, dinov2_base = { 518, 86580480 - 3 * 768 },
  dinov2_large = { 518, 304368640 - 3 * 1024 }, dinov2_giant = { 518, 1136480768 - 3 * 1536 },
  dinov2_small_reg = { 518, 22056576 + 384 }, dinov2_base_reg = { 518, 86580480 + 768 },
  dinov2_large_reg = { 518, 304368640 + 1024 }, dinov2_giant_reg = { 518, 1136480768 + 1536 },
  swin_tiny = { 224, 28288354 - classifier(768) }, swin_small = { 224, 49606258 - classifier(768) },
  swin_base = { 224, 87768224 - classifier(1024) }, swin_large = { 224, 196532476 - classifier(1536) },
  sam_base = { 1024, 89670912 - neck(768) }, sam_large = { 1024, 308278272 - neck(1024) },
  sam_huge = { 1024, 637026048 - neck(1280) },
  theia_small = { 224, 22050664 - classifier(384) }, theia_base = { 224, 86567656 - classifier(768) },
}
-- patches (with bias or not), prefix tokens, positions, blocks of 12 C^2 + 13 C (4304: SigLIP's MLP)
local function vit_count(o)
  local C, hidden = o.C, o.hidden or 4 * o.C
  local block = 4 * C + 3 * C * C + 3 * C + C * C + C + 2 * C * hidden + hidden + C
  return 3 * o.patch ^ 2 * C + (o.bias and C or 0) + (o.tokens + o.positions) * C + o.depth * block + (o.more or 0)
end
for size, v in pairs { base = { 768, 12, 16, 14 }, large = { 1024, 24, 14, 16 } } do
  for _, kind in ipairs { "clip_%s", "clip_%s_openai" } do
    published[kind:format(size)] = { 224, vit_count { C = v[1], depth = v[2], patch = v[3], tokens = 1,
      positions = 1 + v[4] ^ 2, more = 2 * v[1] } }
  end
end
published.siglip_base = { 512, vit_count { C = 768, depth = 12, patch = 16, bias = true, tokens = 0, positions = 32 ^ 2 } }
published.siglip_large = { 384, vit_count { C = 1024, depth = 24, patch = 16, bias = true, tokens = 0, positions = 24 ^ 2 } }
published.siglip_so400m = { 384, vit_count { C = 1152, depth = 27, patch = 14, hidden = 4304, bias = true, tokens = 0,
  positions = 27 ^ 2 } }
published["radio_v2.5-b"] = { 224, vit_count { C = 768, depth = 12, patch = 16, tokens = 8, positions = 128 ^ 2 } }
published["radio_v2.5-l"] = { 224, vit_count { C = 1024, depth = 24, patch = 16, tokens = 8, positions = 128 ^ 2 } }
assert(math.abs(published["radio_v2.5-b"][2] / 98e6 - 1) < 0.01 and math.abs(published["radio_v2.5-l"][2] / 320e6 - 1) < 0.01)

local function load(text)
  local loaded, problems = config.load("x.lua", nil, { files = { ["x.lua"] = 'local sak = require "sak"\n' .. text } })
  assert(loaded, problems and config.format(problems))
  return loaded.resolved
end

local function total(params)
  local n = 0
  for _, p in ipairs(params:list()) do n = n + p.count end
  return n
end

local experiment = [[return sak.experiment "x" {
  data = sak.data.rooms { size = %d }, model = "%s",
  teachers = { %s }, student = sak.student { stem = sak.%s, tasks = { "depth" } },
  stages = { sak.%s { iterations = 1 } } }]]

-- As teacher alone, and below the heads of the two teacher baselines.
local function as_teacher(name, side, want)
  local given = ('sak.teacher "t" { arch = "%s", weights = "random" }'):format(name)
  for _, model in ipairs { "teacher_heads", "all_teachers" } do
    local cfg = load(experiment:format(side, model, given, "vit { arch = 'vit_tiny' }", "probe"))
    local t = teacher.open(cfg.teachers[1], "random")
    local graph, params = core.graph {}, core.params(0)
    local scope = nn.scope(graph, params)
    local image = scope:input("image", { 1, side, side, 3 })
    local maps = teacher.features(graph, image, t, function() end, {})
    assert(total(t.params) == want, ("%s: %d parameters, published %d"):format(name, total(t.params), want))
    local spec = build.student(cfg, {}, { t }, { classes = 5, parts = 7 }, { "depth" }, "probe")
    local _, outputs = build.model(cfg)(scope, image, spec, { t = maps })
    assert(tostring(outputs.depth) == ("tensor (1, %d, %d, 1)"):format(side, side))
    for level, m in ipairs(maps) do
      local grid, s = encoder.grids(t.spec, { side, side })[level], m.shape
      assert(s[2] == grid[1] and s[3] == grid[2] and s[4] == t.widths[level])
    end
    graph:close()
  end
end

-- As stem: of the paths where it has one width, else of a baseline.
local function as_stem(name, side, want)
  local kind = archs.table[name].kind
  local model, stage = "sak", "distill"
  if kind == "swin" then model, stage = "distill_heads", "distill" end
  local cfg = load(experiment:format(side, model, 'sak.teacher "t" { arch = "swin_tiny", weights = "random" }',
    ("%s { arch = '%s' }"):format(kind, name), stage))
  local t = teacher.open(cfg.teachers[1], "random")
  local graph, params = core.graph { training = true }, core.params(0)
  local scope = nn.scope(graph, params)
  local image = scope:input("image", { 1, side, side, 3 })
  local spec = build.student(cfg, {}, { t }, { classes = 5, parts = 7 }, nil, stage)
  local features = build.model(cfg)(scope, image, spec, {})
  local stem = 0
  for _, p in ipairs(params:list()) do if p.name:match "^vit%." then stem = stem + p.count end end
  assert(stem == want, ("%s as stem: %d parameters, published %d"):format(name, stem, want))
  for level = 1, 4 do assert(features.t[level].shape[3] == t.widths[level]) end
  graph:close()
end

for _, name in ipairs(archs.names()) do
  local row = assert(published[name], name .. " is not in this test")
  local want = math.tointeger(row[2])
  as_teacher(name, row[1], want)
  as_stem(name, row[1], want)
end
