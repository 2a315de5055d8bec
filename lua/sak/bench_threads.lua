--- `sak bench threads`: what a second thread brings. One graph runs its steps alternately on one
--- thread and on all, so that a machine that is slower for a while is so for both.

local core = require "sak.core"
local host = require "sak.host"
local cases = require "sak.bench_cases"
local step = require "sak.bench_step"

local study = {}

function study.run(job, steps)
  local all = core.threads()
  local rows, notes = {}, {}
  for _, name in ipairs { "proxy_precomputed", "proxy" } do
    local s = step.open(cases[name], job) -- scratch for all threads
    local one, many, ratio = {}, {}, {}
    for i = 0, steps > 0 and steps or 5 do
      core.threads(1)
      local a = s.run()
      core.threads(all)
      local b = s.run()
      if i > 0 then one[i], many[i], ratio[i] = a, b, a / b end
    end
    s.close()
    rows[#rows + 1] = { case = name, threads = all, one_s = step.statistics(one), all_s = step.statistics(many),
      speedup = (step.statistics(ratio)) }
  end
  if all == 1 then notes[1] = "only one thread: nothing to compare (--threads)" end
  return { columns = host.array { "case", "threads", "one_s", "all_s", "speedup" }, rows = host.array(rows),
    notes = host.array(notes) }
end

return study
