-- Are paths worth it, or does one feature with a head per teacher do (the RADIO and Theia family)?
-- `sak sweep ablations/paths.lua`
local sak = require "sak"

return sak.ablation "paths" {
  question = "Do teacher-specific paths keep more than one shared feature distilled from all teachers?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "paths" },
    { name = "one_feature", note = "a linear head per teacher and level", set = { model = "distill_heads" } },
    { name = "one_feature_wide", note = "the same, with as many parameters as paths and routers add",
      set = { model = "distill_heads", ["student.stem.width"] = 144 } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
