-- Two stages with all that a checkpoint must hold: noise in the router, batch norm, moments, two
-- loaders, evaluations in between.
local sak = require "sak"

return sak.experiment "resume" {
  data = sak.data.rooms { train = 20, val = 4, size = { 16, 24 } },
  teachers = { sak.teacher "a" { weights = "random", width = 16, depth = 4, heads = 2, patch = 8 } },
  student = sak.student {
    stem = sak.vit { width = 16, depth = 4, heads = 2, patch = 8 },
    router = sak.router.mor { noisy = true },
    tasks = { "semseg", "depth" },
  },
  stages = {
    sak.distill { iterations = 40, batch = 4, schedule = sak.constant {},
      augment = sak.augment { resized_crop = { 0.5, 1 }, flip = 0.5 } },
    sak.multitask { iterations = 40, batch = 4, optim = sak.adamw { lr = 1e-3 } },
  },
  eval = sak.eval { batch = 4, every = 15, images = 0 },
  checkpoint = { every = 4, best = "val/depth/RMSE" },
}
