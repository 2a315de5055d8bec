-- Eight rates, two seeds, ended early by successive halving on the loss: for tests/test_sweep_kill.sh.
local sak = require "sak"

return sak.ablation "halving" {
  base = "mini.lua",
  grid = { ["stages[1].optim.lr"] = { 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6 } },
  seeds = sak.seeds(2),
  stopper = sak.asha { metric = "multitask/loss", goal = "min", grace = 100, factor = 2 },
  objective = { metric = "val/depth/RMSE", goal = "min" },
}
