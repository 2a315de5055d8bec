-- The main job on real input: photographs in the NYUD layout, two pretrained ViT-Tiny networks as
-- teachers (timm names, .safetensors). Point `data.root` and the weights at your own files:
--   sak run experiments/nyud_two_teachers.lua --set data.root=DIR --set teachers[name=deit].weights=FILE
local sak = require "sak"

return sak.experiment "nyud_two_teachers" {
  data     = sak.data.folder { root = "../shared/data/nyud-160", size = { 128, 160 } },
  teachers = {
    sak.teacher "augreg" { arch = "vit_tiny",
      weights = "../shared/weights/vit_tiny_patch16_224.safetensors",
      mean = { 0.5, 0.5, 0.5 }, std = { 0.5, 0.5, 0.5 },
    },
    sak.teacher "deit" { arch = "vit_tiny", weights = "../shared/weights/deit_tiny_patch16_224.safetensors" },
  },
  student  = sak.student {
    stem    = sak.vit { width = 128, depth = 8, heads = 4, patch = 16 },
    aligner = true,
    router  = sak.router.mor {},
    tasks   = { "semseg", "depth", "normals", "edge" },
  },
  stages = {
    sak.distill {
      epochs = 20, batch = 16,
      optim = sak.adamw { lr = 1e-3, weight_decay = 0.01 }, schedule = sak.cosine { warmup = 1 },
      augment = sak.augment { resized_crop = { 0.4, 1 }, flip = 0.5 },
    },
    sak.multitask {
      iterations = 600, batch = 8, alpha = 1, clip = 10,
      optim = sak.adamw { lr = 5e-4, weight_decay = 0.01 }, schedule = sak.poly {},
      augment = sak.augment { scale = { 0.8, 1.5 }, crop = true, flip = 0.5, photometric = true },
    },
  },
}
