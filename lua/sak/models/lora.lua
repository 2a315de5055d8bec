--- Low-rank updates of the stem's linear maps (Hu et al., LoRA, arXiv:2106.09685, section 4.1):
---   y = x W^T + b + alpha / rank * (dropout(x) A^T) B^T
--- A (rank, in) starts uniform in +-1/sqrt(in) (Kaiming with a = sqrt 5), B (out, rank) at 0, so that
--- training starts from the pretrained map. Names are loralib's: attn.qkv.lora_A beside
--- attn.qkv.weight.

local lora = {}

---@class Lora
---@field rank integer
---@field alpha number
---@field targets string[]  names of the linear maps inside a block: qkv, proj, fc1, fc2
---@field dropout number  share of the update's input that is dropped in training
---@field stage2 "train"|"merge"

local function wanted(c, name)
  for _, target in ipairs(c and c.targets or {}) do
    if target == name then return true end
  end
  return false
end

--- A linear map of an encoder's block, with its update where c.lora asks for one.
---@param nn Scope
---@param x userdata (..., in)
---@param c table  the encoder; c.lora: its updates, nil for none
---@param options? {bias: boolean?}
---@return userdata (..., out)
function lora.linear(nn, name, x, out, c, options)
  local y, l, shape = nn:linear(name, x, out, options), c.lora, x.shape
  if not wanted(l, name) then return y end
  local inner, width = nn / name, shape[#shape]
  local a = inner:param("lora_A", { l.rank, width }, { "uniform", 1 / math.sqrt(width) })
  local b = inner:param("lora_B", { out, l.rank }, { "zeros" })
  if (l.dropout or 0) > 0 then x = nn:dropout(x, l.dropout) end
  return y + x:linear(a):linear(b) * (l.alpha / l.rank)
end

--- Is this parameter part of an update?
---@param name string
function lora.owns(name) return name:match("%.lora_[AB]$") ~= nil end

return lora
