--- Runs the queued trials of a sweep, each in a process of its own.  This process alone writes the
--- database: workers write spools, which it reads.  A trial's state follows from its run, so whichever
--- process is killed, at whatever moment, the next one finds out what is left to do.

local checkpoint = require "sak.checkpoint"
local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local paths = require "sak.paths"
local plan = require "sak.sweep_plan"
local stopper = require "sak.stopper"
local summary = require "sak.summary"
local trials = require "sak.trial"
local view = require "sak.sweep_view"

local runner = {}

--- A worker that is killed this often under one sweep process is not killed by chance.
local DEATHS = 5

local Runner = {}
Runner.__index = Runner

--- Reads the trials again; after that, what a sampler now proposes is there too.
function Runner:refresh()
  self.rows = plan.trials(self.store, self.id, self.objective)
  local more = not self.ending and self.plan:missing(self.rows) or {}
  if #more > 0 then
    self.store:sweep_add(self.id, more)
    self.rows = plan.trials(self.store, self.id, self.objective)
  end
  self.by_id = {}
  for i, t in ipairs(self.rows) do
    t.rungs, t.place = self.rungs[t.id] or {}, i
    self.by_id[t.id] = t
  end
end

--- Decisions that a run of an earlier process came to: their values are in the database.
---@return number[]
function Runner:read_rungs(run)
  local list = {}
  for _, r in ipairs(self.store:query([[select k.name, l.value from metric_last l join metric_key k on k.id = l.key_id
    where l.run_id = ?1 and k.name glob 'sweep/rung[0-9]*']], run)) do
    list[math.tointeger(r.name:match "%d+$")] = r.value or 0 / 0
  end
  return list
end

function Runner:load_rungs()
  if not self.stopper then return end
  for _, t in ipairs(self.store:query("select id, run_id from trial where sweep_id = ?1 and state in ('done', 'pruned')", self.id)) do
    self.rungs[t.id] = t.run_id and self:read_rungs(t.run_id)
  end
end

-- Workers -----------------------------------------------------------------------------------------

function Runner:checkpoints(uid) return ("%s/runs/%s/checkpoints"):format(paths.folder(self.job.db), uid) end

--- The trial's earlier run, where that ended undone and left a checkpoint to go on from.
function Runner:interrupted_run(trial)
  local run = trial.run_id and self.store:query("select id, uid, state, attempts from run where id = ?1", trial.run_id)[1]
  if not run or run.state ~= "lost" and run.state ~= "stopped" then return nil end
  return checkpoint.any(self:checkpoints(run.uid)) and run or nil
end

