-- Do teachers make up for labels?  Stage 2 sees a part of the labelled images; stage 1, which needs no
-- labels, sees all of them.  The published parts are 1 to 1/4; with 1/16 and 1/64 (125 and 31 images) training
-- runs out of new ones at this length too.  `sak sweep ablations/data_fraction.lua`
local sak = require "sak"
local part = require "shared.part"
local stage2 = require "shared.stage2"

return sak.ablation "data_fraction" {
  question = "How does the gain over a student without teachers change with the number of labelled images?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "sak" },
    { name = "no_teachers", set = { model = "multi_task", stages = { stage2(0) } } },
  },
  grid = { ["stages[kind=multitask].data"] = { part(1), part(0.75), part(0.5), part(0.25), part(1 / 16), part(1 / 64) } },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
