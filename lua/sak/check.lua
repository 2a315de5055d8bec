--- `sak check FILE`: validates a script and prints what it would cost; trains nothing.

local core = require "sak.core"
local host = require "sak.host"
local config = require "sak.config"
local dataset = require "sak.dataset"
local lora = require "sak.models.lora"
local stages = require "sak.stages"

local check = {}

--- Which part of the model a parameter belongs to.
local function part_of(name)
  name = name:gsub("^backbone%.", "")
  if lora.owns(name) then return "lora" end
  if name:match("^vit%.") then return "stem" end
  if name:match("^tsap%.") then return "adapters" end
  if name:match("^out_norms%.") then return "norms" end
  if name:match("^ts_aligners%.") then return "aligners" end
  if name:match("^mor%.") then return "routers" end
  if name:match("^heads%.") then return "heads" end
  return "other"
end

local order = { "stem", "lora", "adapters", "norms", "aligners", "routers", "heads", "other" }

local function count(params)
  local n = {}
  for _, p in ipairs(params:list()) do
    if not p.buffer then
      local part = part_of(p.name)
      n[part] = (n[part] or 0) + p.count
    end
  end
  return n
end

local function millions(n) return ("%.2f M"):format(n / 1e6) end

local function total(params, pick)
  local n = 0
  for _, p in ipairs(params:list()) do if pick(p) then n = n + p.count end end
  return n
end

--- Sizes of one stage. Its graph is planned but gets no memory.
---@return table row
function check.stage(ctx, stage)
  local made = stages.plan(ctx, stage)
  local teachers = 0
  for _, t in ipairs(ctx.teachers) do teachers = teachers + total(t.params, function(p) return not p.buffer end) end
  local all = total(made.params, function() return true end)
  -- slabs of values, gradients and two moments are of one size
  local state = 4 * (4 * all + teachers)
  local activations = made.graph:bytes()
  if stages.labelled(stage) then activations = activations + stages.plan_evaluation(ctx, made.params).graph:bytes() end
  local data, resolved = dataset.of_stage(ctx, stage)
  local images = dataset.limit(data, resolved, stage.batch)
  local start = {}
  for i, file in ipairs(made.starts_from or {}) do start[i] = file.text end
  return { name = stage.name, kind = stage.kind, batch = stage.batch, size = stages.size(ctx, stage),
    starts_from = start, cached = made.cached ~= nil, parameters = count(made.params),
    teachers = teachers, forward = made.graph:flops(false), flops = made.graph:flops(true),
    plain_flops = made.graph:flops(true, true),
    activation_bytes = activations, bytes = activations + state,
    iterations = stage.iterations or math.ceil(stage.epochs * (images // stage.batch)) }
end

---@return table[] rows
function check.stages(ctx)
  local rows = {}
  for i, stage in ipairs(ctx.cfg.stages) do
    ctx.stage_index = i
    rows[i] = check.stage(ctx, stage)
  end
  return rows
end

local function print_stage(row)
  print(("stage %s, %dx%d"):format(row.name, row.size[1], row.size[2]))
  for _, text in ipairs(row.starts_from) do print("  from " .. text) end
  for _, part in ipairs(order) do
    if row.parameters[part] then print(("  %-10s %12s parameters"):format(part, millions(row.parameters[part]))) end
  end
  if row.teachers > 0 then
    print(("  %-10s %12s parameters, frozen%s"):format("teachers", millions(row.teachers),
      row.cached and "; their features come from the cache, the step below is without them" or ""))
  end
  print(("  step       %12s per image (forward %s)"):format(("%.2f GFLOP"):format(row.flops / row.batch / 1e9),
    ("%.2f"):format(row.forward / row.batch / 1e9)))
  if row.plain_flops > row.flops then
    print(("             %12s as the method is written, before rewriting"):format(
      ("%.2f GFLOP"):format(row.plain_flops / row.batch / 1e9)))
  end
  print(("  memory     %12s peak: %s activations and scratch, %s parameters, gradients, moments"):format(
    ("%.0f MiB"):format(row.bytes / 2 ^ 20), ("%.0f"):format(row.activation_bytes / 2 ^ 20),
    ("%.0f"):format((row.bytes - row.activation_bytes) / 2 ^ 20)))
  print(("  length     %12d iterations of %d images"):format(row.iterations, row.batch))
end

function check.run(job)
  local loaded, problems = config.load(job.args[1], job.set)
  if not loaded then
    io.stderr:write(config.format(problems), "\n")
    return 2
  end
  if #loaded.warnings > 0 then io.stderr:write(config.format(loaded.warnings), "\n") end
  if loaded.kind == "ablation" then
    print(("%s: ablation with %d trials"):format(loaded.name, #loaded.trials))
    return 0
  end
  local cfg = loaded.resolved
  local ctx = { cfg = cfg, functions = loaded.functions, job = job, step = 0, data = dataset.open(cfg.data),
    script = loaded.sources[1].path, results = require("sak.paths").folder(job.db) }
  ctx.label_shape = require("sak.run").label_shape(ctx.data)
  ctx.teachers = require("sak.teachers").sketch(ctx, cfg.teachers)
  local rows = check.stages(ctx)
  if job.json then
    print(host.encode { name = cfg.name, config_sha256 = loaded.config_sha256, config = cfg, stages = rows })
    return 0
  end
  print(("%s: valid (config %s)"):format(cfg.name, loaded.config_sha256:sub(1, 12)))
  for _, t in ipairs(ctx.teachers) do
    if t.loaded_as then print(("teacher %s: %s: %s"):format(t.name, t.source, t.loaded_as)) end
  end
  for _, row in ipairs(rows) do print_stage(row) end
  return 0
end

check.count = count

return check
