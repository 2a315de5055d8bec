-- The main job: distil three teachers into one student, then train it on four dense tasks.
local sak = require "sak"

return sak.experiment "three_teachers" {
  data     = sak.data.rooms { train = 2000, val = 200, size = { 64, 96 } },
  teachers = { sak.teacher "dinov2", sak.teacher "clip", sak.teacher "sam" },
  student  = sak.student {
    stem    = sak.vit { width = 128, depth = 6, heads = 4, patch = 8 },
    adapter = { down_ratio = 4 },
    router  = sak.router.mor { noisy = true },
    tasks   = { "semseg", "depth", "normals", "edge" },
  },
  stages = {
    sak.distill {
      iterations = 90, batch = 32, loss = "cos+l1",
      optim = sak.adamw { lr = 1e-3, weight_decay = 0.01 },
      schedule = sak.cosine { warmup = 0.3 },
      augment = sak.augment { resized_crop = { 0.4, 1 }, flip = 0.5 },
    },
    sak.multitask {
      iterations = 400, batch = 8, alpha = 1, clip = 10,
      optim = sak.adamw { lr = 2e-3, weight_decay = 0.01 },
      schedule = sak.poly {},
      augment = sak.augment { flip = 0.5 },
    },
  },
  seed = 0,
}
