--- Adapters (sak-method.md section 3): light residual branches of rank r.

local adapter = {}

---@param c {rank: integer?, down_ratio: integer?}
local function rank(c, width)
  return c.rank or width // c.down_ratio
end

--- A(x) = x + s * (W_up GELU(W_down x + b) + b'), s a learned scalar that starts at 1.
function adapter.bottleneck(nn, x, c)
  local width = x.shape[3]
  local branch = nn:linear("up", nn:linear("down", x, rank(c, width)):gelu(), width)
  return x + nn:param("scale", { 1 }, { "constant", 1 }) * branch
end

---@param nn Scope
---@param x userdata (B, L, C)
---@param c table  the resolved adapter spec, or a Lua function (nn, x) -> tensor
function adapter.forward(nn, x, c)
  if type(c) == "function" then return c(nn, x) end
  return adapter[c.kind or "bottleneck"](nn, x, c)
end

--- Teacher-Specific Adapter Path: r0 = A0(x0), ri = Ai(r(i-1) + xi).
---@param nn Scope  the path's scope, "tsap.<teacher>"
---@param i integer  0 for the embedding, block index + 1 after that
---@param r? userdata  r(i-1)
function adapter.step(nn, i, x, r, c)
  return adapter.forward(nn / i, r and r + x or x, c)
end

return adapter
