-- Stage 2 of experiments/three_teachers.lua, for arms that leave stage 1 out; alpha weighs distillation, and
-- another number of iterations makes up for the images of stage 1.
local sak = require "sak"

return function(alpha, iterations)
  return sak.multitask {
    iterations = iterations or 400, batch = 8, alpha = alpha, clip = 10,
    optim = sak.adamw { lr = 2e-3, weight_decay = 0.01 }, schedule = sak.poly {},
    augment = sak.augment { flip = 0.5 },
  }
end
