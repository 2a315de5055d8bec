-- What does stage 1 (distillation) bring, for the same number of stage-2 steps? And what do paths and
-- routers bring over one shared encoder?  `sak sweep ablations/stage1.lua`
local sak = require "sak"

local stage2 = require "shared.stage2"

return sak.ablation "stage1" {
  question = "Does distilling before stage 2 help, at equal stage-2 steps?",
  base = "base.lua",
  arms = {
    { name = "sak" },
    { name = "no_stage1", note = "the same student and losses, from scratch", set = { stages = { stage2(1) } } },
    { name = "no_teachers", note = "shared encoder and heads, no distillation at all",
      set = { model = "multi_task", stages = { stage2(0) } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
