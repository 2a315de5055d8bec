-- Two arms, two rates, three seeds of the smallest experiment.
local sak = require "sak"

return sak.ablation "mini" {
  question = "Does a higher rate help?",
  base = "base.lua",
  arms = { { name = "plain" }, { name = "decay", set = { ["stages[1].optim.weight_decay"] = 0.1 } } },
  grid = { ["stages[1].optim.lr"] = { 1e-3, 1e-2 } },
  seeds = sak.seeds(3),
  objective = { metric = "val/depth/RMSE", goal = "min" },
}
