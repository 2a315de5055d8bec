--- The closing table of a run: task metrics against trivial predictors and single-task runs.

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

return summary
