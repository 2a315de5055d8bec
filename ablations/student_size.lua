-- Does a larger student need the teachers less?  The built-in teachers have 128 channels; students of 64, 128 and 192
-- learn from them through aligners, which widths that differ need.  `sak sweep ablations/student_size.lua`
local sak = require "sak"
local stage2 = require "shared.stage2"

return sak.ablation "student_size" {
  question = "How does the gain over a student without teachers change with the student's width?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "sak", set = { ["student.aligner"] = true } },
    { name = "no_teachers", set = { model = "multi_task", stages = { stage2(0) } } },
  },
  grid = { ["student.stem.width"] = { 64, 128, 192 } },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
