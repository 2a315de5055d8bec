-- How many unlabelled images does stage 1 need?  Parts of the 2 000, seen again and again for equally many steps; stage
-- 2 sees all.  `sak sweep ablations/stage1_data.lua`
local sak = require "sak"
local part = require "shared.part"

return sak.ablation "stage1_data" {
  question = "How does the student change with the number of images that it is distilled on?",
  base = "experiments/three_teachers.lua",
  grid = { ["stages[kind=distill].data"] = { part(1), part(0.5), part(0.25), part(0.05) } },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
