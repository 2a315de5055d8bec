-- Does distilling go on helping in stage 2?  alpha weighs it against the task losses; stage 1 is the
-- same in all arms.  `sak sweep ablations/alpha.lua`
local sak = require "sak"

local function alpha(value) return { ["stages[kind=multitask].alpha"] = value } end

return sak.ablation "alpha" {
  question = "How strongly should stage 2 keep distilling?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "1", note = "as published" },
    { name = "0", note = "tasks alone", set = alpha(0) },
    { name = "0.3", set = alpha(0.3) },
    { name = "3", set = alpha(3) },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
