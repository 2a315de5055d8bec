--- Teachers' features from the cache. A stage that has it takes them as inputs of its graph; a teacher
--- is loaded, and computes them image by image, only where an image has not been seen before.

local core = require "sak.core"
local host = require "sak.host"
local identity = require "sak.identity"
local nn = require "sak.nn"
local teacher = require "sak.models.teacher"

local features = {}

--- What of a teacher's settings its features do not depend on. They do on `key` and `names`: the identity
--- is of the whole file, which may hold several encoders.
local no_matter = { name = true, weight = true, builtin = true, weights = true }

--- What of a teacher decides about its features: weights, shape, preprocessing.
---@return table
function features.depends_on(t)
  local spec = {}
  for k, v in pairs(t.spec) do
    if not no_matter[k] then spec[k] = v end
  end
  return { weights = t.identity, random = t.source == "random" and t.name or nil, encoder = spec }
end

--- All that a teacher's cached features depend on, but for the image.
local function key_of(cfg, t, size, counts)
  local parts = features.depends_on(t)
  parts.code, parts.kernels, parts.size = identity.code(), identity.kernels(cfg.precision), host.array { size[1], size[2] }
  parts.precision, parts.rewrite = cfg.precision, cfg.engine.rewrite
  parts.dtype, parts.counts = cfg.cache.dtype, host.array(counts)
  return parts
end

---@class TeacherSource
---@field teacher Teacher
---@field graph userdata  of one image
---@field outputs string[]  its levels
---@field inputs string[]  where they go
---@field shapes integer[][]  of one image: {h, w, C}
---@field counts integer[]

--- A teacher's graph of one image, planned, without memory or weights.
---@return TeacherSource
local function sketch(cfg, t, size, new_graph)
  local graph, finish = new_graph(), {}
  local scope = nn.scope(graph, t.params, { inputs = {} })
  local image = scope:input("image", { 1, size[1], size[2], 3 })
  local maps = teacher.build(graph, image, t, function(f) finish[#finish + 1] = f end, {})
  local s = { teacher = t, graph = graph, outputs = {}, inputs = {}, shapes = {}, counts = {} }
  for level, map in ipairs(maps) do
    s.outputs[level], s.inputs[level] = "level" .. level, ("teacher/%s/level%d"):format(t.name, level)
    graph:output(s.outputs[level], map)
    local shape = map.shape
    s.shapes[level] = { shape[2], shape[3], shape[4] }
    s.counts[level] = shape[2] * shape[3] * shape[4]
  end
  graph:plan()
  teacher.check(t)
  function s.load()
    teacher.load(t)
    graph:allocate()
    for _, f in ipairs(finish) do f(graph) end
    s.load = function() end
  end
  return s
end

local Source = {}
Source.__index = Source
Source.__close = function(self) self:close() end

--- The cache of a committee, for images of one size.
---@param ctx table
---@param size integer[] {H, W}
---@param new_graph fun(): userdata  as teachers are computed in
function features.sketch(ctx, size, new_graph)
  local self = setmetatable({ ctx = ctx, size = size, list = {}, seconds = 0 }, Source)
  for i, t in ipairs(ctx.teachers) do self.list[i] = sketch(ctx.cfg, t, size, new_graph) end
  return self
end

--- The teachers' levels as inputs of a student's graph.
---@return table<string, userdata[]> maps  per teacher and level (B, h, w, C_t)
function Source:maps(graph, batch)
  local maps = {}
  for _, s in ipairs(self.list) do
    maps[s.teacher.name] = {}
    for level, shape in ipairs(s.shapes) do
      maps[s.teacher.name][level] = graph:input(s.inputs[level], { batch, table.unpack(shape) })
    end
  end
  return maps
end

--- Says beside the features what they are, for `sak cache ls`.
local function describe(path, about)
  if not host.exists(path) then pcall(core.write, path, host.encode(about) .. "\n") end
end

--- Opens what is there of them.
function Source:open()
  local ctx = self.ctx
  local cfg, limits = ctx.cfg, ctx.cache_limits
  local root = ctx.results .. "/cache/features"
  for _, s in ipairs(self.list) do
    local parts = key_of(cfg, s.teacher, self.size, s.counts)
    local key = host.sha256(host.encode(parts))
    -- a folder that cannot be made: nothing is kept, and the run says so at its end
    if pcall(core.mkdir, root .. "/" .. key) then
      describe(("%s/%s/about.json"):format(root, key), { teacher = s.teacher.name, weights = s.teacher.source,
        dtype = cfg.cache.dtype, size = parts.size, depends_on = parts })
    end
    s.cache = core.features { root = root, key = key, type = cfg.cache.dtype, counts = s.counts,
      max_bytes = limits.gigabytes * 1e9, verify = limits.verify }
  end
end

--- Fills the inputs of maps() for the batch that the loader gave last, whose images are in the graph.
function Source:fill(loader, graph, batch)
  local begun = core.clock()
  for _, s in ipairs(self.list) do
    if s.cache:fill(loader, graph, batch, s.inputs) > 0 then
      s.load()
      s.cache:compute(s.graph, s.outputs, graph)
    end
  end
  self.seconds = self.seconds + core.clock() - begun
end

--- A loader whose batches bring the teachers' features along.
---@param loader userdata  with digests
---@param batch integer
function Source:with(loader, batch)
  local source = self
  local both = {}
  function both:next(graph)
    local valid, epoch = loader:next(graph)
    source:fill(loader, graph, batch)
    return valid, epoch
  end
  return setmetatable(both, { __index = function(_, name)
    return function(_, ...) return loader[name](loader, ...) end
  end })
end

--- Counts over all teachers, and what went wrong.
---@return {found: integer, computed: integer, compared: integer, differing: integer, damaged: integer, trouble: string?}
function Source:stats()
  local sum = {}
  for _, s in ipairs(self.list) do
    local stats = s.cache:stats()
    for _, key in ipairs { "found", "computed", "compared", "differing", "damaged" } do
      sum[key] = (sum[key] or 0) + stats[key]
    end
    sum.trouble = stats.trouble or sum.trouble
  end
  return sum
end

--- Says what the cache was good for, and what the steps waited for it. Not a metric: it depends on what ran before.
function Source:report(stage)
  local ctx, n = self.ctx, self:stats()
  local text = ("%s: teachers' features of %d images from the cache, %d computed, in %.3g s"):format(stage.name, n.found,
    n.computed, self.seconds)
  if n.compared > 0 then text = text .. (", %d compared"):format(n.compared) end
  ctx.run:event("info", "cache", ctx.step, text)
  local function warn(what)
    ctx.run:event("warn", "cache", ctx.step, stage.name .. ": " .. what)
    ctx.note(("warning: %s: %s"):format(stage.name, what))
  end
  if n.damaged > 0 then warn(("%d cached features were damaged and were computed again"):format(n.damaged)) end
  if n.differing > 0 then
    warn(("%d of %d cached features are not what the teachers compute now; they were replaced, but what "
      .. "earlier runs took from the cache cannot be trusted"):format(n.differing, n.compared))
  end
  if n.trouble then warn("new features were not kept: " .. n.trouble) end
end

function Source:close()
  for _, s in ipairs(self.list) do
    if s.cache then s.cache:close() end
    s.graph:close()
  end
end

return features
