-- A router written in the experiment file: it has parameters, and they must learn.
local sak = require "sak"

local function gated(stem, experts, nn)
  local weights = nn:linear("gate", stem, #experts + 1):softmax()
  return weights:mix(stem, table.unpack(experts)), weights
end

return sak.experiment "own_router" {
  data = sak.data.rooms { train = 16, val = 8, size = { 32, 48 } },
  teachers = { sak.teacher "a" { weights = "random", width = 32, depth = 4, heads = 2, patch = 8 } },
  student = sak.student {
    stem = sak.vit { width = 32, depth = 4, heads = 2, patch = 8 }, router = gated, tasks = { "depth" },
  },
  stages = { sak.multitask { iterations = 3, batch = 8, optim = sak.adamw { lr = 1e-2 } } },
  eval = { batch = 8 },
}
