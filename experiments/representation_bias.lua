-- What does each frozen teacher already know? Heads alone are trained on its features, per task
-- (the paper's first table). `sak run experiments/representation_bias.lua`
local sak = require "sak"

local tasks = { "semseg", "depth", "normals", "edge", "sal", "human_parts" }

return sak.ablation "representation_bias" {
  question = "Which built-in teacher is best at which task?",
  base = sak.experiment "frozen_teacher" {
    model = "teacher_heads",
    data = sak.data.rooms { train = 1000, val = 200, size = { 64, 96 } },
    teachers = { sak.teacher "dinov2" },
    student = sak.student { stem = sak.vit { width = 128, depth = 8, heads = 4, patch = 8 }, tasks = tasks },
    stages = {
      sak.probe {
        iterations = 120, batch = 8, optim = sak.adamw { lr = 2e-3 },
        augment = sak.augment { flip = 0.5 },
      },
    },
  },
  arms = {
    { name = "dinov2" },
    { name = "clip", set = { ["teachers"] = { sak.teacher "clip" } } },
    { name = "sam", set = { ["teachers"] = { sak.teacher "sam" } } },
    { name = "random", set = { ["teachers"] = { sak.teacher "random" {
      weights = "random", width = 128, depth = 4, heads = 4, patch = 8 } } } },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
