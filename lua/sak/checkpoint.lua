--- Checkpoints of a run: when they are saved, which files are kept, and which one is gone back to.
---
--- A checkpoint is what there is after `iteration` steps of a stage, before anything that is logged at
--- the step which follows: a resumed run evaluates again where an evaluation was due.  The files lie
--- in the run's folder, checkpoints/s<stage>-<step>.safetensors; values under the parameters' own
--- names, so that any of them is a weight file too.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local train = require "sak.train"

local checkpoint = {}

local Keeper = {}
Keeper.__index = Keeper

--- Files of a folder, oldest first.
---@return {path: string, stage: integer, step: integer}[]
local function entries(folder)
  local list = {}
  for _, name in ipairs(core.files(folder)) do
    local stage, step = name:match "^s(%d+)%-(%d+)%.safetensors$"
    if stage then
      list[#list + 1] = { path = folder .. "/" .. name, stage = math.tointeger(stage), step = math.tointeger(step) }
    end
  end
  table.sort(list, function(a, b)
    if a.stage ~= b.stage then return a.stage < b.stage end
    return a.step < b.step
  end)
  return list
end

--- An intact checkpoint of this configuration, or nil and why it is not one.
---@return userdata? file, table|string state, boolean? sound  it may be one, but not here or now
local function open(path, config_sha256)
  local file, state, sound = core.checkpoint(path)
  if not file then return nil, state, sound end
  state = host.decode(state)
  if state.config_sha256 == config_sha256 then return file, state end
  file:close()
  return nil, path .. ": a checkpoint of another configuration"
end

--- Puts aside what cannot be used, under a name that is not looked at again.
local function reject(path)
  os.remove(path .. ".refused")
  os.rename(path, path .. ".refused")
end

--- The latest usable checkpoint of a run's folder; what was refused on the way there is put aside.
--- Raises where that would lose work: the latest one is sound but cannot be read here or now.
---@return {file: userdata, state: table, path: string}? found
---@return string[] refused
function checkpoint.latest(folder, config_sha256)
  local refused, list = {}, entries(folder)
  for i = #list, 1, -1 do
    local file, state, sound = open(list[i].path, config_sha256)
    if file then return { file = file, state = state, path = list[i].path }, refused end
    if sound then error(failure.new(1, state)) end
    refused[#refused + 1] = state
    reject(list[i].path)
  end
  return nil, refused
end

checkpoint.open, checkpoint.list = open, entries

--- Is there anything to go on from?
function checkpoint.any(folder) return #entries(folder) > 0 end

--- Gives a loop the values, moments and position of a checkpoint.
---@param loop Loop  with its optimiser
function checkpoint.restore(loop, file, state)
  for i = 1, #loop.sets, 2 do core.restore(file, loop.sets[i], loop.sets[i + 1]) end
  loop.optim:updates(state.updates)
  local at = loop.at
  at.iteration, at.offset, at.rewinds, at.skips = state.iteration, state.offset, state.rewinds, state.skips
  at.seconds, at.wait, at.bad, at.stall = state.seconds, state.wait, state.bad, state.stall
  loop.loader:seek(state.iteration + state.offset)
end

---@param ctx table  the run's context
---@param spec table  resolved checkpoint settings
function checkpoint.keeper(ctx, spec)
  local self = setmetatable({ ctx = ctx, spec = spec, folder = ctx:path "checkpoints", writer = core.checkpointer(),
    saved_at = core.clock(), rewinding = ctx.cfg.on_nan == "rewind" }, Keeper)
  for _, name in ipairs(core.files(self.folder)) do -- of an attempt that was killed while writing
    if name:find "%.tmp%-%d+%-%d+$" then os.remove(self.folder .. "/" .. name) end
  end
  return self
end

function Keeper:warn(text)
  self.ctx.run:event("warn", "checkpoint", self.ctx.step, text)
  if self.warned ~= text then self.ctx.note("warning: " .. text) end
  self.warned = text
end

--- Is this a step that a run may be rewound to?  It must not depend on the clock.
function Keeper:is_rewind_point(iteration)
  return self.rewinding and (iteration == 0 or self.ctx.step % self.spec.every == 0)
end

--- Drops all checkpoints but the latest `keep`, those kept for good, and one that is asked for.
local function prune(folder, spec, keep, wanted)
  local list = entries(folder)
  for i = 1, #list - keep do
    local e = list[i]
    local archived = spec.keep_every > 0 and e.step % spec.keep_every == 0
    if not archived and e.path ~= wanted then os.remove(e.path) end
  end
end

--- Once a run stands as done in the database, its best checkpoint and those kept for good remain.
---@param spec table  resolved checkpoint settings
function checkpoint.tidy(folder, spec)
  prune(folder, spec, 0)
  if #core.files(folder) == 0 then os.remove(folder) end
end

--- Learns what became of the file that was being written; with wait, once it is there.
function Keeper:collect(wait)
  local r = self.writer:result(wait)
  if not r then return end
  if r.error then
    self:warn(("no checkpoint: %s; the run goes on, the one before it stays"):format(r.error))
  else
    if r.path == self.rewind_next then self.rewind_path = r.path end
    prune(self.folder, self.spec, self.spec.keep, self.rewind_path)
  end
end

local function place(stage, step) return stage .. ":" .. step end

--- Is the state at this step of this stage saved already?
function Keeper:saved_here() return self.saved == place(self.ctx.stage_index, self.ctx.step) end

--- Should one be saved before the next step?
function Keeper:due(iteration)
  local spec = self.spec
  if self:saved_here() then return false end
  if spec.every > 0 and self.ctx.step % spec.every == 0 or self:is_rewind_point(iteration) then return true end
  return spec.every_s > 0 and core.clock() - self.saved_at >= spec.every_s and not self.writer:busy()
end

--- Begins to save what there is after `iteration` steps of the loop's stage.
---@param name? string  of the file
function Keeper:save(loop, iteration, name)
  local ctx, at, begun, read = self.ctx, loop.at, core.clock(), loop.loader:stats()
  self:collect(true)
  -- what is logged must be on the disk first: a resumed run does not repeat it
  local ok, message = ctx.run:flush_to_disk()
  if ok then
    ok, message = pcall(function()
      core.mkdir(self.folder)
      local path = ("%s/%s"):format(self.folder, name or ("s%02d-%09d.safetensors"):format(ctx.stage_index, ctx.step))
      self.writer:save(path, host.encode { run = ctx.uid, config_sha256 = ctx.config_sha256,
        sak_version = core.version(), stage = ctx.stage_index, name = loop.name, iteration = iteration,
        step = ctx.step, updates = loop.optim:updates(), offset = at.offset, rewinds = at.rewinds,
        skips = at.skips, seconds = at.seconds + (loop.begun and begun - loop.begun or 0),
        wait = at.wait + read.wait_s, bad = train.bad(loop), stall = at.stall, best = self.best }, loop.sets)
      if not name and self:is_rewind_point(iteration) then self.rewind_next = path end
    end)
  end
  if not ok then self:warn(("no checkpoint: %s; the run goes on, the one before it stays"):format(message)) end
  self.saved_at = core.clock()
  if not name then self.saved = place(ctx.stage_index, ctx.step) end
  at.stall = at.stall + self.saved_at - begun
end

--- Saves the best evaluation so far.
---@param result table  of evaluate.run
function Keeper:offer(result, loop, iteration)
  local names = {}
  for task, list in pairs(result) do
    for _, m in ipairs(list) do
      names[#names + 1] = ("val/%s/%s"):format(task, m.name)
      local better = not self.best or m.goal == "max" and m.value > self.best.value
        or m.goal == "min" and m.value < self.best.value
      if names[#names] == self.spec.best and m.value == m.value and better then
        self.best = { value = m.value, step = self.ctx.step }
        self:save(loop, iteration, "best.safetensors")
      end
    end
  end
  if not self.spec.best or self.looked then return end
  self.looked = true
  for _, name in ipairs(names) do
    if name == self.spec.best then return end
  end
  table.sort(names)
  self:warn(("checkpoint.best: there is no '%s' among %s"):format(self.spec.best, table.concat(names, ", ")))
end

--- Takes up the state of a run that goes on.
function Keeper:resume(found)
  self.best, self.saved = found.state.best, place(found.state.stage, found.state.step)
  if not self.rewinding then return end
  local list = entries(self.folder)
  for i = #list, 1, -1 do
    local file, state = open(list[i].path, self.ctx.config_sha256)
    if file then file:close() end
    if file and state.stage == found.state.stage and (state.iteration == 0 or state.step % self.spec.every == 0) then
      self.rewind_path = list[i].path
      return
    end
  end
end

--- Goes back to the last rewind point and on with the data that follow the offending batch.
---@param iteration integer  the offending one
---@return string? problem
function Keeper:rewind(loop, iteration)
  self:collect(true)
  local file, state
  if self.rewind_path then file, state = open(self.rewind_path, self.ctx.config_sha256) end
  if not file then return state or "there is no checkpoint to go back to" end
  if state.stage ~= self.ctx.stage_index then -- this stage's could not be written
    file:close()
    return "there is no checkpoint of this stage to go back to"
  end
  local at, stall = loop.at, loop.at.stall
  local offset, rewinds, seconds, wait, bad = at.offset, at.rewinds, at.seconds, at.wait, at.bad
  checkpoint.restore(loop, file, state)
  file:close()
  at.offset = offset + iteration + 1 - state.iteration
  at.rewinds, at.seconds, at.wait, at.bad, at.stall = rewinds + 1, seconds, wait, bad, stall
  loop.loader:seek(at.iteration + at.offset)
  self.ctx.step, self.saved = state.step, place(state.stage, state.step)
end

--- At the end of an attempt, before its run is finished.
function Keeper:close()
  self:collect(true)
  self.writer:close()
  local best = self.folder .. "/best.safetensors"
  if host.exists(best) == "file" then self.ctx.run:artifact(best, "checkpoint") end
end

function Keeper:tidy() checkpoint.tidy(self.folder, self.spec) end

return checkpoint
