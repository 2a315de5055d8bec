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

---@param nn Scope
---@param x userdata (B, L, C)
---@param i integer  0 for the embedding, block index + 1 after that
---@param c table  the resolved adapter; c.fn is a researcher's own function(x, i, nn) -> tensor
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
