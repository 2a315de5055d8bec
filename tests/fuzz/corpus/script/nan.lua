-- A loss that some batches make NaN: those whose depth has a mean below a limit.
local sak = require "sak"

return sak.experiment "nan" {
  data = sak.data.rooms { train = 24, val = 2, size = { 16, 16 } },
  model = "multi_task",
  student = sak.student { stem = sak.vit { width = 8, depth = 4, heads = 2, patch = 8 }, tasks = { "depth" } },
  stages = {
    sak.multitask {
      iterations = 30, batch = 2, optim = sak.adamw { lr = 1e-3 }, augment = sak.augment {},
      losses = {
        depth = function(prediction, label)
          local mean = label:clamp { lo = 0, hi = 10 }:mean_all()
          return (prediction - label:clamp { lo = 0, hi = 10 }):abs():mean_all() + (mean - 2.7):log() * 1e-3
        end,
      },
    },
  },
  eval = sak.eval { batch = 2, images = 0 },
  checkpoint = { every = 4 },
}
