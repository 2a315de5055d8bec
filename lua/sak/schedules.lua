--- Learning-rate schedules with the exact stepping of the published loops (sak-method.md section 5).
--- schedule(it) is the rate that iteration `it` (from 0) uses.

local schedules = {}

--- Linear warm-up from `warmup_init`, then half a cosine, then `min_lr`. t counts in the unit of
--- `warmup` and `total`; the warm-up is excluded from the cosine's length.
local function cosine_at(t, lr, total, warmup, min_lr, warmup_init)
  if t < warmup then return warmup_init + t * (lr - warmup_init) / warmup end
  t, total = t - warmup, total - warmup
  if t >= total then return min_lr end
  return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * t / total))
end

--- Cosine per iteration. The published loop steps the scheduler with the counter before its
--- increment: iterations 0 and 1 both run at cosine(0), iteration n at cosine(n - 1).
--- Per epoch the same lag, in epochs. `lag = false` gives the textbook schedule.
function schedules.cosine(c, lr, run)
  local lag = c.lag == false and 0 or 1
  local n = run.batches_per_epoch
  if c.per == "epoch" then
    local total = run.iterations / n
    return function(it)
      return cosine_at(math.max(it // n - lag, 0), lr, total, c.warmup, c.min_lr, c.warmup_init)
    end
  end
  return function(it)
    return cosine_at(math.max(it - lag, 0), lr, run.iterations, c.warmup * n, c.min_lr, c.warmup_init)
  end
end

--- (1 - it / iterations)^power, per iteration, down to 0.
function schedules.poly(c, lr, run)
  return function(it) return lr * (1 - it / run.iterations) ^ c.power end
end

function schedules.constant(_, lr)
  return function() return lr end
end

---@param c table  the resolved schedule: kind and its settings
---@param lr number  base rate
---@param run {iterations: integer, batches_per_epoch: number}
---@return fun(it: integer): number
function schedules.make(c, lr, run)
  return schedules[c.kind](c, lr, run)
end

return schedules
