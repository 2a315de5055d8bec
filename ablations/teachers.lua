-- How many teachers?  One after the other is left out, down to none: shared encoder and heads alone.
-- Which ones is asked by committee.lua.  `sak sweep ablations/teachers.lua`
local sak = require "sak"
local stage2 = require "shared.stage2"

local function first(n)
  local all, some = { "dinov2", "clip", "sam" }, {}
  for i = 1, n do some[i] = sak.teacher(all[i]) end
  return { teachers = some }
end

return sak.ablation "teachers" {
  question = "Does a larger committee make a better student?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "3" },
    { name = "2", set = first(2) },
    { name = "1", set = first(1) },
    { name = "0", note = "no distillation", set = { model = "multi_task", stages = { stage2(0) } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
