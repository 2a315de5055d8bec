-- says: must be a whole number of at least 1, got inf
local sak = require "sak"

return sak.experiment "hostile" {
  data = sak.data.rooms { train = 2, val = 1, size = { 16, 16 } },
  teachers = { sak.teacher "a" { weights = "random", width = 8, depth = 4, heads = 2, patch = 8 } },
  student = sak.student {
    stem = sak.vit { width = 8, depth = 4, heads = 2, patch = 8 }, tasks = { "depth" }, router = sak.router.sum {},
  },
  stages = { sak.multitask { iterations = sak.derive(function() return 1 / 0 end), batch = 2, optim = sak.adamw { lr = 1e-3 } } },
}
