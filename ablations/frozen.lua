-- Does the stem have to learn?  Frozen, all that is learnt is in adapters, routers and heads; here the
-- stem starts from random weights, so this is the hard case: --set student.stem.weights=FILE gives it a
-- pretrained one.  `sak sweep ablations/frozen.lua`
local sak = require "sak"

return sak.ablation "frozen" {
  question = "What do the paths achieve on a stem that does not learn?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "trained" },
    { name = "frozen", set = { ["student.freeze_vit"] = true } },
    { name = "frozen_wide", note = "adapters of full width", set = {
      ["student.freeze_vit"] = true, ["student.adapter"] = sak.adapter.bottleneck { down_ratio = 1 } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
