--- Vision Transformer (sak-method.md section 2.1): the student's stem, and DINOv2-, CLIP- and
--- SigLIP-style teachers. Parameter names are timm's.
---
---   x = [class; registers; patchify(img) W + b] + position
---   x = x + g1 * proj(attention(LN(x)));  x = x + g2 * fc2(act(fc1(LN(x))))
---
--- Features are block outputs without the prefix tokens; the final norm is never applied.

local vit = {}

---@class VitSpec
---@field width integer
---@field depth integer
---@field heads integer
---@field patch integer
---@field mlp_ratio number
---@field ln_eps number
---@field act string "gelu" | "quick_gelu" | "swiglu" (DINOv2 giant)
---@field class_token boolean
---@field registers integer
---@field layer_scale boolean  a learned scale on each residual branch, starting at 1e-5 (DINOv2)
---@field pre_norm boolean  norm before the first block (CLIP)
---@field patch_bias boolean
---@field out_indices integer[]  the blocks, 0-based, whose outputs are the levels

---@param size integer[] {H, W} pixels
---@return integer h, integer w  the patch grid, floored
function vit.grid(c, size)
  return size[1] // c.patch, size[2] // c.patch
end

function vit.prefix_tokens(c)
  return (c.class_token and 1 or 0) + (c.registers or 0)
end

local function scaled(nn, name, x, c)
  if not c.layer_scale then return x end
  return x * (nn / name):param("gamma", { c.width }, { "constant", 1e-5 })
end

local function attention(nn, x, c)
  local qkv = nn:linear("qkv", x, 3 * c.width, { bias = c.qkv_bias ~= false })
  return nn:linear("proj", qkv:attention { heads = c.heads }, c.width)
end

local function mlp(nn, x, c)
  if c.act == "swiglu" then
    local hidden = (c.width * c.mlp_ratio * 2 // 3 + 7) // 8 * 8
    local gate_up = nn:linear("w12", x, 2 * hidden // 1)
    local gate = gate_up:slice { axis = -1, start = 0, length = hidden // 1 }
    local up = gate_up:slice { axis = -1, start = hidden // 1, length = hidden // 1 }
    return nn:linear("w3", gate:silu() * up, c.width)
  end
  local hidden = nn:linear("fc1", x, math.floor(c.width * c.mlp_ratio))
  return nn:linear("fc2", hidden[c.act](hidden), c.width)
end

--- One pre-norm transformer block.
---@return userdata (B, L, C)
function vit.block(nn, x, c)
  x = x + scaled(nn, "ls1", attention(nn / "attn", nn:layer_norm("norm1", x, c.ln_eps), c), c)
  return x + scaled(nn, "ls2", mlp(nn / "mlp", nn:layer_norm("norm2", x, c.ln_eps), c), c)
end

--- Patches, prefix tokens and positions.
---@param image userdata (B, H, W, 3)
---@param keep? userdata (B, h*w, 1) 0/1: patches at 0 are replaced by a learned mask token
---@return userdata (B, prefix + h*w, C)
function vit.embed(nn, image, c, keep)
  local s = image.shape
  local h, w = vit.grid(c, { s[2], s[3] })
  local proj = nn / "patch_embed" / "proj"
  local weight = proj:param("weight", { c.width, 3, c.patch, c.patch })
    :reshape { shape = { c.width, 3 * c.patch * c.patch } }
  local patches = image:patchify { patch = c.patch }
  local x = c.patch_bias == false and patches:linear(weight)
    or patches:linear(weight, proj:param("bias", { c.width }, { "zeros" }))
  if keep then x = x * keep + (1 - keep) * nn:param("mask_token", { 1, 1, c.width }) end
  if c.class_token then
    x = nn:param("cls_token", { 1, 1, c.width }):expand { size = s[1] }:concat(x, { axis = 1 })
  end
  x = x + nn:param("pos_embed", { 1, h * w + (c.class_token and 1 or 0), c.width })
  if (c.registers or 0) > 0 then
    local registers = nn:param("reg_token", { 1, c.registers, c.width }):expand { size = s[1] }
    if c.class_token then
      local first = x:slice { axis = 1, start = 0, length = 1 }
      local rest = x:slice { axis = 1, start = 1, length = h * w }
      x = first:concat(registers, rest, { axis = 1 })
    else
      x = registers:concat(x, { axis = 1 })
    end
  end
  return c.pre_norm and nn:layer_norm("norm_pre", x, c.ln_eps) or x
end

--- Drops class and register tokens.
function vit.patch_tokens(x, c)
  local prefix = vit.prefix_tokens(c)
  if prefix == 0 then return x end
  return x:slice { axis = 1, start = prefix, length = x.shape[2] - prefix }
end

--- Output of the last block, prefix tokens included.
function vit.encode(nn, image, c, keep)
  local x = vit.embed(nn, image, c, keep)
  for i = 0, c.depth - 1 do x = nn:block(vit.block, nn / "blocks" / i, x, c) end
  return x
end

--- Block outputs at c.out_indices (0-based), as tokens without prefix.
---@return userdata[] levels, integer h, integer w
function vit.features(nn, image, c)
  local x = nn:trace("stem/embed", vit.embed(nn, image, c))
  local wanted, levels = {}, {}
  for _, i in ipairs(c.out_indices) do wanted[i] = true end
  for i = 0, c.depth - 1 do
    x = nn:block(vit.block, nn / "blocks" / i, x, c)
    if wanted[i] then levels[#levels + 1] = vit.patch_tokens(x, c) end
  end
  local s = image.shape
  return levels, vit.grid(c, { s[2], s[3] })
end

return vit
