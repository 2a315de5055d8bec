--- SAM image encoder (sak-method.md section 2.2): a ViT without class token, attention in windows
--- except in the global blocks, decomposed relative positions, no neck. Names are timm's.

local vit = require "sak.models.vit"
local to_map = require("sak.nn").to_map
local to_tokens = require("sak.nn").to_tokens

local sam = {}

local LN_EPS = 1e-5 -- where the specification has none (sak-method.md section 2.2)

--- Longest side to `side` (bicubic), zeros right and below.
---@param image userdata (B, H, W, 3)
---@return userdata (B, side, side, 3)
function sam.preprocess(image, side)
  local s = image.shape
  local scale = side / math.max(s[2], s[3])
  local h, w = math.floor(s[2] * scale + 0.5), math.floor(s[3] * scale + 0.5)
  return image:resize { size = { h, w }, mode = "bicubic" }
    :pad2d { top = 0, left = 0, bottom = side - h, right = side - w }
end

local function attention(nn, x, c, h, w)
  local d = c.width // c.heads
  local qkv = nn:linear("qkv", x, 3 * c.width, { bias = c.qkv_bias ~= false })
  local mixed = qkv:attention(nn:param("rel_pos_h", { 2 * h - 1, d }, { "zeros" }),
    nn:param("rel_pos_w", { 2 * w - 1, d }, { "zeros" }), { heads = c.heads, grid_h = h, grid_w = w })
  return nn:linear("proj", mixed, c.width)
end

--- Padded window tokens take part in the attention: their q, k and v are the qkv bias, 0 without one.
local function windowed(nn, x, c, h, w)
  local windows = to_map(x, h, w):window_partition { window = c.window }
  return to_tokens(attention(nn, windows, c, c.window, c.window)
    :window_merge { window = c.window, h = h, w = w })
end

local function block(nn, x, c, h, w, global)
  local y = nn:layer_norm("norm1", x, c.ln_eps or LN_EPS)
  x = x + (global and attention(nn / "attn", y, c, h, w) or windowed(nn / "attn", y, c, h, w))
  local hidden = (nn / "mlp"):linear("fc1", nn:layer_norm("norm2", x, c.ln_eps or LN_EPS),
    math.floor(c.width * c.mlp_ratio)):gelu()
  return x + (nn / "mlp"):linear("fc2", hidden, c.width)
end

--- Block outputs at c.out_indices, as tokens.
---@return userdata[] levels, integer h, integer w
function sam.features(nn, image, c)
  if c.resize_to then image = nn:trace("preprocessed", sam.preprocess(image, c.resize_to)) end
  local s = image.shape
  local h, w = vit.grid(c, { s[2], s[3] })
  local proj = nn / "patch_embed" / "proj"
  local weight = proj:param("weight", { c.width, 3, c.patch, c.patch })
    :reshape { shape = { c.width, 3 * c.patch * c.patch } }
  local x = image:patchify { patch = c.patch }:linear(weight, proj:param("bias", { c.width }, { "zeros" }))
  x = x + nn:param("pos_embed", { 1, h, w, c.width }):reshape { shape = { 1, h * w, c.width } }
  local global, wanted, levels = {}, {}, {}
  for _, i in ipairs(c.global) do global[i] = true end
  local all = (c.window or 0) < 1 -- no windows: every block is global
  for _, i in ipairs(c.out_indices) do wanted[i] = true end
  for i = 0, c.depth - 1 do
    x = block(nn / "blocks" / i, x, c, h, w, all or global[i])
    if wanted[i] then levels[#levels + 1] = x end
  end
  return levels, h, w
end

return sam
