--- SAM image encoder (sak-method.md section 2.2): a ViT without class token, attention in windows
--- except in the global blocks, decomposed relative positions, no neck. Names are timm's.

local lora = require "sak.models.lora"
local nn_ = require "sak.nn"
local vit = require "sak.models.vit"
local to_map, to_tokens = nn_.to_map, nn_.to_tokens

local sam = {}

local LN_EPS = 1e-5 -- where the specification has none (sak-method.md section 2.2)

local function attention(nn, x, c, h, w)
  local d = c.width // c.heads
  local qkv = lora.linear(nn, "qkv", x, 3 * c.width, c, { bias = c.qkv_bias ~= false })
  local mixed = qkv:attention(nn:param("rel_pos_h", { 2 * h - 1, d }, { "zeros" }),
    nn:param("rel_pos_w", { 2 * w - 1, d }, { "zeros" }), { heads = c.heads, grid_h = h, grid_w = w })
  return lora.linear(nn, "proj", mixed, c.width, c)
end

--- Padded window tokens take part in the attention: their q, k and v are the qkv bias, 0 without one.
local function windowed(nn, x, c, h, w)
  local windows = to_map(x, h, w):window_partition { window = c.window }
  return to_tokens(attention(nn, windows, c, c.window, c.window)
    :window_merge { window = c.window, h = h, w = w })
end

--- Without windows every block is global.
---@param i integer  0-based
---@return boolean
function sam.is_global(c, i)
  if (c.window or 0) < 1 then return true end
  for _, k in ipairs(c.global) do
    if k == i then return true end
  end
  return false
end

--- Patches and positions; there are no prefix tokens.
---@param image userdata (B, H, W, 3)
---@return userdata (B, h*w, C)
function sam.embed(nn, image, c)
  local s = image.shape
  local h, w = vit.grid(c, { s[2], s[3] })
  local x = nn_.embed_patches(nn / "patch_embed" / "proj", image, c.patch, c.width)
  return x + nn:param("pos_embed", { 1, h, w, c.width }):reshape { shape = { 1, h * w, c.width } }
end

--- Block i; attention in windows, or over the whole grid where c.global lists it.
---@param x userdata (B, h*w, C)
---@param grid integer[] {h, w}
function sam.block(nn, x, c, i, grid)
  local h, w = grid[1], grid[2]
  local y, attn = nn:layer_norm("norm1", x, c.ln_eps or LN_EPS), nn / "attn"
  x = x + (sam.is_global(c, i) and attention(attn, y, c, h, w) or windowed(attn, y, c, h, w))
  local hidden = lora.linear(nn / "mlp", "fc1", nn:layer_norm("norm2", x, c.ln_eps or LN_EPS),
    math.floor(c.width * c.mlp_ratio), c):gelu()
  return x + lora.linear(nn / "mlp", "fc2", hidden, c.width, c)
end

return sam