function Runner:start(trial)
  local earlier = self:interrupted_run(trial)
  local uid = earlier and earlier.uid or core.run_uid()
  local log = ("%s/%d.log"):format(self.logs, trial.n)
  local child = core.spawn({ "trial", tostring(trial.id), uid, tostring(core.pid()), "--db", self.job.db, "--threads",
    tostring(self.threads), "--quiet", self.job.unsafe_lua and "--unsafe-lua" or nil }, log)
  self.rungs[trial.id] = earlier and self:read_rungs(earlier.id) or {}
  -- The worker waits for the line, so that it does nothing before the lease names it.
  local leased, got = pcall(self.store.trial_lease, self.store, trial.id, child:pid())
  if leased and got then
    self.collector:add(uid, earlier and earlier.attempts + 1 or 1)
    child:send "go"
  else
    child:dismiss()
    if not leased and not child:poll() then error(got, 0) end -- the database's fault, not a worker's that is gone
  end
  self.workers[#self.workers + 1] = { trial = trial, child = child, uid = uid, log = log, began = core.clock() }
  trial.state = "running"
  self.view:note(("trial %d of %d %s: %s, seed %d"):format(trial.n, self.plan:total(self.rows),
    earlier and "goes on" or "starts", trial.label, trial.seed))
end

--- The last line of a worker's log that says something.
local function last_words(log)
  local text, line = host.read(log) or "", nil
  for l in text:gmatch "[^\n]+" do
    if l:find "^error: " then line = l:gsub("^error: ", "") end
  end
  return line or text:match "([^\n]+)\n*$"
end

--- A worker has ended: its trial is what its run says, or queued again.
function Runner:ended(w, how, code)
  self.collector:step() -- all that it wrote, even while another process is taking it in
  self.collector:drop(w.uid)
  self.orphans = self.store:sweep_settle(self.id)
  local state = self.store:query("select state from trial where id = ?1", w.trial.id)[1].state
  if state == "queued" and not self.ending then
    local id = w.trial.id
    if how == "exit" and code ~= 130 then
      self.store:trial_fail(id, last_words(w.log) or ("its process ended with status %d; see %s"):format(code, w.log))
    elseif how == "signal" and code ~= 9 and code ~= 15 then
      self.store:trial_fail(id, ("its process crashed with signal %d; see %s"):format(code, w.log))
    else
      self.deaths[id] = (self.deaths[id] or 0) + 1
      if self.deaths[id] >= DEATHS then
        self.store:trial_fail(id, ("its process was killed %d times; out of memory? fewer --jobs need less"):format(DEATHS))
      end
    end
  end
  self:refresh()
  local t = self.by_id[w.trial.id]
  self.view:finished(t, self.rows)
  if t.state == "failed" and self.job.fail_fast then self:stop_all "a trial failed" end
end

--- Answers a worker that waits for a decision, once those before it have come as far.
function Runner:decide(w)
  local earlier, waits_for_none = {}, false
  for i = 1, w.trial.place - 1 do
    local t = self.rows[i]
    local failed = t.state == "failed" -- how far it came does not count
    earlier[i] = { over = t.state ~= "queued" and t.state ~= "running", rungs = not failed and self.rungs[t.id] or {} }
    waits_for_none = waits_for_none or t.state == "queued"
  end
  local verdict = stopper.verdict(self.stopper, w.rung, w.value, earlier)
  if verdict then
    w.child:send(verdict)
    w.rung = nil
  elseif self.ending and waits_for_none then
    w.child:stop() -- no further trial starts, so the one it waits for would never come
  end
end

function Runner:listen(w)
  for line in w.child.receive, w.child do
    local rung, value = line:match "^rung (%d+) (%S+)$"
    if rung then
      w.rung, w.value = math.tointeger(rung), tonumber(value) or 0 / 0
      w.trial = self.by_id[w.trial.id]
      self.rungs[w.trial.id][w.rung] = w.value
    end
  end
  if w.rung then self:decide(w) end
end

-- Ending ------------------------------------------------------------------------------------------

--- A worker that was killed between its run's last record and its end has left the checkpoints.
function Runner:tidy()
  for _, run in ipairs(self.store:query([[select t.id, r.uid from trial t join run r on r.id = t.run_id
    where t.sweep_id = ?1 and t.state in ('done', 'pruned')]], self.id)) do
    local folder = self:checkpoints(run.uid)
    if checkpoint.any(folder) then
      local ok, loaded = pcall(trials.load, self.store, run.id)
      if ok then checkpoint.tidy(folder, loaded.runtime.checkpoint) end -- else they stay, and harm nobody
    end
  end
end

--- Ends the trials after their current step; they will be repeated.
function Runner:stop_all(why)
  if self.ending == "now" then return end
  self.ending = "now"
  self.view:line(("%s: ending the current trials"):format(why))
  for _, w in ipairs(self.workers) do w.child:stop() end
end

--- Has someone asked this sweep to end?
function Runner:listen_to_stop()
  local state = self.store:query("select state from sweep where id = ?1", self.id)[1].state
  if state == "stopped" then
    self:stop_all "stopped"
  elseif state == "paused" and not self.ending then
    self.ending = "after"
    self.view:line "pausing: no further trial starts"
  end
end

function Runner:next_trial()
  for _, t in ipairs(self.rows) do
    if t.state == "queued" then return t end
  end
end

--- One round; false when there is nothing left to do.
function Runner:round()
  if core.interrupted() then self:stop_all "interrupted (once more exits at once)" end
  for i = #self.workers, 1, -1 do
    local w = self.workers[i]
    self:listen(w)
    local how, code = w.child:poll()
    if how then
      table.remove(self.workers, i)
      self:ended(w, how, code)
    end
  end
  local now = core.clock()
  if now - self.looked > 0.5 then
    self.looked = now
    self.collector:step()
    self:listen_to_stop()
    if self.orphans > 0 then -- workers of a sweep that was killed, winding down
      self.orphans = self.store:sweep_settle(self.id) - #self.workers
      self:refresh()
    end
  end
  local trial = not self.ending and self:next_trial()
  while trial and #self.workers + self.orphans < self.jobs do
    self:start(trial)
    trial = self:next_trial()
  end
  self.view:draw(self.rows, #self.workers)
  return #self.workers > 0 or not self.ending and (trial ~= nil or self.orphans > 0)
end

--- What has become of the sweep, and the exit status that says so.
function Runner:outcome()
  local n = { queued = 0, running = 0, done = 0, failed = 0, pruned = 0 }
  for _, t in ipairs(self.rows) do n[t.state] = n[t.state] + 1 end
  n.left = self.plan:total(self.rows) - n.done - n.failed - n.pruned
  -- what a sampler would have proposed next is no trial yet
  if self.ending and (n.queued + n.running > 0 or #self.plan:missing(self.rows) > 0) then
    return n, self.ending == "now" and "stopped" or "paused", n.failed > 0 and self.job.fail_fast and 1 or 130
  end
  return n, n.failed > 0 and "failed" or "done", n.failed > 0 and 1 or 0
end

---@param store userdata
---@param sweep {id: integer, name: string, objective: string, goal: string, spec: table, plan: table}  claimed
---@param job table
---@return integer status
function runner.run(store, sweep, job)
  local jobs = math.max(job.jobs, 1)
  local self = setmetatable({ store = store, id = sweep.id, plan = sweep.plan, objective = sweep.objective, job = job,
    jobs = jobs, threads = math.max(core.threads() // jobs, 1), workers = {}, rungs = {}, deaths = {}, looked = 0,
    logs = ("%s/sweeps/%s"):format(paths.folder(job.db), sweep.name) }, Runner)
  self.stopper = sweep.spec.stopper and stopper.complete(sweep.spec.stopper, sweep.objective, sweep.goal)
  self.orphans = store:sweep_settle(sweep.id)
  self:load_rungs()
  self:refresh()
  core.mkdir(self.logs)
  local collector <close> = core.collector(store)
  self.collector = collector
  self.view = view.open(sweep, self, job)
  self.view:begin(self.rows)
  local ok, message = pcall(function()
    while self:round() do core.sleep(0.03) end
  end)
  self.view:close()
  if not ok then
    for _, w in ipairs(self.workers) do w.child:stop() end
    store:sweep_leave(sweep.id, "failed")
    error(message, 0)
  end
  self:tidy()
  local n, state, status = self:outcome()
  store:sweep_leave(sweep.id, state)
  if job.json then
    print(view.json(sweep, state, self.rows))
  else
    print(summary.sweep(store, sweep.name))
  end
  view.closing(store, sweep, self.rows, n, state, job.quiet or job.json)
  return status
end

return runner
