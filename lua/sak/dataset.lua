--- Opens the data of a configuration, and its loaders.

local core = require "sak.core"
local host = require "sak.host"

local dataset = {}

local VAL_OFFSET = 1000000 -- rooms: validation scenes never meet training scenes

--- Kinds of data that are pictures alone.
local images = { images = true, imagenet = true }

local axis_of = { x = 1, y = 2, z = 3 }

--- A task's labels as core.folder takes them.
local function label_files(t)
  local names = type(t.classes) == "table" and t.classes or nil
  local axis
  for channel, letter in ipairs(t.axes or {}) do
    axis = axis or {}
    axis[axis_of[letter:sub(-1)]] = #letter == 2 and -channel or channel
  end
  return { dir = t.dir, suffix = t.suffix, classes = names and #names or t.classes, names = names,
    colours = t.colours, offset = t.offset, ignore = t.ignore, scale = t.scale, axis = axis, threshold = t.threshold }
end

--- The layout of a resolved folder: a published one's name, or a table.
local function layout_of(d)
  if d.kind ~= "folder" then return d.kind end
  if not d.tasks then return "nyud" end
  local layout = { image = d.image }
  for task, t in pairs(d.tasks) do layout[task] = label_files(t) end
  return layout
end

--- Where indexes of archives are kept; nowhere if nil.
---@type string?
dataset.cache = nil

local function archive(path)
  if dataset.cache then core.mkdir(dataset.cache) end
  return core.archive { path = path, cache = dataset.cache }
end

--- Where one side of ImageNet lies: its archive as published, or its class folders.
---@return string path
function dataset.imagenet(root, side)
  local tar = ("%s/ILSVRC2012_img_%s.tar"):format(root, side)
  return host.exists(tar) == "file" and tar or root .. "/" .. side
end

--- One side of the data: a list's samples, or a share of all images; shares follow one another.
---@param d table  resolved data
---@param side "train"|"val"
---@param unchecked? boolean  look at no file yet
---@return userdata
function dataset.side(d, side, unchecked)
  local which = d[side]
  if d.kind == "rooms" then
    return core.rooms { seed = d.seed, first = side == "val" and VAL_OFFSET or 0, count = which, H = d.size[1], W = d.size[2] }
  end
  local root = d.kind == "imagenet" and dataset.imagenet(d.root, which) or d.root
  if images[d.kind] then
    return host.exists(root) == "file" and archive(root) or core.folder { root = root, layout = "images", unchecked = unchecked }
  end
  local o = { root = root, layout = layout_of(d), unchecked = unchecked }
  if type(which) == "number" then
    o.from = side == "val" and d.train or 0
    o.to = math.min(1, o.from + which)
  else
    o.list = which
  end
  return core.folder(o)
end

---@param d table  resolved data
---@return {train: userdata, val: userdata?, info: table, size: integer[]}
function dataset.open(d)
  local train, val = dataset.side(d, "train"), d.val and dataset.side(d, "val")
  local info = train:info()
  info.classes = d.classes or info.classes
  info.parts = d.parts or info.parts
  return { train = train, val = val, info = info, size = d.size }
end

--- A stage's augmentation as the loader takes it, for images of `size` pixels.
---@param stage {augment: table|false|nil}
---@param size integer[]
---@param depth_max? number
function dataset.augment_options(stage, size, depth_max)
  local a = stage.augment or {}
  return { train = stage.augment ~= false, H = size[1], W = size[2], flip = a.flip or 0,
    scale_lo = a.scale and a.scale[1] or 1, scale_hi = a.scale and a.scale[2] or 1,
    random_crop = a.crop or false, max_class = a.max_class,
    resized_crop_lo = a.resized_crop and a.resized_crop[1] or 0,
    resized_crop_hi = a.resized_crop and a.resized_crop[2] or 0,
    photometric = a.photometric or false, views = a.views or 0, depth_max = depth_max }
end

--- Training images that a stage sees: a share of all, at least one batch.  Raises where all are fewer.
---@return integer
function dataset.limit(data, d, batch)
  if data.info.count < batch then
    error(("batch: the %d images of %s do not fill one batch of %d; batch = %d or fewer"):format(data.info.count,
      data.info.name, batch, math.max(data.info.count, 1)), 0)
  end
  return math.max(batch, math.floor(data.info.count * (d.fraction or 1) + 0.5))
end

--- Data that a stage is trained on: its own, or the experiment's.
---@param ctx table
---@return table data, table resolved
function dataset.of_stage(ctx, stage)
  if stage.data then return dataset.open(stage.data), stage.data end
  return ctx.data, ctx.cfg.data
end

--- Loader of training images.
---@param d table resolved data
---@param stage table resolved stage
---@param seed integer
function dataset.train_loader(data, d, stage, fields, seed, more)
  local a = stage.augment or {}
  local o = dataset.augment_options(stage, a.size or stage.size or data.size, d.depth_max)
  o.fields, o.batch, o.seed, o.shuffle, o.threads, o.cache_bytes = fields, stage.batch, seed, true, 1, 2 ^ 31
  o.skip_bad = d.on_bad == "skip"
  o.limit = dataset.limit(data, d, stage.batch)
  for k, v in pairs(more or {}) do o[k] = v end
  return core.loader(data.train, o)
end

--- Loader of one side's images as they are, in their order: nothing is drawn.
---@param side userdata  data.train or data.val
---@param d table  resolved data
---@param limit? integer  so many, spread evenly over all
function dataset.plain_loader(side, data, d, batch, fields, limit)
  return core.loader(side, { fields = fields, batch = batch, limit = limit, shuffle = false, train = false,
    H = data.size[1], W = data.size[2], depth_max = d.depth_max, threads = 1, cache_bytes = 2 ^ 31,
    skip_bad = d.on_bad == "skip" })
end

--- Says how many images were replaced by others because they could not be read.
---@param name string  what they were for: a stage's name, or "val"
---@param bad integer
function dataset.report_bad(ctx, name, bad)
  if bad == 0 then return end
  local key = name .. "/loader_bad"
  -- how far the loader reads ahead decides about it, and so the clock: see train.clocked
  ctx.run:describe(key, { unit = "reads" })
  ctx.run:log(key, ctx.step, bad)
  local text = ("%s: %d images could not be read and were skipped; `sak data check` names them"):format(name, bad)
  ctx.run:event("warn", "data", ctx.step, text)
  ctx.note(text)
end

return dataset
