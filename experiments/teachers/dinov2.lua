-- Built-in teacher "dinov2": self-distillation without labels, on crops and masked patches.
local sak = require "sak"

return sak.experiment "teacher_dinov2" {
  data = sak.data.rooms { train = 4000, val = 100, size = { 64, 96 }, seed = 2 },
  student = sak.student { stem = sak.vit { width = 128, depth = 4, heads = 4, patch = 8 } },
  stages = {
    sak.pretrain {
      objective = sak.objective.dino { dim = 256, hidden = 256, momentum = 0.99 },
      iterations = 250, batch = 64,
      optim = sak.adamw { lr = 1e-3, weight_decay = 0.05 },
      schedule = sak.cosine { warmup = 1 },
      augment = sak.augment { size = { 32, 48 }, resized_crop = { 0.2, 0.8 }, flip = 0.5, photometric = true },
    },
  },
  seed = 0,
}
