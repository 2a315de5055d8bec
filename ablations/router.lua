-- How should stem and paths be mixed?  The published router (one weight per image, noisy in training)
-- against the plain sum and other gates.  `sak run ablations/router.lua`
local sak = require "sak"

local function with(router) return { ["student.router"] = router } end

return sak.ablation "router" {
  question = "Which router mixes the stem and the teachers' paths best?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "mor", note = "as published: per image, noisy gating" },
    { name = "sum", note = "no router: everything is added", set = with(sak.router.sum {}) },
    { name = "token", note = "a weight per token", set = with(sak.router.token {}) },
    { name = "top2", note = "only the two largest of four", set = with(sak.router.topk { k = 2 }) },
    { name = "static", note = "learned, blind to the image", set = with(sak.router.static {}) },
    { name = "mor_quiet", note = "mor without noise", set = with(sak.router.mor { noisy = false }) },
  },
  seeds = sak.seeds(3),
}
