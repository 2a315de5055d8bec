--- Which way a metric is better, where a script does not say: losses, errors and seconds are to fall.

local spec = require "sak.spec"

local goal = {}

--- What an evaluation measures, per task.
local measured = {
  semseg = { mIoU = "max", mIoU_present = "max", pixel_acc = "max" },
  human_parts = { mIoU = "max", mIoU_present = "max", pixel_acc = "max" },
  depth = { RMSE = "min", absRel = "min", delta1 = "max" },
  normals = { mErr = "min", median = "min", within_11 = "max", within_22 = "max", within_30 = "max" },
  sal = { maxF = "max", mIoU = "max" },
  edge = { odsF = "max", oisF = "max", AP = "max", ods_threshold = "max", loss = "min" },
}

---@param metric string  as in the views of the results database
---@return "min"|"max"
function goal.of(metric)
  local task, name = metric:match "^val/([^/]+)/([^/]+)$"
  if measured[task] then return measured[task][name] or "max" end
  local falls = metric:find "/loss$" or metric:find "/kd/" or metric:find "/task/" or metric:find "[^r]_s$" -- images_per_s rises
  return falls and "min" or "max"
end

--- What is wrong with a metric that names a task; nil if nothing, or nothing that can be known.
---@return string?
function goal.unknown(metric)
  local task, name = metric:match "^val/([^/]+)/([^/]+)$"
  if not measured[task] or measured[task][name] then return nil end
  local names = {}
  for own in pairs(measured[task]) do names[#names + 1] = own end
  table.sort(names)
  local near = spec.nearest(name, names)
  return ("'%s' is not measured; %s"):format(metric, near and ("did you mean 'val/%s/%s'?"):format(task, near)
    or ("of %s there are: %s"):format(task, table.concat(names, ", ")))
end

--- Why a metric cannot be followed while a run trains; nil if it can.
---@return string?
function goal.only_at_the_end(metric)
  if metric == "val/delta_m" or metric == "delta_m" then
    return "needs single-task runs of the same configuration and is known when they are done"
  elseif metric:find "^val/edge/" and not metric:find "loss$" then
    return "is matched in a run's last evaluation alone"
  end
end

return goal
