-- Arms that differ in what stage 1 does not build, and one that differs in what it does.
local sak = require "sak"

return sak.ablation "share" {
  question = "Which arms share their first stage?",
  base = "tiny.lua",
  arms = {
    { name = "mor" },
    { name = "sum", set = { ["student.router"] = sak.router.sum {} } },
    { name = "alpha", set = { ["stages[2].alpha"] = 0.5, ["student.router.noisy"] = false } },
    { name = "rank", set = { ["student.adapter.rank"] = 4 } },
  },
  seeds = sak.seeds(2),
}
