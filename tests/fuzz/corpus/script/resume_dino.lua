-- Self-distillation: the averaged teacher and its centre are part of what a checkpoint holds.
local sak = require "sak"

return sak.experiment "resume_dino" {
  data = sak.data.rooms { train = 20, val = 1, size = { 16, 24 } },
  student = sak.student { stem = sak.vit { width = 16, depth = 4, heads = 2, patch = 8 } },
  stages = { sak.pretrain { objective = { kind = "dino", dim = 32, hidden = 32 }, iterations = 60, batch = 4 } },
  checkpoint = { every = 4 },
}
