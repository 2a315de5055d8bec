--- The published backbones by name (sak-method.md, section 2): what `arch = "vit_base"` stands for.
local archs = {}

--- name -> { kind = "vit"|"sam"|"swin", width =, … }, the settings of that kind.
---@type table<string, table>
archs.table = {}

local function add(kind, name, fields)
  fields.kind = kind
  archs.table[name] = fields
end

local function extend(base, more)
  local result = {}
  for k, v in pairs(base) do result[k] = v end
  for k, v in pairs(more) do result[k] = v end
  return result
end

local S = { width = 384, depth = 12, heads = 6 }
local B = { width = 768, depth = 12, heads = 12 }
local L = { width = 1024, depth = 24, heads = 16 }
local H = { width = 1280, depth = 32, heads = 16 }

add("vit", "vit_tiny", { width = 192, depth = 12, heads = 3, patch = 16 })
add("vit", "vit_small", extend(S, { patch = 16 }))
add("vit", "vit_base", extend(B, { patch = 16 }))
add("vit", "vit_large", extend(L, { patch = 16 }))
add("vit", "vit_huge", extend(H, { patch = 14 }))

local dinov2 = { patch = 14, layer_scale = true }
for size, shape in pairs { small = S, base = B, large = L } do
  add("vit", "dinov2_" .. size, extend(shape, dinov2))
  add("vit", "dinov2_" .. size .. "_reg", extend(extend(shape, dinov2), { registers = 4, class_position = false })) -- timm's files
end
local giant = extend({ width = 1536, depth = 40, heads = 24, act = "swiglu" }, dinov2)
add("vit", "dinov2_giant", giant)
add("vit", "dinov2_giant_reg", extend(giant, { registers = 4, class_position = false }))

local clip = { pre_norm = true, patch_bias = false, ln_eps = 1e-5 }
local openai = extend(clip, { act = "quick_gelu" })
add("vit", "clip_base", extend(extend(B, clip), { patch = 16 }))
add("vit", "clip_large", extend(extend(L, clip), { patch = 14 }))
add("vit", "clip_base_openai", extend(extend(B, openai), { patch = 16 }))
add("vit", "clip_large_openai", extend(extend(L, openai), { patch = 14 }))

-- Hugging Face's models resample positions in their forward pass, without antialias.
local siglip = { class_token = false, act = "gelu_tanh", resample = "bicubic" }
add("vit", "siglip_base", extend(extend(B, siglip), { patch = 16 }))
add("vit", "siglip_large", extend(extend(L, siglip), { patch = 16 }))
add("vit", "siglip_so400m", extend(siglip, {
  width = 1152, depth = 27, heads = 16, patch = 14, mlp_ratio = 4304 / 1152,
}))

add("sam", "sam_base", extend(B, { patch = 16, global = { 2, 5, 8, 11 } }))
add("sam", "sam_large", extend(L, { patch = 16, global = { 5, 11, 17, 23 } }))
add("sam", "sam_huge", extend(H, { patch = 16, global = { 7, 15, 23, 31 } }))

add("swin", "swin_tiny", { width = 96, depths = { 2, 2, 6, 2 }, heads = { 3, 6, 12, 24 } })
add("swin", "swin_small", { width = 96, depths = { 2, 2, 18, 2 }, heads = { 3, 6, 12, 24 } })
add("swin", "swin_base", { width = 128, depths = { 2, 2, 18, 2 }, heads = { 4, 8, 16, 32 } })
add("swin", "swin_large", { width = 192, depths = { 2, 2, 18, 2 }, heads = { 6, 12, 24, 48 } })

-- Four summary tokens (one per teacher of its own) and four registers, which no position is added to,
-- stand as registers here: features drop them all.
local radio = { patch = 16, patch_bias = false, class_token = false, registers = 8, cpe = true, grid = { 128, 128 } }
add("vit", "radio_v2.5-b", extend(B, radio))
add("vit", "radio_v2.5-l", extend(L, radio))

local theia = { patch = 16, ln_eps = 1e-12, resample = "bicubic" }
add("vit", "theia_small", extend(S, theia))
add("vit", "theia_base", extend(B, theia))

--- All names, sorted.
---@return string[]
function archs.names()
  local names = {}
  for name in pairs(archs.table) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- The published choice of output blocks: the last block of each quarter of the depth.
---@param depth integer
---@return integer[]
function archs.levels(depth)
  local levels = {}
  for quarter = 1, 4 do
    levels[quarter] = (depth * quarter + 3) // 4 - 1
  end
  return levels
end

return archs
