-- What does each teacher add?  All subsets of the three; and as the distillation loss is a sum over teachers, each
-- alone once more with the weight of three.  `sak sweep ablations/committee.lua`
local sak = require "sak"

local function of(...)
  local teachers = {}
  for i, name in ipairs { ... } do teachers[i] = sak.teacher(name) end
  return { name = table.concat({ ... }, "+"), set = { teachers = teachers } }
end

local function heavy(name)
  return { name = name .. "_x3", note = "alone, with the weight of three",
           set = { teachers = { sak.teacher(name) { weight = 3 } } } }
end

return sak.ablation "committee" {
  question = "Which teachers, and how many, should the committee have?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "dinov2+clip+sam" },
    of("dinov2", "clip"), of("dinov2", "sam"), of("clip", "sam"),
    of "dinov2", of "clip", of "sam",
    heavy "dinov2", heavy "clip", heavy "sam",
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
