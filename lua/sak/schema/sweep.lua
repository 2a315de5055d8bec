--- Settings of ablations: arms, grids, samplers, stoppers and what decides.

local families = require "sak.schema.families"
local types = require "sak.types"

local family = families.family
local int, number, text, choice, list = types.int, types.number, types.text, types.choice, types.list
local map, either, spec, any = types.map, types.either, types.spec, types.any

local arm = family("arm", { doc = "an arm", single = true })
arm "arm" { doc = "One of the things compared; the first is the reference.",
  { "name", text {}, "what it is called; unique", required = true },
  { "note", text {}, "what it is for; for the reader, kept with the script" },
  { "set", map(any), "settings that differ from the base, by path", default = {} } }

-- What decides; every metric is stored whatever it says.
local goal = family("objective_metric", { doc = "an objective", single = true })
goal "objective" { doc = "The metric that decides: shown while a sweep runs, and what a sampler improves.",
  { "metric", text {}, "as in the views of the results database", default = "val/delta_m" },
  { "goal", choice { "max", "min" }, "which way is better; if not given, down for losses and errors, else up" } }

-- Values that a sampler may draw: sak.choice { 4, 8 }, sak.uniform { 0, 1 }.
local function prepare_distribution(raw, kind)
  if kind.by_name.values then
    if raw.values == nil then
      raw.values = {}
      for i, v in ipairs(raw) do raw.values[i] = v end
      for i = #raw, 1, -1 do raw[i] = nil end
    end
  else
    raw.low, raw.high = raw.low or raw[1], raw.high or raw[2]
    raw[1], raw[2] = nil, nil
  end
end

local distribution = family("distribution",
  { doc = "values to draw from", flat = true, prepare = prepare_distribution })
distribution "choice" { doc = "One of these, without an order: sak.choice { 4, 8, 16 }.",
  { "values", list(any, { min = 1 }), "the values" } }
distribution "uniform" { doc = "A number between two: sak.uniform { 0, 1 }.",
  { "low", number {}, "lower end", required = true }, { "high", number {}, "upper end", required = true } }
distribution "log_uniform" { doc = "A number between two, evenly by its logarithm: sak.log_uniform { 1e-5, 1e-2 }.",
  { "low", number { above = 0 }, "lower end", required = true },
  { "high", number { above = 0 }, "upper end", required = true } }
distribution "int_uniform" { doc = "A whole number between two, both included: sak.int_uniform { 2, 12 }.",
  { "low", int {}, "lower end", required = true }, { "high", int {}, "upper end", required = true } }

local sampler_fields = {
  { "trials", int { min = 1 }, "points of the space, each run with every seed", default = 20 },
  { "seed", int { min = 0 }, "of the draws", default = 0 },
}
local sampler = family("sampler", { doc = "a sampler", flat = true })
sampler "random" { doc = "Independent draws.", sampler_fields }
sampler "tpe" { doc = "Tree-structured Parzen estimator (Bergstra et al. 2011): draws where results were good.",
  sampler_fields,
  { "startup", int { min = 2 }, "random points before the first estimate", default = 8 },
  { "batch", int { min = 1 },
    "points proposed at once from the same results, so that these do not depend on --jobs", default = 4 },
  { "candidates", int { min = 1 }, "draws of a number of which the most promising is taken", default = 24 } }

local stopper_fields = {
  { "metric", text {}, "as logged while training; the objective's if not given" },
  { "goal", choice { "max", "min" }, "which way is better; if not given, as the objective, or as a metric of its own says" },
  { "grace", int { min = 1 }, "steps of a run, over all stages, before it may be ended", required = true },
}
local stopper = family("stopper", { doc = "an early stopper", flat = true })
stopper "median" { doc = "Ends a trial that is worse than the median of those before it.", stopper_fields,
  { "every", int { min = 1 }, "steps between decisions; grace if not given" },
  { "startup", int { min = 1 }, "trials that must have come as far before one is ended", default = 3 } }
stopper "asha" { doc = "Successive halving (Li et al. 2020): at steps grace, grace x factor, … the best 1/factor go on.",
  stopper_fields,
  { "factor", int { min = 2 }, "of those that come to a decision one in so many goes on", default = 3 } }

local ablation = family("ablation", { doc = "an ablation", single = true, curried = true })
ablation "ablation" { doc = "Arms x grid x seeds of a base experiment.",
  { "name", text {}, "what it is called", required = true },
  { "question", text {}, "what it answers; shown with its results" },
  { "base", either(text {}, spec "experiment"),
    "the experiment that is varied: its file, or itself", required = true },
  { "arms", list(spec "arm"),
    "things compared; the first is the reference", default = { { name = "base" } } },
  { "grid", map(list(any, { min = 1 })), "values to cross with the arms, by path", default = {} },
  { "seeds", list(int { min = 0 }, { min = 1 }),
    "one run each, paired across arms", default = { 0 } },
  { "space", map(spec "distribution"), "values to sample, by path; with a sampler", default = {} },
  { "sampler", spec "sampler", "draws points of the space, instead of a grid" },
  { "stopper", spec "stopper", "ends trials that promise little" },
  { "objective", spec "objective_metric", "what decides", default = {} },
  { "threads", int { min = 1 }, "worker threads of one run", runtime = true } }
