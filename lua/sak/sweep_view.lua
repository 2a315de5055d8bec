--- What a sweep shows: on a terminal a table of its arms that is drawn again in place, elsewhere a line
--- per event; at the end what is left to do.

local core = require "sak.core"
local host = require "sak.host"
local layout = require "sak.sweep_table"
local spec = require "sak.spec"

local view = {}
local View = {}
View.__index = View

local function duration(seconds)
  if seconds < 90 then return ("%.0f s"):format(seconds) end
  if seconds < 5400 then return ("%.0f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

---@param sweep table
---@param runner table
---@param job table
function view.open(sweep, runner, job)
  return setmetatable({ sweep = sweep, runner = runner, job = job, live = job.tty and not job.quiet, drawn = 0, lines = {},
    start = core.clock() }, View)
end

--- What takes the table off the screen.  A terminal made narrower since has folded its lines, and one
--- made lower no longer has all of them.
function View:erase()
  if #self.lines == 0 then return "" end
  local columns, height = core.terminal()
  local n = math.min(layout.height(self.lines, columns), height - 1)
  self.lines = {}
  return ("\r\27[%dA\27[J"):format(n)
end

--- A line of its own above the table.
function View:line(text)
  if self.job.quiet then return end
  local lines = self.lines
  io.stderr:write(self:erase(), text, "\n", table.concat(lines, "\n"), #lines > 0 and "\n" or "")
  self.lines = lines
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

--- Seconds to the end, from the trials that are done and how long those that run have run.
function View:eta(rows)
  local seconds, n, left = 0, 0, self.runner.plan:total(rows) - #rows
  for _, t in ipairs(rows) do
    if t.seconds and t.state == "done" then seconds, n = seconds + t.seconds, n + 1 end
    if t.state == "queued" or t.state == "running" then left = left + 1 end
  end
  if n == 0 or left == 0 then return nil end
  local mean, now = seconds / n, core.clock()
  for _, w in ipairs(self.runner.workers) do left = left - math.min((now - w.began) / math.max(mean, 1e-9), 1) end
  return math.max(mean * left / self.runner.jobs, 0)
end

--- The last line: how far the whole sweep is.
function View:foot(rows, running)
  local n, failed = 0, 0
  for _, t in ipairs(rows) do
    if t.state ~= "queued" and t.state ~= "running" then n = n + 1 end
    if t.state == "failed" then failed = failed + 1 end
  end
  local eta = self:eta(rows)
  return ("%d of %d trials%s%s, %d running, %s so far"):format(n, self.runner.plan:total(rows),
    failed > 0 and (" (%d failed)"):format(failed) or "", eta and (", about %s left"):format(duration(eta)) or "",
    running, duration(core.clock() - self.start))
end

function View:draw(rows, running)
  local now = core.clock()
  if not self.live or now - self.drawn < 0.5 then return end
  self.drawn = now
  local columns, height = core.terminal()
  local lines = layout.lines(rows, self.sweep.objective, self.sweep.goal, self:foot(rows, running), columns, height)
  io.stderr:write(self:erase(), table.concat(lines, "\n"), "\n")
  self.lines = lines
end

function View:close()
  io.stderr:write(self:erase())
end

--- The sweep as one JSON object.
function view.json(sweep, state, rows)
  local trials, arms = host.array {}, host.array(layout.arms(rows))
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
---@param quiet boolean  no advice where nothing is wrong
function view.closing(store, sweep, rows, n, state, quiet)
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
  if state == "done" and not quiet then
    io.stderr:write(("next: sak compare %s, or to look at: sak report %s -o %s.html\n"):format(sweep.name, sweep.name, sweep.name))
  end
  if state == "stopped" or state == "paused" then
    io.stderr:write(("sweep '%s' %s with %d trials to go; go on with: sak resume %s\n"):format(sweep.name, state,
      n.left, sweep.name))
  end
end

return view
