-- The real ViT-Tiny against tokens that PyTorch computed in float64 on a photograph, and an image of
-- another size, for which the position table is resampled.
local core = require "sak.core"
local host = require "sak.host"
local nn = require "sak.nn"
local teacher = require "sak.models.teacher"

local dir = "../shared/weights/"
local path = dir .. "vit_tiny_patch16_224.safetensors"
if host.exists(path) ~= "file" then return "skipped: " .. path .. " is not here" end

local function open(name)
  return teacher.open({ name = name, kind = "vit", heads = 3, out_indices = { 2, 5, 8, 11 }, pad = "none", weight = 1,
    mean = { 0.485, 0.456, 0.406 }, std = { 0.229, 0.224, 0.225 } }, path)
end

--- Feature maps of the four levels for an image of this size.
local function features(t, size)
  local g = core.graph { training = false }
  local image = g:input("image", { 1, size[1], size[2], 3 })
  for level, m in ipairs(teacher.features(g, image, t, function() end, {})) do
    g:output("level" .. level, nn.to_tokens(m))
  end
  g:plan()
  g:allocate()
  return g
end

local t = open "golden"
local g = features(t, { 224, 224 })
assert(t.loaded_as:find("timm names, 148 tensors; not needed for features: 2 classifier, 2 final norm", 1, true), t.loaded_as)
local golden <close> = core.weights(dir .. "golden_vit_tiny_patch16_224.safetensors")
local chw, hwc, n = golden:get "input_norm_chw", {}, 224 * 224
for i = 0, n - 1 do
  for c = 0, 2 do hwc[i * 3 + c + 1] = chw[c * n + i + 1] end
end
g:set("image", hwc)
g:forward(0)
for level, block in ipairs { 2, 5, 8, 11 } do
  local ours, theirs, off, size = g:value("level" .. level), golden:get("tokens_block_" .. block), 0, 0
  assert(#ours == 196 * 192 and #theirs == 197 * 192)
  for k, v in ipairs(ours) do
    local w = theirs[k + 192] -- after the class token
    off, size = off + (v - w) ^ 2, size + w ^ 2
  end
  local relative = math.sqrt(off / size)
  assert(relative < 1e-4, ("block %d: relative error %.3g"):format(block, relative))
end

-- 160 x 256: the 14 x 14 table becomes 10 x 16, and means stay what they were
local other = open "resized"
g = features(other, { 160, 256 })
g:set("image", 0.5)
g:forward(0)
for level = 1, 4 do
  local sum = 0
  for _, v in ipairs(g:value("level" .. level)) do sum = sum + v end
  assert(sum == sum and math.abs(sum) < math.huge)
end
local function mean(params, first)
  local p, sum = params:get "pos_embed", 0
  for k = first, #p do sum = sum + p[k] end
  return sum / (#p - first + 1)
end
local a, b = t.params:get "pos_embed", other.params:get "pos_embed"
assert(#a == 197 * 192 and #b == 161 * 192)
for k = 1, 192 do assert(a[k] == b[k], "the class token's row is not resampled") end
assert(math.abs(mean(t.params, 193) - mean(other.params, 193)) < 2e-3)
