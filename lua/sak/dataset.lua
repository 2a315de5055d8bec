--- Opens the data of a configuration, and its loaders.

local core = require "sak.core"

local dataset = {}

local VAL_OFFSET = 1000000 -- rooms: validation scenes never meet training scenes

---@param d table  resolved data
---@return {train: userdata, val: userdata, info: table, size: integer[]}
function dataset.open(d)
  if d.kind == "rooms" then
    local function part(first, count)
      return core.rooms { seed = d.seed, first = first, count = count, H = d.size[1], W = d.size[2] }
    end
    local train = part(0, d.train)
    return { train = train, val = part(VAL_OFFSET, d.val), info = train:info(), size = d.size }
  end
  local train, val = core.folder(d.root, d.train), core.folder(d.root, d.val)
  local info = train:info()
  info.classes = d.classes or info.classes
  info.parts = d.parts or info.parts
  return { train = train, val = val, info = info, size = d.size }
end

--- Options of the loader for training images.
---@param d table resolved data
---@param stage table resolved stage
---@param seed integer
function dataset.train_loader(data, d, stage, fields, seed, more)
  local a = stage.augment or {}
  local size = a.size or stage.size or data.size
  local o = { fields = fields, batch = stage.batch, seed = seed, shuffle = true, train = stage.augment ~= false,
    H = size[1], W = size[2], flip = a.flip or 0,
    scale_lo = a.scale and a.scale[1] or 1, scale_hi = a.scale and a.scale[2] or 1,
    random_crop = a.crop or false, max_class = a.max_class,
    resized_crop_lo = a.resized_crop and a.resized_crop[1] or 0,
    resized_crop_hi = a.resized_crop and a.resized_crop[2] or 0,
    photometric = a.photometric or false, depth_max = d.depth_max, threads = 1, cache_bytes = 2 ^ 31,
    limit = math.max(stage.batch, math.floor(data.info.count * (d.fraction or 1) + 0.5)) }
  for k, v in pairs(more or {}) do o[k] = v end
  return core.loader(data.train, o)
end

function dataset.val_loader(data, d, batch, fields)
  return core.loader(data.val, { fields = fields, batch = batch, shuffle = false, train = false,
    H = data.size[1], W = data.size[2], depth_max = d.depth_max, threads = 1, cache_bytes = 2 ^ 31 })
end

return dataset
