--- Swin transformer (Liu et al., arXiv:2103.14030): attention in windows that every other block
--- shifts by half a window, a learned bias per relative position, and four stages, each of half the
--- grid and twice the width of the one before. The stages' outputs are the four levels. Names are
--- timm's (downsample belongs to the stage that it leads into).

local lora = require "sak.models.lora"
local nn_ = require "sak.nn"
local to_map, to_tokens = nn_.to_map, nn_.to_tokens

local swin = {}

---@class SwinSpec
---@field width integer  of the first stage
---@field depths integer[]
---@field heads integer[]
---@field patch integer
---@field window integer
---@field mlp_ratio number
---@field ln_eps number

---@return integer[]  channels of the four levels
function swin.widths(c)
  return { c.width, 2 * c.width, 4 * c.width, 8 * c.width }
end

--- Grids of the four levels; an odd side is padded by one before it is halved.
---@param size integer[] {H, W} pixels
---@return integer[][]
function swin.grids(c, size)
  local h, w = size[1] // c.patch, size[2] // c.patch
  local grids = {}
  for stage = 1, 4 do
    grids[stage] = { h, w }
    h, w = (h + 1) // 2, (w + 1) // 2
  end
  return grids
end

--- A window is never larger than the map; a map of one window is not shifted.
local function windows_of(c, h, w, shifted)
  local s = c.window
  return { window = math.min(s, h), window_w = math.min(s, w), shift_h = shifted and h > s and s // 2 or 0,
    shift_w = shifted and w > s and s // 2 or 0 }
end

--- softmax(q k^T / sqrt(d) + bias) v inside each window. x (B n, L, C).
local function attention(nn, x, c, heads, win, h, w)
  local s = x.shape
  local L, C = s[2], s[3]
  local qkv = lora.linear(nn, "qkv", x, 3 * C, c)
    :reshape { shape = { s[1], L, 3, heads, C // heads } }:permute { order = { 2, 0, 3, 1, 4 } }
  local function part(k)
    return qkv:slice { axis = 0, start = k, length = 1 }:reshape { shape = { s[1], heads, L, C // heads } }
  end
  local side = 2 * c.window - 1
  local table = nn:param("relative_position_bias_table", { side * side, heads })
  local bias = table:window_bias { window = c.window, win_h = win.window, win_w = win.window_w, grid_h = h,
    grid_w = w, shift_h = win.shift_h, shift_w = win.shift_w }
  local n = bias.shape[1] -- windows of an image, or 1 when they are alike
  local scores = (part(0) * (C // heads) ^ -0.5):matmul(part(1), { tb = true })
    :reshape { shape = { s[1] // n, n, heads, L, L } }
  local p = (scores + bias):softmax {}:reshape { shape = { s[1], heads, L, L } }
  local mixed = p:matmul(part(2)):permute { order = { 0, 2, 1, 3 } }:reshape { shape = { s[1], L, C } }
  return lora.linear(nn, "proj", mixed, C, c)
end

--- x (B, h*w, C).
local function block(nn, x, c, heads, h, w, shifted)
  local C = x.shape[3]
  local win = windows_of(c, h, w, shifted)
  local windows = to_map(nn:layer_norm("norm1", x, c.ln_eps), h, w):window_partition(win)
  local mixed = attention(nn / "attn", windows, c, heads, win, h, w)
  win.h, win.w = h, w
  x = x + to_tokens(mixed:window_merge(win))
  local mlp = nn / "mlp"
  local hidden = lora.linear(mlp, "fc1", nn:layer_norm("norm2", x, c.ln_eps), math.floor(C * c.mlp_ratio), c)
  return x + lora.linear(mlp, "fc2", hidden:gelu(), C, c)
end

--- Four neighbours into one token of twice the width.
local function downsample(nn, x, c, h, w)
  local C, B = x.shape[3], x.shape[1]
  local map = to_map(x, h, w)
  if h % 2 == 1 or w % 2 == 1 then map = map:pad2d { bottom = h % 2, right = w % 2 } end
  h, w = (h + 1) // 2, (w + 1) // 2
  local quads = map:reshape { shape = { B, h, 2, w, 2, C } }:permute { order = { 0, 1, 3, 4, 2, 5 } }
    :reshape { shape = { B, h * w, 4 * C } }
  return nn:linear("reduction", nn:layer_norm("norm", quads, c.ln_eps), 2 * C, { bias = false })
end

--- The stages' outputs, as tokens.
---@param image userdata (B, H, W, 3)
---@return userdata[] levels, integer[][] grids
function swin.features(nn, image, c)
  local s = image.shape
  local grids, levels = swin.grids(c, { s[2], s[3] }), {}
  local embed = nn / "patch_embed"
  local x = embed:layer_norm("norm", nn_.embed_patches(embed / "proj", image, c.patch, c.width), c.ln_eps)
  for stage = 1, 4 do
    local layer, h, w = nn / "layers" / (stage - 1), grids[stage][1], grids[stage][2]
    if stage > 1 then x = downsample(layer / "downsample", x, c, grids[stage - 1][1], grids[stage - 1][2]) end
    for i = 0, c.depths[stage] - 1 do
      x = nn:block(block, layer / "blocks" / i, x, c, c.heads[stage], h, w, i % 2 == 1)
    end
    levels[stage] = x
  end
  return levels, grids
end

return swin
