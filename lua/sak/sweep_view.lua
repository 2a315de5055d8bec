--- What a sweep shows: on a terminal a table of its arms that is drawn again in place, elsewhere a line
--- per event; at the end what is left to do.

local core = require "sak.core"
local host = require "sak.host"
local spec = require "sak.spec"

local view = {}
local View = {}
View.__index = View

local ROWS = 24 -- of the live table

local function duration(seconds)
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  if seconds < 5400 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

--- Arms (with their place in the grid) in order of appearance, with counts, mean and sd.
---@return {label: string, arm: string, cell: string?, done: integer, running: integer, failed: integer, pruned: integer, queued: integer, n: integer, mean: number?, sd: number?}[]
function view.arms(rows)
  local list, by = {}, {}
  for _, t in ipairs(rows) do
    local a = by[t.label]
    if not a then
      a = { label = t.label, arm = t.arm, cell = t.cell, done = 0, running = 0, failed = 0, pruned = 0, queued = 0,
        values = {} }
      by[t.label] = a
      list[#list + 1] = a
    end
    a[t.state] = a[t.state] + 1
    if t.value then a.values[#a.values + 1] = t.value end
  end
  for _, a in ipairs(list) do
    local sum, square = 0, 0
    a.n = #a.values
    for _, v in ipairs(a.values) do sum = sum + v end
    if a.n > 0 then a.mean = sum / a.n end
    for _, v in ipairs(a.values) do square = square + (v - a.mean) ^ 2 end
    if a.n > 1 then a.sd = math.sqrt(square / (a.n - 1)) end
    a.values = nil
  end
  return list
end

---@param sweep table
---@param runner table
---@param job table
function view.open(sweep, runner, job)
  return setmetatable({ sweep = sweep, runner = runner, job = job, live = job.tty and not job.quiet, drawn = 0, lines = 0,
    start = core.clock() }, View)
end

function View:clear()
  if self.lines > 0 then io.stderr:write(("\r\27[%dA\27[J"):format(self.lines)) end
  self.lines = 0
end

--- A line of its own above the table.
function View:line(text)
  if self.job.quiet then return end
  self:clear()
  io.stderr:write(text, "\n")
end

--- A line where there is no table to tell the same.
function View:note(text)
  if not self.live then self:line(text) end
end

function View:begin(rows)
  local n = { queued = 0, running = 0, done = 0, failed = 0, pruned = 0 }
  for _, t in ipairs(rows) do n[t.state] = n[t.state] + 1 end
  local total = self.runner.plan:total(rows)
  self:line(("sweep '%s': %d trials, %d done%s, %d at a time with %d thread%s each"):format(self.sweep.name, total, n.done,
    n.failed > 0 and (", %d failed"):format(n.failed) or "", self.runner.jobs, self.runner.threads,
    self.runner.threads == 1 and "" or "s"))
end

local ends = { done = "done", failed = "failed", pruned = "ended early", queued = "not finished, queued again" }

function View:finished(t, rows)
  self.last = nil
  local text = ("trial %d of %d %s: %s, seed %d"):format(t.n, self.runner.plan:total(rows), ends[t.state] or t.state, t.label, t.seed)
  if t.value then text = ("%s, %s %.4g"):format(text, self.sweep.objective, t.value) end
  if t.state == "failed" then
    self:line(("%s: %s"):format(text, t.error or "no reason was recorded"))
  else
    local eta = self:eta(rows)
    self:note(eta and ("%s; %s left"):format(text, duration(eta)) or text)
  end
end

--- Seconds to the end, from the trials that are done.
function View:eta(rows)
  local seconds, n, left = 0, 0, self.runner.plan:total(rows) - #rows
  for _, t in ipairs(rows) do
    if t.seconds and t.state == "done" then seconds, n = seconds + t.seconds, n + 1 end
    if t.state == "queued" or t.state == "running" then left = left + 1 end
  end
  if n == 0 or left == 0 then return nil end
  return seconds / n * left / self.runner.jobs
end

--- The table of arms as lines.
function View:table(rows, running)
  local arms, width = view.arms(rows), 3
  for _, a in ipairs(arms) do width = math.min(math.max(width, #a.label), 40) end
  local lines = { ("%-" .. width .. "s  done  run  fail  %s"):format("arm", self.sweep.objective) }
  for i, a in ipairs(arms) do
    if i > ROWS then
      lines[#lines + 1] = ("… and %d more"):format(#arms - ROWS)
      break
    end
    local value = a.mean and (a.sd and ("%.4g ± %.2g"):format(a.mean, a.sd) or ("%.4g"):format(a.mean)) or "-"
    lines[#lines + 1] = ("%-" .. width .. "s  %4d  %3d  %4d  %s"):format(a.label:sub(1, width), a.done, a.running, a.failed, value)
  end
  local eta = self:eta(rows)
  lines[#lines + 1] = ("%d running, %s so far%s"):format(running, duration(core.clock() - self.start),
    eta and (", about %s left"):format(duration(eta)) or "")
  return lines
end

function View:draw(rows, running)
  local now = core.clock()
  if not self.live or now - self.drawn < 0.5 then return end
  self.drawn = now
  local lines = self:table(rows, running)
  self:clear()
  io.stderr:write(table.concat(lines, "\n"), "\n")
  io.stderr:flush()
  self.lines = #lines
end

function View:close() self:clear() end

--- The sweep as one JSON object.
function view.json(sweep, state, rows)
  local trials, arms = host.array {}, host.array(view.arms(rows))
  for i, t in ipairs(rows) do
    trials[i] = { n = t.n, arm = t.arm, cell = t.cell, seed = t.seed, state = t.state, attempts = t.attempts,
      run = t.run_id, error = t.error, value = t.value }
  end
  return host.encode { sweep = sweep.name, state = state, objective = { metric = sweep.objective, goal = sweep.goal },
    trials = trials, arms = arms }
end

--- An objective that nothing logs decides nothing: says what there is instead.
local function check_objective(store, sweep, rows)
  local done
  for _, t in ipairs(rows) do
    if t.value then return end
    done = done or t.state == "done" and t.run_id
  end
  if not done or sweep.objective == "val/delta_m" then return end -- which needs single-task runs
  local names = {}
  for i, r in ipairs(store:query("select metric from finals where run = ?1 order by metric", done)) do names[i] = r.metric end
  local near = spec.nearest(sweep.objective, names)
  io.stderr:write(("warning: no trial has logged the objective '%s'%s\n"):format(sweep.objective,
    near and ("; did you mean '%s'?"):format(near) or "; `sak show @last` lists what is logged"))
end

--- What is left to do, on stderr.
function view.closing(store, sweep, rows, n, state)
  check_objective(store, sweep, rows)
  if n.failed > 0 then
    local seen, shown = {}, 0
    for _, t in ipairs(rows) do
      if t.state == "failed" and not seen[t.error or ""] and shown < 5 then
        seen[t.error or ""], shown = true, shown + 1
        io.stderr:write(("error: %s, seed %d: %s\n"):format(t.label, t.seed, t.error or "no reason was recorded"))
      end
    end
    io.stderr:write(("%d of %d trials failed; try them again with: sak retry %s\n"):format(n.failed, #rows, sweep.name))
  end
  if state == "stopped" or state == "paused" then
    io.stderr:write(("sweep '%s' %s with %d trials to go; go on with: sak resume %s\n"):format(sweep.name, state,
      n.queued + n.running, sweep.name))
  end
end

return view
