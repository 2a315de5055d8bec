-- The published comparison on photographs: NYU Depth v2 in a folder, two real networks as teachers.  One network
-- per task (what delta_m is measured against), one shared encoder, SAK with either teacher and with both.
--   sak sweep ablations/nyud.lua --set data.root=DIR
local sak = require "sak"

local deit = "../shared/weights/deit_tiny_patch16_224.safetensors"
local augreg = "../shared/weights/vit_tiny_patch16_224.safetensors"

-- Stage 2 alone, as in the base but without distillation: for arms without teachers.
local labels_only = {
  sak.multitask {
    iterations = 200, batch = 8, alpha = 0, clip = 10,
    optim = sak.adamw { lr = 5e-4, weight_decay = 0.01 }, schedule = sak.poly {},
    augment = sak.augment { scale = { 0.8, 1.5 }, crop = true, flip = 0.5, photometric = true },
  },
}

local function only(task)
  return { name = "only_" .. task, note = "a network of its own",
           set = { model = "single_task", stages = labels_only, ["student.tasks"] = { task } } }
end

local function teachers(...) return { teachers = { ... } } end

return sak.ablation "nyud" {
  question = "Does SAK beat one shared encoder on photographs, and do two teachers beat one?",
  base = "experiments/nyud_two_teachers.lua",
  arms = {
    { name = "two", note = "SAK with both teachers" },
    { name = "deit", note = "SAK with DeiT alone",
      set = teachers(sak.teacher "deit" { arch = "vit_tiny", weights = deit }) },
    { name = "augreg", note = "SAK with AugReg alone",
      set = teachers(sak.teacher "augreg" {
        arch = "vit_tiny", weights = augreg, mean = { 0.5, 0.5, 0.5 }, std = { 0.5, 0.5, 0.5 },
      }) },
    { name = "multi_task", note = "shared encoder and heads, the same initialisation, no teachers",
      set = { model = "multi_task", stages = labels_only } },
    only "semseg", only "depth", only "normals", only "edge",
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
