-- The main job on real input: photographs in the NYUD layout, two pretrained ViT-Tiny networks as
-- teachers (timm names, .safetensors), one of them also the student's initialisation. Point
-- `data.root` and the weights at your own files:
--   sak run experiments/nyud_two_teachers.lua --set data.root=DIR --set teachers[name=deit].weights=FILE
local sak = require "sak"

local augreg = "../shared/weights/vit_tiny_patch16_224.safetensors"
local deit = "../shared/weights/deit_tiny_patch16_224.safetensors"

return sak.experiment "nyud_two_teachers" {
  data     = sak.data.folder { root = "../shared/data/nyud-160", size = { 128, 160 } },
  teachers = {
    sak.teacher "augreg" {
      arch = "vit_tiny", weights = augreg, mean = { 0.5, 0.5, 0.5 }, std = { 0.5, 0.5, 0.5 },
    },
    sak.teacher "deit" { arch = "vit_tiny", weights = deit },
  },
  student  = sak.student {
    stem    = sak.vit { arch = "vit_tiny", weights = deit },
    router  = sak.router.mor {},
    tasks   = { "semseg", "depth", "normals", "edge" },
  },
  stages = {
    sak.distill {
      epochs = 4, batch = 16,
      optim = sak.adamw { lr = 5e-4, weight_decay = 0.01 }, schedule = sak.cosine { warmup = 0.5 },
      augment = sak.augment { resized_crop = { 0.4, 1 }, flip = 0.5 },
    },
    sak.multitask {
      iterations = 200, batch = 8, alpha = 1, clip = 10,
      optim = sak.adamw { lr = 5e-4, weight_decay = 0.01 }, schedule = sak.poly {},
      augment = sak.augment { scale = { 0.8, 1.5 }, crop = true, flip = 0.5, photometric = true },
    },
  },
}
