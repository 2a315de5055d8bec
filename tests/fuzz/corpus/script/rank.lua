-- How wide must the adapters of the paths be?  The base has a quarter of the stem's 128 channels, 32.
-- `sak sweep ablations/rank.lua`
local sak = require "sak"

return sak.ablation "rank" {
  question = "How much capacity does a teacher's path need?",
  base = "base.lua",
  grid = { ["student.adapter.rank"] = { 8, 16, 32, 64 } },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
