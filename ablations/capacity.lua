-- Is it the method or the parameters?  A shared encoder without teachers, widened until it has as many
-- parameters as stem, adapters and routers together (`sak check` counts them).
-- `sak sweep ablations/capacity.lua`
local sak = require "sak"
local stage2 = require "shared.stage2"

return sak.ablation "capacity" {
  question = "Does a plain student of the same size do as well?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "sak" },
    { name = "wide", note = "as many parameters, no paths, no teachers",
      set = { model = "wide", ["student.stem.width"] = 144, stages = { stage2(0) } } },
    { name = "narrow", note = "the stem alone, no teachers", set = { model = "multi_task", stages = { stage2(0) } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
