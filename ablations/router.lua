-- How should stem and paths be mixed?  The published router (one weight per image, noisy in training) against the
-- plain sum and other gates.  Only mor and cold have noise: hold the others against quiet.
-- `sak sweep ablations/router.lua`
local sak = require "sak"

local function with(router) return { ["student.router"] = router } end

-- Where the paths disagree with the stem, per token.
local function mine(stem, experts, nn)
  local mean = experts[1]
  for i = 2, #experts do mean = mean + experts[i] end
  local gap = stem - mean * (1 / #experts)
  local weights = nn:linear("gate", gap, #experts + 1):softmax {}
  return weights:mix(stem, table.unpack(experts)), weights
end

return sak.ablation "router" {
  question = "Which router mixes the stem and the teachers' paths best?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "mor", note = "as published: per image, noisy gating" },
    { name = "quiet", note = "the same without noise", set = with(sak.router.mor { noisy = false }) },
    { name = "sum", note = "no router: everything is added", set = with(sak.router.sum {}) },
    { name = "token", note = "a weight per token", set = with(sak.router.token {}) },
    { name = "top2", note = "only the two largest of four", set = with(sak.router.topk { k = 2 }) },
    { name = "joint", note = "the gate sees all experts, not only the stem", set = with(sak.router.joint {}) },
    { name = "static", note = "learned, blind to the image", set = with(sak.router.static {}) },
    { name = "cold", note = "temperature 1/4: nearly one expert each",
      set = with(sak.router.mor { noisy = true, temperature = 0.25 }) },
    { name = "mine", note = "a function in this file: one gate per token from stem minus mean expert", set = with(mine) },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
