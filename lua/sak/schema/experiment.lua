--- Settings of an experiment as a whole, of its evaluation, execution, cache and checkpoints.

local families = require "sak.schema.families"
local types = require "sak.types"

local family, schema = families.family, families.schema
local int, number, text, bool, choice = types.int, types.number, types.text, types.bool, types.choice
local list, either, spec = types.list, types.either, types.spec

local evaluation = family("eval", { doc = "evaluation", single = true, flat = true })
evaluation "eval" { doc = "When and how predictions are scored.",
  { "every", int { min = 0 },
    "steps between evaluations; 0: only at the end of a stage", default = 0 },
  { "batch", int { min = 1 }, "images at once", default = 16 },
  { "images", int { min = 0 }, "validation images on the prediction sheets", default = 8 },
  { "edge_protocol", choice { "plain", "seism", "bsds" },
    "how edges are scored (sak-method.md, section 6)", default = "plain" },
  { "edge_max_dist", number { above = 0, below = 1 },
    "matching radius over the image diagonal; 0.0075 on PASCAL-Context", default = 0.011 } }

local engine = family("engine", { doc = "how graphs are executed", single = true, flat = true })
engine "engine" { doc = "How graphs are executed; results agree up to rounding.",
  { "rewrite", bool, "replace operations by cheaper equal ones: a convolution of a resized map by one before resizing",
    default = true },
  { "checkpoint", choice { "none", "blocks" },
    "blocks: keep the inputs of blocks, adapters, routers and heads only, and compute the rest again for the gradient; the same bits in less memory",
    default = "none" } }

local cache = family("cache", { doc = "the cache of teachers' features", single = true, flat = true })
cache "cache" { doc = "Teachers' features, computed once per image and view and shared by all runs beside one database.",
  { "views", int { min = 1 },
    "views of each training image, mirrored ones apart, where a stage's augment does not say", default = 4 },
  { "dtype", choice { "fp16", "bf16", "fp32" }, "what features are rounded to, cached or not", default = "fp16" },
  { "gigabytes", number { above = 0 }, "what was used longest ago is removed beyond that", default = 10 },
  { "verify", number { min = 0, max = 1 }, "share of what is found that is computed again and compared", default = 0 } }

local keeping = family("checkpoint", { doc = "checkpoints", single = true, flat = true })
keeping "checkpoint" { doc = "When a run saves all it needs to go on, besides the end of every stage, and what is kept.",
  { "every_s", number { min = 0 }, "seconds between two; 0: none by the clock", default = 60 },
  { "every", int { min = 0 }, "steps between two; 0: none by steps", default = 0 },
  { "keep", int { min = 1 }, "latest ones kept, until the run is done", default = 2 },
  { "keep_every", int { min = 0 }, "those at multiples of so many steps are kept for good; 0: none", default = 0 },
  { "best", text {}, "metric whose best evaluation is kept as best.safetensors, for instance val/semseg/mIoU" } }

--- The radius within which edges match is the data's.
local function scoring(node)
  local own = node.data and schema.edge_scoring[node.data.kind]
  return own and { edge_max_dist = own.max_dist }
end

--- cache = true: with its defaults; false: as if it were not there.
local function prepare_experiment(raw)
  if raw.cache == true then raw.cache = {} elseif raw.cache == false then raw.cache = nil end
end

local experiment = family("experiment",
  { doc = "an experiment", single = true, curried = true, prepare = prepare_experiment })
experiment "experiment" { doc = "Data, teachers, student and the stages that train it.",
  { "name", text {}, "what it is called", required = true },
  { "note", text {}, "why it is run; for the reader, kept with the script" },
  { "data", spec "data", "images and labels", required = true },
  { "teachers", list(spec "teacher"), "the committee, in this order", default = {} },
  { "student", spec "student", "what is trained", required = true },
  { "model", choice(schema.models), "the method, or the baseline built instead", default = "sak" },
  { "stages", list(spec "stage", { min = 1 }), "one after the other", required = true },
  { "eval", spec "eval", "evaluation", default = {}, place = scoring },
  { "engine", spec "engine", "how graphs are executed", default = {} },
  { "precision", choice { "fp32", "bf16" },
    "bf16: products round their operands to bfloat16 and sum in float; all else is float",
    default = "fp32" },
  { "cache", either(bool, spec "cache"),
    "keep teachers' features and take them from there; true: with its defaults (off if not given)" },
  { "checkpoint", spec "checkpoint", "when the run is saved", default = {}, runtime = true },
  { "on_nan", choice { "stop", "skip", "rewind" },
    "a loss or gradient that is not finite ends the run (if not given); or its batch is left out; or the run goes back to the last multiple of checkpoint.every steps and on with the data after that batch" },
  { "seed", int { min = 0 }, "of everything random", default = 0 },
  { "share_stages", bool,
    "a stage 1 that another run trained with the same data, teachers, student and settings is taken from there, bit for bit; in the trials of a sweep if not given",
    runtime = true },
  { "threads", int { min = 1 }, "worker threads; results do not depend on it", runtime = true },
  { "loader_threads", int { min = 1, max = 64 },
    "threads that read and augment images ahead of the step (1 if not given); results do not depend on it",
    runtime = true } }
