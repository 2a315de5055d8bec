--- Finished stages, kept by all that decides about their weights: a run whose stage was trained before,
--- by whichever run, goes on from there, bit for bit as if it had trained it.
---
--- In cache/stages beside the database: <key>.safetensors and, written after it, <key>.json with its
--- hash, what was logged at every step, and whose it was; <key>.lock while a run is training it, for which
--- others wait.

local core = require "sak.core"
local features = require "sak.features"
local host = require "sak.host"
local identity = require "sak.identity"
local train = require "sak.train"
local weights = require "sak.weights"

local shared_stage = {}

--- Parts of a student that a distill stage does not build, or that only say where it starts from, which
--- its initial values tell.
local elsewhere = { router = true, head = true, tasks = true, weights = true, key = true }

local function without(t, names)
  local rest = {}
  for k, v in pairs(t) do
    if not names[k] then rest[k] = v end
  end
  return rest
end

--- All that decides about the weights after a stage.
local function depends_on(ctx, stage, made, data_identity)
  local cfg, teachers = ctx.cfg, host.array {}
  for i, t in ipairs(ctx.teachers) do
    teachers[i] = { name = t.name, weight = t.weight, features = features.depends_on(t) }
  end
  return { format = 1, code = identity.code(), kernels = identity.kernels(cfg.precision), graph = made.graph:hash(),
    start = made.params:hash(), stage = stage, student = without(cfg.student, elsewhere), model = cfg.model,
    teachers = teachers, data = stage.data or cfg.data, data_identity = data_identity, seed = cfg.seed,
    precision = cfg.precision, engine = cfg.engine, cache = cfg.cache, on_nan = cfg.on_nan, checkpoint = cfg.checkpoint }
end

local Shared = {}
Shared.__index = Shared

--- The place of a stage whose parameters hold what it begins with; nil where stages are not shared.
--- Only those without labels, evaluations and so on are, and not the last one.
---@param data userdata  the training images
---@return table?
function shared_stage.open(ctx, stage, made, data)
  if not ctx.share_stages or ctx.resume or stage.kind ~= "distill" or ctx.stage_index == #ctx.cfg.stages then return nil end
  local parts = depends_on(ctx, stage, made, data:info().identity)
  local key = host.sha256(host.encode(parts))
  local folder = ctx.results .. "/cache/stages"
  return setmetatable({ ctx = ctx, stage = stage, made = made, parts = parts, key = key, folder = folder,
    path = ("%s/%s.safetensors"):format(folder, key), note = ("%s/%s.json"):format(folder, key),
    lock_path = ("%s/%s.lock"):format(folder, key), values = {} }, Shared)
end

--- What is noted of a finished stage; nil if nothing, or nothing whole, is there.
---@return table?
function shared_stage.read(note)
  local sum, body = (host.read(note) or ""):match "^(%x+)\n(.*)$"
  if not sum or host.sha256(body) ~= sum then return nil end
  return host.decode(body)
end

--- Takes over what another run trained, if it is there and whole.
---@return boolean taken
function Shared:take()
  local found = shared_stage.read(self.note)
  if not found or not pcall(function() assert(host.sha256_file(self.path) == found.weights_sha256) end) then return false end
  local loaded = pcall(function()
    local file <close> = core.weights(self.path)
    weights.load_all(self.made.params, file, { where = self.path })
  end)
  if not loaded then -- it went while it was read: as if it had not been there
    return false
  end
  core.touch(self.note)
  self.found = found
  return true
end

--- Takes the stage over, waiting for a run that is training it now; else this run trains it, and others
--- wait until it has, has failed, or is gone.  Trials that a stopper watches do not wait: one that is asked
--- in its stage 1 waits itself, perhaps for the one that would wait for it.
---@return "taken" | "train" | "stopped"
function Shared:claim()
  local ctx, told = self.ctx, false
  if self:take() then return "taken" end
  if ctx.at_step or not pcall(core.mkdir, self.folder) then return "train" end
  while not core.interrupted() do
    local lock, holder = core.lock(self.lock_path, ctx.uid)
    if lock and self:take() then -- finished just before
      lock:close()
      return "taken"
    elseif lock then
      self.lock = lock
      return "train"
    elseif not told then
      told = true
      local text = ("%s: run %s is training the same stage; waiting for it"):format(self.stage.name,
        holder ~= "" and holder or "of another process")
      ctx.run:event("info", "shared_stage", ctx.step, text)
      ctx.note(text)
    end
    ctx.run:tick()
    core.sleep(0.1)
  end
  return "stopped"
end

