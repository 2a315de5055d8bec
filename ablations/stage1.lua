-- What does stage 1 (distillation) bring, for the same number of stage-2 steps, and what a longer one?  The published
-- stage 1 sees 240 times as many images as stage 2, the base not quite as many.  `sak sweep ablations/stage1.lua`
local sak = require "sak"

local stage2 = require "shared.stage2"

return sak.ablation "stage1" {
  question = "Does distilling before stage 2 help, at equal stage-2 steps?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "sak" },
    { name = "longer", note = "four times the stage 1", set = { ["stages[kind=distill].iterations"] = 360 } },
    { name = "no_stage1", note = "the same student and losses, from scratch", set = { stages = { stage2(1) } } },
    { name = "no_teachers", note = "shared encoder and heads, no distillation at all",
      set = { model = "multi_task", stages = { stage2(0) } } },
    { name = "as_many_images", note = "no teachers, but as many images as sak sees in both stages",
      set = { model = "multi_task", stages = { stage2(0, 400 + 90 * 32 // 8) } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
