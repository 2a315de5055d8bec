-- Built-in teacher "clip": images and generated captions meet in one embedding.
local sak = require "sak"

return sak.experiment "teacher_clip" {
  data = sak.data.rooms { train = 4000, val = 100, size = { 64, 96 }, seed = 1 },
  student = sak.student { stem = sak.vit { width = 128, depth = 4, heads = 4, patch = 16 } },
  stages = {
    sak.pretrain {
      objective = sak.objective.contrastive { dim = 64, text_width = 64, text_depth = 1 },
      iterations = 500, batch = 64,
      optim = sak.adamw { lr = 1e-3, weight_decay = 0.05 },
      schedule = sak.cosine { warmup = 1 },
      augment = sak.augment { resized_crop = { 0.8, 1 }, flip = 0 },
    },
  },
  seed = 0,
}
