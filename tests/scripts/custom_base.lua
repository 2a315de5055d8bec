-- An experiment of a second around functions of one's own: base { adapter =, router =, head =,
-- loss =, task_loss =, teacher = }.
local sak = require "sak"

return function(own)
  local teacher = { weights = "random", width = 32, depth = 4, heads = 2, patch = 8 }
  for k, v in pairs(own.teacher or {}) do teacher[k] = v end
  return sak.experiment "custom" {
    data = sak.data.rooms { train = 16, val = 8, size = { 32, 48 } },
    teachers = { sak.teacher "a" (teacher) },
    student = sak.student {
      stem = sak.vit { width = 32, depth = 4, heads = 2, patch = 8 }, tasks = { "depth", "normals" },
      adapter = own.adapter or sak.adapter.bottleneck {}, router = own.router or sak.router.mor {},
      head = own.head or sak.head.fusion {},
    },
    stages = { sak.multitask { iterations = 2, batch = 8, loss = own.loss or "cos+l1", alpha = 1,
      losses = { depth = own.task_loss } } },
    eval = { batch = 8 },
  }
end
