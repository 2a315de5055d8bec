--- `sak check FILE`: validates a script and prints what it would cost; trains nothing.

local core = require "sak.core"
local host = require "sak.host"
local config = require "sak.config"
local dataset = require "sak.dataset"
local lora = require "sak.models.lora"
local memory = require "sak.memory"
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

--- The parts of a planned stage's memory.
local function needs(ctx, stage, made)
  local evaluation = stages.labelled(stage) and stages.plan_evaluation(ctx, made.params).graph or nil
  return memory.of(made.graph, made.params, ctx.teachers, evaluation)
end

--- Bytes that the stage would need with engine.checkpoint = "blocks".
local function with_blocks(ctx, stage)
  local cfg = ctx.cfg
  ctx.cfg = setmetatable({ engine = setmetatable({ checkpoint = "blocks" }, { __index = cfg.engine }) }, { __index = cfg })
  local bytes = needs(ctx, stage, stages.plan(ctx, stage)).bytes
  ctx.cfg = cfg
  return bytes
end

--- Sizes of one stage. Its graph is planned but gets no memory.
---@return table row
function check.stage(ctx, stage)
  local made = stages.plan(ctx, stage)
  local teachers = 0
  for _, t in ipairs(ctx.teachers) do teachers = teachers + total(t.params, function(p) return not p.buffer end) end
  local need = needs(ctx, stage, made)
  local data, resolved = dataset.of_stage(ctx, stage)
  local images = dataset.limit(data, resolved, stage.batch)
  local start = {}
  for i, file in ipairs(made.starts_from or {}) do start[i] = file.text end
  return { name = stage.name, kind = stage.kind, batch = stage.batch, size = stages.size(ctx, stage),
    starts_from = start, cached = made.cached ~= nil, parameters = count(made.params),
    teachers = teachers, forward = made.graph:flops(false), flops = made.graph:flops(true),
    plain_flops = made.graph:flops(true, true),
    bytes = need.bytes, memory = host.array(need.parts), slab = need.slab, memory_text = memory.describe(need),
    machine_bytes = core.memory().total, available_bytes = core.memory().available,
    blocks_bytes = ctx.cfg.engine.checkpoint ~= "blocks" and with_blocks(ctx, stage) or nil,
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

local function mib(bytes) return ("%.0f MiB"):format(bytes / 2 ^ 20) end

--- The peak and its parts; what to do where the machine cannot hold it.
local function print_memory(row)
  print(("  memory     %12s peak: %s"):format(mib(row.bytes), row.memory_text[1]))
  for i = 2, #row.memory_text do print("             " .. row.memory_text[i]) end
  if not row.machine_bytes or row.bytes <= row.available_bytes then return end
  print(("  warning    %12s is more than %s"):format(mib(row.bytes), row.bytes > row.machine_bytes
    and ("the %s of this machine"):format(mib(row.machine_bytes))
    or ("the %s that are free now (of %s)"):format(mib(row.available_bytes), mib(row.machine_bytes))))
  if row.blocks_bytes and row.blocks_bytes < row.bytes then
    print(('             %12s with engine = { checkpoint = "blocks" }: the same bits, steps 10-30 %% longer%s'):format(
      mib(row.blocks_bytes), row.blocks_bytes > row.available_bytes and "; it also takes a smaller batch" or ""))
  else
    print("             a smaller batch, eval.batch or image needs less")
  end
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
  print_memory(row)
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
    require("sak.sweep").rehearse(loaded, job)
    print(("%s: ablation with %d trials, whose models all build"):format(loaded.name, #loaded.trials))
    print "parameters, FLOPs and memory: sak check of its base"
    return 0
  end
  local cfg = loaded.resolved
  local ctx = { cfg = cfg, functions = loaded.functions, job = job, step = 0, data = dataset.open(cfg.data),
    script = loaded.sources[1].path, results = require("sak.paths").folder(job.db) }
  ctx.label_shape = require("sak.run").label_shape(ctx.data)
  ctx.teachers = require("sak.teachers").sketch(ctx, cfg.teachers)
  local rows = check.stages(ctx)
  if job.json then
    for _, row in ipairs(rows) do row.memory_text = nil end
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
