-- Must a linear map stand between the paths and the teachers?  It has to where widths differ; the
-- built-in teachers are as wide as the student, so both can be had.  `sak sweep ablations/aligner.lua`
local sak = require "sak"

return sak.ablation "aligner" {
  question = "Do aligners help where the widths already agree?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "without", set = { ["student.aligner"] = false } },
    { name = "with", set = { ["student.aligner"] = true } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
