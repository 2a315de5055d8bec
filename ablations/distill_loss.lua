-- What should the student imitate: directions, values, or both?  The published cosine is of the whole
-- flattened map of an image; per_token takes one per place.  `sak sweep ablations/distill_loss.lua`
local sak = require "sak"

-- 1 - cos of each token's channels, averaged.  s, t: (B, h, w, C).
local function per_token(s, t)
  return 1 - (s:normalize() * t:normalize()):sum { axis = -1 }:mean_all()
end

local function loss(value)
  return { ["stages[kind=distill].loss"] = value, ["stages[kind=multitask].loss"] = value }
end

return sak.ablation "distill_loss" {
  question = "Which distillation loss makes the best student?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "cos+l1", note = "as published" },
    { name = "cos", set = loss "cos" },
    { name = "l2", set = loss "l2" },
    { name = "per_token", set = loss(per_token) },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
