--- The closing table of a run: task metrics against trivial predictors and single-task runs.

local layout = require "sak.sweep_table"

local summary = {}

local function value_text(v) return v == v and ("%.4g"):format(v) or "-" end

--- Delta m of this run, when single-task runs of the same configuration are in the database.
local function delta_m(ctx)
  local rows = ctx.store:query("select delta_m from delta_m where run = ?1", ctx.id)
  return rows[1] and rows[1].delta_m
end

---@param trivial table [task] list of {name, value}
---@return string
function summary.text(ctx, trivial)
  local lines = { ("%-12s %-8s %10s %10s   %s"):format("task", "metric", "value", "trivial", "better is") }
  for _, task in ipairs(ctx.cfg.student.tasks) do
    for k, m in ipairs(ctx.result[task]) do
      local t = trivial[task] and trivial[task][k]
      if m.value == m.value then
        lines[#lines + 1] = ("%-12s %-8s %10s %10s   %s"):format(k == 1 and task or "", m.name,
          value_text(m.value) .. (m.unit == "%" and "%" or ""), t and value_text(t.value) or "-",
          m.goal == "max" and "higher" or "lower")
      end
    end
  end
  local d = delta_m(ctx)
  lines[#lines + 1] = d and ("delta_m %+.2f%% against single-task runs of the same configuration"):format(d)
    or "delta_m: no single-task runs of this configuration in the database yet"
  return table.concat(lines, "\n")
end

--- Arms of a sweep against the metric that stands for each task: mean and standard deviation over seeds.
---@return string
function summary.sweep(store, sweep)
  local rows = store:query([[select s.arm, s.cell, s.metric, s.goal, s.n, s.mean, s.sd from seed_stats s
    join metric_key k on k.name = s.metric where s.sweep = ?1 and k.task is not null order by
    (select min(t.n) from trial t join sweep w on w.id = t.sweep_id where w.name = s.sweep and t.arm = s.arm
      and t.cell is s.cell)]], sweep)
  local columns, lines, arms, seen = {}, {}, {}, {}
  for _, r in ipairs(rows) do
    local arm = r.cell and r.arm .. " " .. r.cell or r.arm
    if not lines[arm] then
      lines[arm] = {}
      arms[#arms + 1] = { label = arm, cell = r.cell }
    end
    lines[arm][r.metric] = r
    if not seen[r.metric] then
      seen[r.metric] = r.goal
      columns[#columns + 1] = r.metric
    end
  end
  table.sort(columns)
  local short, width = layout.short(arms), 24
  for _, a in ipairs(arms) do width = math.max(width, #short[a.label]) end
  local name = "%-" .. width .. "s %5s"
  local out = { name:format("arm", "seeds") }
  for _, c in ipairs(columns) do
    out[1] = out[1] .. ("  %18s"):format(c:gsub("^val/", "") .. (seen[c] == "max" and " +" or " -"))
  end
  for _, a in ipairs(arms) do
    local line, n = "", 0
    for _, c in ipairs(columns) do
      local r = lines[a.label][c]
      local text = "-"
      if r then
        n = math.max(n, r.n)
        text = r.sd and ("%.4g (sd %.2g)"):format(r.mean, r.sd) or ("%.4g"):format(r.mean)
      end
      line = line .. ("  %18s"):format(text)
    end
    out[#out + 1] = name:format(short[a.label], n) .. line
  end
  out[#out + 1] = "+ higher is better, - lower is better"
  return table.concat(out, "\n")
end

return summary
