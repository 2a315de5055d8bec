--- Which way a metric is better, where a script does not say: losses, errors and seconds are to fall.

local goal = {}

local falling = { "/loss$", "/kd/", "/task/", "/RMSE$", "/absRel$", "/mErr$", "/median$", "[^r]_s$" } -- images_per_s rises

---@param metric string  as in the views of the results database
---@return "min"|"max"
function goal.of(metric)
  for _, pattern in ipairs(falling) do
    if metric:find(pattern) then return "min" end
  end
  return "max"
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
