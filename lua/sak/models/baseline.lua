--- The baselines every claim is relative to. Each has the student's signature:
---   forward(nn, image, c, teacher) -> features, outputs, weights

local nn_ = require "sak.nn"
local encoder = require "sak.models.encoder"
local student = require "sak.models.student"

local baseline = {}

local function shared(levels, tasks)
  local mixed = {}
  for _, task in ipairs(tasks or {}) do mixed[task] = levels end
  return mixed
end

--- Shared encoder and one head per task; with a single task it is the single-task model.
function baseline.multi_task(nn, image, c)
  local levels = encoder.features(nn / "backbone" / "vit", image, c.stem)
  return {}, student.heads(nn / "heads", shared(levels, c.tasks), image, c), {}
end
baseline.single_task = baseline.multi_task

--- Many teachers into one feature, one linear head per teacher and level, no paths (the RADIO and
--- Theia family).
function baseline.distill_heads(nn, image, c)
  local backbone = c.tasks and nn / "backbone" or nn
  local levels = encoder.features(backbone / "vit", image, c.stem)
  local features = {}
  for _, t in ipairs(c.teachers) do
    features[t.name] = {}
    for level, i in ipairs(encoder.levels(c.stem)) do
      local x = backbone:layer_norm("out_norms." .. i .. "_" .. t.name, levels[level], 1e-5)
      features[t.name][level] = (backbone / "ts_aligners"):linear(i .. "_" .. t.name, x, t.widths[level])
    end
  end
  if not c.tasks then return features, {}, {} end
  return features, student.heads(nn / "heads", shared(levels, c.tasks), image, c), {}
end

--- One frozen teacher and heads on its features: what a representation already knows (paper table 1).
function baseline.teacher_heads(nn, image, c, teacher)
  local maps = teacher[c.teachers[1].name]
  local levels, grids = {}, {}
  for k, m in ipairs(maps) do levels[k], grids[k] = nn_.to_tokens(m), { m.shape[2], m.shape[3] } end
  local probe = setmetatable({ grids = grids }, { __index = c })
  return {}, student.heads(nn / "heads", shared(levels, c.tasks), image, probe), {}
end

--- All teachers at inference, their features concatenated: the upper bound.
function baseline.all_teachers(nn, image, c, teacher)
  local levels, grids = {}, {}
  for level = 1, #encoder.levels(c.stem) do
    local maps = {}
    for k, t in ipairs(c.teachers) do
      local m = teacher[t.name][level]
      grids[level] = grids[level] or { m.shape[2], m.shape[3] }
      maps[k] = m:resize { size = grids[level], mode = "bilinear" }
    end
    local joined = #maps == 1 and maps[1] or maps[1]:concat(table.unpack(maps, 2), { axis = 3 })
    levels[level] = (nn / "fuse"):linear(level - 1, nn_.to_tokens(joined), c.stem.width)
  end
  local fused = setmetatable({ grids = grids }, { __index = c })
  return {}, student.heads(nn / "heads", shared(levels, c.tasks), image, fused), {}
end

--- The capacity-matched control is a wider student without paths: `student.stem.width` decides.
baseline.wide = baseline.multi_task

return baseline
