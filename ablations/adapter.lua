-- Which kind of adapter should the paths have?  All with about the parameters of the published one of rank 32.
-- `sak sweep ablations/adapter.lua`
local sak = require "sak"

local function with(adapter) return { ["student.adapter"] = adapter } end

-- The bottleneck with a gate on its hidden channels instead of GELU (SwiGLU's form): three maps instead of two.
local function gated(x, _, nn)
  local C = x.shape[3]
  return x + nn:linear("up", nn:linear("gate", x, 21):silu() * nn:linear("down", x, 21), C)
end

-- The bottleneck, linear.
local function linear(x, _, nn)
  local s = nn:param("scale", { 1 }, { "constant", 1 })
  return x + s * nn:linear("up", nn:linear("down", x, 32), x.shape[3])
end

return sak.ablation "adapter" {
  question = "Does a spatial or a linear adapter serve the paths better than the published bottleneck?",
  base = "experiments/three_teachers.lua",
  arms = {
    { name = "bottleneck", note = "as published", set = with(sak.adapter.bottleneck { rank = 32 }) },
    { name = "linear", note = "the same without GELU", set = with(linear) },
    { name = "parallel", note = "LoRA's form: linear, starts as the identity", set = with(sak.adapter.parallel { rank = 32, alpha = 32 }) },
    { name = "conv", note = "depthwise 3x3 in the bottleneck", set = with(sak.adapter.conv { rank = 32 }) },
    { name = "gated", note = "a function in this file", set = with(gated) },
  },
  seeds = sak.seeds(3),
  objective = { metric = "val/semseg/mIoU" },
}
