--- Vision Transformer (sak-method.md section 2.1): the student's stem, and DINOv2-, CLIP- and
--- SigLIP-style teachers. Parameter names are timm's.
---
---   x = [class; registers; patchify(img) W + b] + position
---   x = x + g1 * proj(attention(LN(x)));  x = x + g2 * fc2(act(fc1(LN(x))))
---
--- Features are block outputs without the prefix tokens; the final norm is never applied.

local lora = require "sak.models.lora"
local nn_ = require "sak.nn"

local vit = {}

---@class VitSpec
---@field width integer
---@field depth integer
---@field heads integer
---@field patch integer
---@field mlp_ratio number
---@field ln_eps number
---@field act string "gelu" | "quick_gelu" | "gelu_tanh" (SigLIP) | "swiglu" (DINOv2 giant)
---@field class_token boolean
---@field registers integer
---@field layer_scale boolean  a learned scale on each residual branch, starting at 1e-5 (DINOv2)
---@field pre_norm boolean  norm before the first block (CLIP)
---@field patch_bias boolean
---@field cpe? boolean  positions are cut out of a table of c.grid (RADIO)
---@field lora? Lora  low-rank updates of the blocks' linear maps
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
  local qkv = lora.linear(nn, "qkv", x, 3 * c.width, c, { bias = c.qkv_bias ~= false })
  return lora.linear(nn, "proj", qkv:attention { heads = c.heads }, c.width, c)
end

local function mlp(nn, x, c)
  if c.act == "swiglu" then
    local hidden = (c.width * c.mlp_ratio * 2 // 3 + 7) // 8 * 8
    local gate_up = nn:linear("w12", x, 2 * hidden // 1)
    local gate = gate_up:slice { axis = -1, start = 0, length = hidden // 1 }
    local up = gate_up:slice { axis = -1, start = hidden // 1, length = hidden // 1 }
    return nn:linear("w3", gate:silu() * up, c.width)
  end
  local hidden = lora.linear(nn, "fc1", x, math.floor(c.width * c.mlp_ratio), c)
  return lora.linear(nn, "fc2", hidden[c.act](hidden), c.width, c)
end

--- One pre-norm transformer block.
---@return userdata (B, L, C)
function vit.block(nn, x, c)
  x = x + scaled(nn, "ls1", attention(nn / "attn", nn:layer_norm("norm1", x, c.ln_eps), c), c)
  return x + scaled(nn, "ls2", mlp(nn / "mlp", nn:layer_norm("norm2", x, c.ln_eps), c), c)
end

--- The position table of an (h, w) grid.
local function positions(nn, c, h, w)
  if not c.cpe then
    return nn:param("pos_embed", { 1, h * w + (c.class_token and 1 or 0), c.width })
  end
  -- RADIO's cropped position embedding, as in inference: the table is stretched to the longer side,
  -- corners aligned, and its top left part taken
  local rows, cols = c.grid[1], c.grid[2]
  local table = nn:param("pos_embed", { 1, rows * cols, c.width })
  if rows == h and cols == w then return table end
  local side = math.max(h, w)
  return nn_.to_tokens(nn_.to_map(table, rows, cols)
    :resize { size = { side, side }, mode = "bilinear_corners" }:crop2d { height = h, width = w })
end

--- Patches, prefix tokens and positions.
---@param image userdata (B, H, W, 3)
---@param keep? userdata (B, h*w, 1) 0/1: patches at 0 are replaced by a learned mask token
---@return userdata (B, prefix + h*w, C)
function vit.embed(nn, image, c, keep)
  local s = image.shape
  local h, w = vit.grid(c, { s[2], s[3] })
  local x = nn_.embed_patches(nn / "patch_embed" / "proj", image, c.patch, c.width, { bias = c.patch_bias })
  if keep then x = x * keep + (1 - keep) * nn:param("mask_token", { 1, 1, c.width }) end
  local function class() return nn:param("cls_token", { 1, 1, c.width }):expand { size = s[1] } end
  local function registers()
    return nn:param("reg_token", { 1, c.registers, c.width }):expand { size = s[1] }
  end
  local prefix = {}
  if c.class_token and not c.cpe then
    x = class():concat(x, { axis = 1 }) + positions(nn, c, h, w)
    if (c.registers or 0) > 0 then
      prefix[1] = x:slice { axis = 1, start = 0, length = 1 }
      x = x:slice { axis = 1, start = 1, length = h * w }
    end
  else
    x = x + positions(nn, c, h, w)
    if c.class_token then prefix[1] = class() end
  end
  if (c.registers or 0) > 0 then prefix[#prefix + 1] = registers() end
  prefix[#prefix + 1] = x
  x = prefix[1]
  if #prefix > 1 then x = x:concat(prefix[2], prefix[3], { axis = 1 }) end
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

return vit
