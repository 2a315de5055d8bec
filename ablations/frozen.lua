-- Does the stem have to learn?  Frozen, all that is learnt is in adapters, routers and heads; with LoRA
-- stage 1 learns low-rank updates of the stem and stage 2 all of it.  Here the stem starts from random
-- weights, so this is the hard case: --set student.stem.weights=FILE gives it a pretrained one.
-- `sak sweep ablations/frozen.lua`
local sak = require "sak"

return sak.ablation "frozen" {
  question = "What do the paths achieve on a stem that does not learn, or learns little in stage 1?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "trained" },
    { name = "frozen", set = { ["student.freeze_vit"] = true } },
    { name = "lora", note = "rank 8 in stage 1", set = { ["student.lora"] = sak.lora { rank = 8 } } },
    { name = "frozen_wide", note = "adapters of full width", set = {
      ["student.freeze_vit"] = true, ["student.adapter"] = sak.adapter.bottleneck { down_ratio = 1 } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
