-- Built-in teacher "sam": masks of whatever lies under a point, without classes.
local sak = require "sak"

return sak.experiment "teacher_sam" {
  data = sak.data.rooms { train = 4000, val = 100, size = { 64, 96 }, seed = 3 },
  student = sak.student { stem = sak.vit { width = 128, depth = 4, heads = 4, patch = 8 } },
  stages = {
    sak.pretrain {
      objective = sak.objective.mask { points = 8, dim = 64 },
      iterations = 700, batch = 32,
      optim = sak.adamw { lr = 1e-3, weight_decay = 0.05 },
      schedule = sak.cosine { warmup = 0.5 },
      augment = sak.augment { size = { 32, 48 }, resized_crop = { 0.2, 0.7 }, flip = 0.5, photometric = true },
    },
  },
  seed = 0,
}
