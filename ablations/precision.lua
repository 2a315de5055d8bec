-- Does bfloat16 cost accuracy?  Products of bfloat16 operands, sums and master weights in float32, against float32
-- throughout, seed by seed.  `sak sweep ablations/precision.lua`
local sak = require "sak"

return sak.ablation "precision" {
  question = "Are the losses with bfloat16 products within the noise between seeds?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "fp32" },
    { name = "bf16", set = { precision = "bf16" } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
