--- What every image encoder offers, whatever its kind: four levels of features with their grids and
--- widths. ViT and SAM also run block by block, all blocks on one grid and of one width, which is
--- what a stem with adapter paths needs.

local nn_ = require "sak.nn"
local vit = require "sak.models.vit"
local sam = require "sak.models.sam"
local swin = require "sak.models.swin"

local encoder = {}

local stepwise = { vit = vit, sam = sam }

local function kind_of(c) return c.kind or "vit" end

--- 0-based numbers of the blocks (Swin: stages) whose outputs are the levels.
---@return integer[]
function encoder.levels(c) return c.out_indices or { 0, 1, 2, 3 } end

--- Channels of each level.
---@return integer[]
function encoder.widths(c)
  if kind_of(c) == "swin" then return swin.widths(c) end
  local widths = {}
  for level in ipairs(encoder.levels(c)) do widths[level] = c.width end
  return widths
end

--- Token grid of each level.
---@param size integer[] {H, W} pixels
---@return integer[][]
function encoder.grids(c, size)
  if kind_of(c) == "swin" then return swin.grids(c, size) end
  local h, w = vit.grid(c, size)
  local grids = {}
  for level in ipairs(encoder.levels(c)) do grids[level] = { h, w } end
  return grids
end

--- How a file's position tables are fitted to an image of `size` pixels.
---@param o {source: integer[]?, mode: string?}  grid of the file's table, if not square; how it is resampled
---@return Positions
function encoder.positions(c, size, o)
  local is_sam = kind_of(c) == "sam"
  return { grid = c.cpe and c.grid or { vit.grid(c, size) }, source = c.cpe and c.grid or o.source, mode = o.mode or encoder.resample(c),
    tokens = not is_sam and c.class_token and 1 or 0, bare = c.class_position == false,
    global = is_sam and function(block) return sam.is_global(c, block) end or nil }
end

--- How a file's position table is fitted to another grid: the published SAM has no antialias.
---@return string  a mode of params:load_resized
function encoder.resample(c)
  return kind_of(c) == "sam" and "bicubic" or c.resample or "bicubic_antialias"
end

--- Tokens before the first block.
---@param image userdata (B, H, W, 3)
---@return userdata (B, prefix + h*w, C)
function encoder.embed(nn, image, c) return stepwise[kind_of(c)].embed(nn, image, c) end

--- One block of a ViT or SAM.
---@param i integer  0-based
---@param grid integer[] {h, w}
function encoder.block(nn, x, c, i, grid)
  return nn:block(stepwise[kind_of(c)].block, nn / "blocks" / i, x, c, i, grid)
end

--- Outputs of the levels, as tokens without prefix.
---@param image userdata (B, H, W, 3)
---@return userdata[] levels, integer[][] grids
function encoder.features(nn, image, c)
  if kind_of(c) == "swin" then return swin.features(nn, image, c) end
  if c.resize_to then image = nn:trace("preprocessed", nn_.resize_and_pad(image, c.resize_to)) end
  local s = image.shape
  local grids, wanted, levels = encoder.grids(c, { s[2], s[3] }), {}, {}
  for _, i in ipairs(encoder.levels(c)) do wanted[i] = true end
  local x = nn:trace("stem/embed", encoder.embed(nn, image, c))
  for i = 0, c.depth - 1 do
    x = encoder.block(nn, x, c, i, grids[1])
    if wanted[i] then levels[#levels + 1] = vit.patch_tokens(x, c) end
  end
  return levels, grids
end

--- Feature maps without the part that saw only the padding of nn.resize_and_pad.
---@param maps userdata[]  per level (B, h, w, C)
---@param image integer[]  shape (B, H, W, 3) before
---@param padded integer[]  and after
---@return userdata[]
function encoder.crop(maps, c, image, padded)
  local scale, cropped = padded[2] / math.max(image[2], image[3]), {}
  for k, x in ipairs(maps) do
    local s = x.shape
    local side = c.patch * maps[1].shape[2] / s[2] -- Swin's later levels are coarser
    cropped[k] = x:crop2d { height = math.min(s[2], math.ceil(image[2] * scale / side)),
      width = math.min(s[3], math.ceil(image[3] * scale / side)) }
  end
  return cropped
end

return encoder
