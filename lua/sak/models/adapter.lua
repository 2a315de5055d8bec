--- Adapters (sak-method.md section 3): light residual branches of rank r.

local nn_ = require "sak.nn"

local adapter = {}

---@param c {rank: integer?, down_ratio: integer?}
local function rank(c, width)
  return c.rank or width // c.down_ratio
end

--- A(x) = x + s * (W_up GELU(W_down x + b) + b'), s a learned scalar that starts at 1.
function adapter.bottleneck(nn, x, c)
  local width = x.shape[3]
  local branch = nn:linear("up", nn:linear("down", x, rank(c, width)):gelu(), width)
  return x + branch * nn:param("scale", { 1 }, { "constant", c.scale_init or 1 })
end

--- LoRA's form beside the path: x + (alpha / r) W_up W_down x, without bias or non-linearity; W_up
--- starts at 0, so the path starts as the identity (Hu et al., arXiv:2106.09685).
function adapter.parallel(nn, x, c)
  local width = x.shape[3]
  local r = rank(c, width)
  local down = nn:linear("down", x, r, { bias = false })
  return x + nn:linear("up", down, width, { bias = false, init = { "zeros" } }) * (c.alpha / r)
end

--- The bottleneck with a k x k convolution per channel between its two maps, over the patches as a
--- map; class and register tokens pass by it (after Chen et al., Conv-Adapter, arXiv:2208.07463).
function adapter.conv(nn, x, c)
  local width, grid = x.shape[3], c.grid
  local low = nn:linear("down", x, rank(c, width))
  local patches = low
  if grid.prefix > 0 then patches = low:slice { axis = 1, start = grid.prefix, length = grid.h * grid.w } end
  local k, r = c.kernel, low.shape[3]
  local spatial = (nn / "conv"):param("weight", { r, 1, k, k }, { "uniform", 1 / k })
  local mixed = nn_.to_tokens(nn_.to_map(patches, grid.h, grid.w):depthwise_conv2d(spatial,
    (nn / "conv"):param("bias", { r }, { "zeros" }), { padding = k // 2 }))
  if grid.prefix > 0 then
    mixed = low:slice { axis = 1, start = 0, length = grid.prefix }:concat(mixed, { axis = 1 })
  end
  return x + nn:linear("up", mixed:gelu(), width) * nn:param("scale", { 1 }, { "constant", c.scale_init })
end

---@param nn Scope
---@param x userdata (B, L, C)
---@param i integer  0 for the embedding, block index + 1 after that
---@param c table  the resolved adapter, with grid = {h, w, prefix} of the tokens; c.fn is a researcher's own function(x, i, nn) -> tensor
function adapter.forward(nn, x, i, c)
  if not c.fn then return adapter[c.kind](nn, x, c) end
  local y = c.fn(x, i, nn)
  if not nn_.same_shape(y, x) then
    error(("%s: the adapter returned %s, but the path needs %s like its input"):format(
      c.place or "custom adapter", nn_.describe(y, x), tostring(x)), 0)
  end
  return y
end

--- Teacher-Specific Adapter Path: r0 = A0(x0), ri = Ai(r(i-1) + xi).
---@param nn Scope  the path's scope, "tsap.<teacher>"
---@param r? userdata  r(i-1)
function adapter.step(nn, i, x, r, c)
  return adapter.forward(nn / i, r and r + x or x, i, c)
end

return adapter
