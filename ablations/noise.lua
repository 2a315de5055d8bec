-- Is noise on the gate good for anything?  The published program draws it per token, although the gate
-- has one weight per image.  `sak sweep ablations/noise.lua`
local sak = require "sak"

return sak.ablation "noise" {
  question = "Does noisy gating help, and should its noise be per token or per image?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "token", note = "as published", set = { ["student.router"] = sak.router.mor { noisy = true } } },
    { name = "image", set = { ["student.router"] = sak.router.mor { noisy = true, noise = "image" } } },
    { name = "quiet", set = { ["student.router"] = sak.router.mor { noisy = false } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