--- Lets those go on that wait for this run.
function Shared:release()
  if self.lock then self.lock:close() end
  self.lock = nil
end

Shared.__close = Shared.release

--- Logs what the stage logged, step by step.
---@return boolean go_on
function Shared:tell()
  local ctx, found, name = self.ctx, self.found, self.stage.name
  local text = ("%s: not trained but taken from run %s (%s, seed %d), which trained it with the same data, teachers, "
    .. "student and settings; its metrics are that run's"):format(name, found.run, found.experiment, found.seed)
  ctx.run:event("info", "shared_stage", ctx.step, text)
  ctx.run:tag("shared:" .. name, found.run)
  ctx.note(text)
  local series = {}
  for i, s in ipairs(found.series) do
    series[i] = { name = name .. "/" .. s.name, values = s.values:gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end) }
  end
  for k = 0, found.iterations - 1 do
    for _, s in ipairs(series) do ctx.run:log(s.name, ctx.step, (string.unpack("<d", s.values, 8 * k + 1))) end
    ctx.step = ctx.step + 1
    ctx.run:tick()
    if core.interrupted() or ctx.at_step and not ctx.at_step(ctx) then return false end
  end
  ctx.run:flush()
  return true
end

--- One value of a step; the same names at every step.
function Shared:record(name, value)
  local list = self.values[name] or {}
  self.values[name] = list
  list[#list + 1] = value
end

--- Everything as hexadecimal digits of doubles; nil if something was not finite or not logged at every step.
function Shared:series(iterations)
  local names, list = {}, host.array {}
  for name in pairs(self.values) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local values, packed = self.values[name], {}
    for k, x in ipairs(values) do
      if x ~= x or math.abs(x) == math.huge then return nil end
      packed[k] = ("%016x"):format((string.unpack(">I8", string.pack("<d", x))))
    end
    if #values ~= iterations then return nil end
    list[i] = { name = name, values = table.concat(packed) }
  end
  return list
end

--- Keeps what this run has trained from the stage's first step on. Whatever fails costs a later saving.
---@param loop Loop
function Shared:keep(loop)
  self:write(loop)
  self:release()
end

function Shared:write(loop)
  local series = loop.at.rewinds == 0 and train.bad(loop) == 0 and self:series(loop.iterations)
  if not series then return end
  local ctx = self.ctx
  local ok, message = pcall(function()
    core.mkdir(self.folder)
    self.made.params:save(self.path, { stage = self.stage.name, key = self.key })
    local body = host.encode { key = self.key, run = ctx.uid, experiment = ctx.cfg.name, seed = ctx.cfg.seed,
      stage = self.stage.name, iterations = loop.iterations, series = series, code = identity.code(),
      depends_on = self.parts, weights_sha256 = host.sha256_file(self.path) }
    core.write(self.note, host.sha256(body) .. "\n" .. body)
    shared_stage.trim(self.folder, (ctx.cache_limits and ctx.cache_limits.gigabytes or 10) * 1e9)
  end)
  if not ok then ctx.run:event("warn", "shared_stage", ctx.step, "the stage is not kept for other runs: " .. tostring(message)) end
end

--- The finished stages of a folder, those used longest ago first.
---@return {key: string, bytes: integer, used: integer, remove: fun()}[]
function shared_stage.list(folder)
  local list = {}
  for _, name in ipairs(core.files(folder)) do
    local key = name:match "^(%x+)%.safetensors$"
    if key then
      local path, note = ("%s/%s"):format(folder, name), ("%s/%s.json"):format(folder, key)
      local info, other = core.file_info(path), core.file_info(note)
      list[#list + 1] = { key = key, note = note, bytes = (info and info.bytes or 0) + (other and other.bytes or 0),
        used = (other or info or { used = 0 }).used, remove = function() os.remove(note) os.remove(path) end }
    end
  end
  table.sort(list, function(a, b)
    if a.used ~= b.used then return a.used < b.used end
    return a.key < b.key
  end)
  return list
end

--- Removes those that were used longest ago until at most `max` bytes are left, and what killed runs locked.
function shared_stage.trim(folder, max)
  for _, name in ipairs(core.files(folder)) do
    local lock = name:find "%.lock$" and core.lock(("%s/%s"):format(folder, name), "")
    if lock then lock:close() end
  end
  local list, bytes = shared_stage.list(folder), 0
  for _, e in ipairs(list) do bytes = bytes + e.bytes end
  for _, e in ipairs(list) do
    if bytes <= max then return end
    e.remove()
    bytes = bytes - e.bytes
  end
end

return shared_stage
