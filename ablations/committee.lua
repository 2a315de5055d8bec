-- What does each teacher add?  All subsets of the three.  `sak sweep ablations/committee.lua`
local sak = require "sak"

local function of(...)
  local teachers = {}
  for i, name in ipairs { ... } do teachers[i] = sak.teacher(name) end
  return { name = table.concat({ ... }, "+"), set = { teachers = teachers } }
end

return sak.ablation "committee" {
  question = "Which teachers, and how many, should the committee have?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "dinov2+clip+sam" },
    of("dinov2", "clip"), of("dinov2", "sam"), of("clip", "sam"),
    of "dinov2", of "clip", of "sam",
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
