-- says: error raised with a table
local sak = require "sak"

local function router()
  error(setmetatable({}, { __tostring = function() while true do end end }))
end

return sak.experiment "hostile" {
  data = sak.data.rooms { train = 2, val = 1, size = { 16, 16 } },
  teachers = { sak.teacher "a" { weights = "random", width = 8, depth = 4, heads = 2, patch = 8 } },
  student = sak.student {
    stem = sak.vit { width = 8, depth = 4, heads = 2, patch = 8 }, tasks = { "depth" }, router = router,
  },
  stages = { sak.multitask { iterations = 2, batch = 2, optim = sak.adamw { lr = 1e-3 } } },
}
