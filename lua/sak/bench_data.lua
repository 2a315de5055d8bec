--- `sak bench data`: images per second of the loader, stage by stage. A stage's own time is what it adds
--- to the one before: reading and decoding (or rendering) alone, then with augmentation, then from the
--- cache in memory.

local core = require "sak.core"
local host = require "sak.host"

local study = {}

local BATCH <const> = 8
local IMAGES <const> = 2 * BATCH -- few, so that a pass fills the cache soon
local SECONDS <const> = 0.4

--- Images per second, over at least SECONDS; with a cache, once it is full.
local function rate(data, options)
  local loader <close> = core.loader(data, options)
  local none = core.graph {} -- no inputs: batches are made, not copied
  for _ = 1, options.cache_bytes and 2 * loader:batches() or 1 do loader:next(none) end
  local before, images = core.clock(), 0
  repeat
    loader:next(none)
    images = images + BATCH
    local seconds = core.clock() - before
  until seconds > SECONDS
  return images / (core.clock() - before)
end

function study.run(job)
  local rows = {}
  for _, size in ipairs { { 64, 96 }, { 224, 224 }, { 448, 576 } } do
    local data = core.rooms { seed = 0, first = 0, count = IMAGES, H = size[1], W = size[2] }
    local function options(more)
      local o = { fields = { "image", "semseg", "depth", "normals", "edge" }, batch = BATCH, H = size[1], W = size[2],
        shuffle = true, train = true, threads = core.threads() }
      for k, v in pairs(more) do o[k] = v end
      return o
    end
    local augmented = { flip = 0.5, photometric = true, scale_lo = 0.5, scale_hi = 2, random_crop = true }
    local function with(more)
      local o = options(more)
      for k, v in pairs(augmented) do o[k] = v end
      return o
    end
    local row = { size = ("%dx%d"):format(size[1], size[2]), threads = core.threads() }
    row.render = rate(data, options {})
    row["render + augment"] = rate(data, with {})
    row["batch from cache"] = rate(data, options { cache_bytes = 2 ^ 31 })
    row["augment from cache"] = rate(data, with { cache_bytes = 2 ^ 31 })
    rows[#rows + 1] = row
  end
  return { columns = host.array { "size", "threads", "render", "render + augment", "batch from cache",
    "augment from cache" }, rows = host.array(rows),
    notes = host.array { "images/s of the built-in rooms with four labels, loader threads as --threads." } }
end

return study
