-- Which kind of adapter should the paths have?  All of rank 32.  `sak sweep ablations/adapter.lua`
local sak = require "sak"

local function with(adapter) return { ["student.adapter"] = adapter } end

-- The bottleneck with a gate on its hidden channels instead of GELU (SwiGLU's form).
local function gated(x, _, nn)
  local C = x.shape[3]
  return x + nn:linear("up", nn:linear("gate", x, 32):silu() * nn:linear("down", x, 32), C)
end

return sak.ablation "adapter" {
  question = "Does a spatial or a linear adapter serve the paths better than the published bottleneck?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "bottleneck", note = "as published", set = with(sak.adapter.bottleneck { rank = 32 }) },
    { name = "parallel", note = "LoRA's form: linear, starts as the identity", set = with(sak.adapter.parallel { rank = 32, alpha = 32 }) },
    { name = "conv", note = "depthwise 3x3 in the bottleneck", set = with(sak.adapter.conv { rank = 32 }) },
    { name = "gated", note = "a function in this file", set = with(gated) },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
