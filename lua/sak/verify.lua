--- `sak verify DIR`: holds the engine against a reference dump, tensor by tensor.
--- A dump is config.json, model.safetensors, inputs.safetensors, expected.safetensors; the model is
--- built through the same modules that experiments use.

local core = require "sak.core"
local host = require "sak.host"
local nn = require "sak.nn"
local vit = require "sak.models.vit"
local sam = require "sak.models.sam"
local student = require "sak.models.student"
local losses = require "sak.losses"
local weights = require "sak.weights"

local verify = {}

--- Tolerances of a float32 engine against float64 results.
local TOLERANCE = {
  value = { relative = 1e-5, worst = 5e-5 },
  loss = { relative = 2e-6 },
  grad = { relative = 1e-4, worst = 1e-6 }, -- tensors whose largest element is <= 1e-4: worst alone
  step = { [1] = 2e-6, [3] = 2e-5 },
  statistics = 1e-5,
}

local function encoder_spec(e, out_indices)
  return { width = e.embed_dim, depth = e.depth, heads = e.num_heads, patch = e.patch_size,
    mlp_ratio = e.mlp_ratio or 4, ln_eps = e.ln_eps or 1e-6, qkv_bias = e.qkv_bias ~= false,
    act = e.act or "gelu", class_token = e.class_token ~= false and e.kind ~= "sam",
    layer_scale = e.layer_scale, pre_norm = e.pre_norm, patch_bias = not e.pre_norm, registers = e.registers or 0,
    out_indices = out_indices, window = e.window_size, global = e.global_attn_indexes,
    resize_to = e.resize_to, kind = e.kind }
end

local function student_spec(cfg)
  local teachers = {}
  for i, t in ipairs(cfg.teachers) do teachers[i] = { name = t.name, width = t.dim } end
  local channels = {}
  local table_of = cfg.dataset == "pascalcontext" and { classes = 21, parts = 7 } or { classes = 40, parts = 7 }
  for _, task in ipairs(cfg.tasks or {}) do
    channels[task] = require("sak.models.head").channels(task, table_of)
  end
  return { stem = encoder_spec(cfg.stem, cfg.out_indices), teachers = teachers,
    adapter = { kind = "bottleneck", down_ratio = cfg.down_ratio or 4 }, aligner = cfg.aligner or false,
    router = { kind = cfg.router == "none" and "sum" or "mor", noisy = cfg.noisy_gating },
    tasks = cfg.tasks, head = { kind = "fusion" }, channels = channels, training = true }
end

local function join(dir, name) return dir .. "/" .. name end

local function read_json(path)
  local text, message = host.read(path)
  if not text then error(message, 0) end
  local ok, value = pcall(host.decode, text)
  if not ok then error(("%s: %s"):format(path, value), 0) end
  return value
end

---@class Report
---@field rows table[]
local Report = {}
Report.__index = Report

--- Records one comparison; `ok` decides the exit status.
function Report:add(name, c, ok, limit)
  self.rows[#self.rows + 1] = { name = name, relative = c.relative, worst = c.worst,
    index = c.worst_index, ours = c.ours, theirs = c.theirs, ok = ok, limit = limit }
  if not ok then self.failed = self.failed + 1 end
end

function Report:value(name, c)
  local t = TOLERANCE.value
  self:add(name, c, c.relative <= t.relative and c.worst <= t.worst, "1e-5 relative, 5e-5 worst")
end

function Report:loss(name, c)
  self:add(name, c, c.relative <= TOLERANCE.loss.relative, "2e-6 relative")
end

function Report:grad(name, c)
  local t = TOLERANCE.grad
  local ok = c.max > 1e-4 and c.relative <= t.relative or c.max <= 1e-4 and c.worst <= t.worst
  self:add(name, c, ok, c.max > 1e-4 and "1e-4 relative" or "1e-6 worst")
end

--- Parameters after k optimiser steps; elements whose gradient is noise may move k * lr.
function Report:step(name, c, k, lr)
  local ok = c.worst <= TOLERANCE.step[k] and c.weak_worst <= k * lr * 1.001
  self:add(name, c, ok, ("%g worst, %g where the gradient is noise"):format(TOLERANCE.step[k], k * lr))
end

function Report:statistics(name, c, k, lr)
  local limit = k == 3 and name:find("running_mean", 1, true) and 3 * lr or TOLERANCE.statistics
  self:add(name, c, c.worst <= limit, ("%g worst"):format(limit))
end

local function is_map(shape) return #shape == 4 end

--- How a tensor of the dump lies in the file: maps are channel-first, prob/ has experts second.
local function layout_of(name)
  local group = name:match("^([^/]+)/")
  local maps = { feat = true, mor = true, head = true, out = true, prob = true, eval = true,
    preprocessed = true }
  local l = { channel_first = maps[group or name] or false }
  if group == "out" then l.last_image, l.channel_step = true, 10 end
  if group == "eval" then l.channel_step = 10 end
  return l
end

--- Declares and fills the inputs of the dump.
local function make_inputs(scope, shapes)
  local tensors = {}
  for name, s in pairs(shapes) do
    local shape
    if name:match("^label/") and (name:match("semseg$") or name:match("human_parts$") or name:match("sal$")) then
      shape = { s[1], s[3], s[4] }
    elseif name:match("^noise/") then
      shape = { s[1], s[3] * s[4], s[2] }
    elseif is_map(s) then
      shape = { s[1], s[3], s[4], s[2] }
    else
      shape = s
    end
    tensors[name] = scope:input(name, shape)
  end
  return tensors
end

--- Labels of one channel are (B, 1, H, W) in the file: their order is the engine's already.
local function fill_inputs(graph, inputs, shapes)
  for name, s in pairs(shapes) do
    core.fill(graph, name, inputs, name, { channel_first = is_map(s) and s[2] > 1 })
  end
end

--- One training graph of the dump: model, losses, objective.
local function training_graph(cfg, params, spec, shapes, training)
  local graph = core.graph { training = training, seed = 0 }
  local trace = {}
  local scope = nn.scope(graph, params, { trace = trace })
  local inputs = make_inputs(scope, shapes)
  local c = setmetatable({ training = training }, { __index = spec })
  local features, outputs = student.forward(scope, inputs.image, c)
  local h, w = vit.grid(c.stem, cfg.img_size)
  local teacher, order = {}, {}
  for i, t in ipairs(cfg.teachers) do
    order[i], teacher[t.name] = t.name, {}
    for level = 1, #cfg.out_indices do
      teacher[t.name][level] = inputs[("teacher/%s/level%d"):format(t.name, level)]
    end
  end
  local objective, terms = losses.distill(features, teacher, order, h, w, cfg.loss_type)
  for _, term in ipairs(terms) do graph:output("loss/kd/" .. term.name, term.value) end
  graph:output("loss/kd/total", objective)
  if cfg.tasks then
    local labels = {}
    for _, task in ipairs(cfg.tasks) do labels[task] = inputs["label/" .. task] end
    local total, parts = losses.multitask(outputs, labels, cfg.tasks, losses.task_weights)
    for _, term in ipairs(parts) do graph:output("loss/task/" .. term.name, term.value) end
    graph:output("loss/task/total", total)
    local alpha = cfg.alpha or 1
    objective = total + (alpha == 1 and objective or objective * alpha)
  end
  graph:output("loss/objective", objective)
  return graph, objective
end

local function compare_values(report, graph, expected, names, pick)
  for _, name in ipairs(names) do
    local group = name:match("^([^/]+)/") or name
    if pick[group] and not (group == "loss") then
      local ours = name:gsub("^eval/", "")
      report:value(name, core.compare(graph, ours, expected, name, layout_of(name)))
    elseif pick[group] then
      report:loss(name, core.compare(graph, name, expected, name, {}))
    end
  end
end

local function freeze(cfg, params)
  for _, p in ipairs(params:list()) do
    local name = p.name:gsub("^backbone%.", "")
    if cfg.freeze_vit and name:match("^vit%.") then params:trainable(p.name, false) end
    if cfg.freeze_backbone and p.name:match("^backbone%.") and not name:match("^mor%.") then
      params:trainable(p.name, false)
    end
  end
end

local function verify_training(dir, cfg, report)
  local model = core.weights(join(dir, "model.safetensors"))
  local inputs = core.weights(join(dir, "inputs.safetensors"))
  local expected = core.weights(join(dir, "expected.safetensors"))
  local expected_json = read_json(join(dir, "expected.json"))
  local shapes, names = inputs:shapes(), {}
  local expected_shapes = expected:shapes()
  for name in pairs(expected_shapes) do names[#names + 1] = name end
  table.sort(names)
  local params, spec = core.params(0), student_spec(cfg)

  -- A first pass over the model declares every parameter, so that freezing can name them.
  training_graph(cfg, params, spec, shapes, true)
  freeze(cfg, params)
  weights.load_all(params, model, { where = dir })
  if cfg.tasks then
    local graph = training_graph(cfg, params, spec, shapes, false)
    graph:plan()
    graph:allocate()
    fill_inputs(graph, inputs, shapes)
    graph:forward(0)
    compare_values(report, graph, expected, names, { eval = true })
  end
  local graph, objective = training_graph(cfg, params, spec, shapes, true)
  graph:plan(objective)
  graph:allocate()
  fill_inputs(graph, inputs, shapes)
  local optim = core.optim(params, { kind = cfg.optimizer.kind, weight_decay = cfg.optimizer.weight_decay })
  for k, lr in ipairs(cfg.optimizer.lr) do
    graph:forward(0)
    graph:backward(0)
    if k == 1 then
      compare_values(report, graph, expected, names, { stem = true, path = true, feat = true,
        prob = true, mor = true, head = true, out = true, loss = true })
      for _, name in ipairs(names) do
        local p = name:match("^grad/(.+)")
        if p then report:grad(name, core.compare(params, p, expected, name, { what = "grad" })) end
      end
    end
    local norm = optim:step(lr, cfg.grad_clip)
    if k == 1 then
      local want = expected:get("grad_norm")[1]
      report:loss("grad_norm", { relative = math.abs(norm - want) / want, worst = math.abs(norm - want),
        worst_index = 0, ours = norm, theirs = want })
    end
    for _, name in ipairs(k == 2 and {} or names) do
      local p = name:match("^step" .. k .. "/(.+)")
      local grad = p and "grad/" .. p
      if p and expected_shapes[grad] then
        report:step(name, core.compare(params, p, expected, name,
          { weak = grad, floor = expected_json.adam_floor }), k, cfg.optimizer.lr[1])
      elseif p then
        report:statistics(name, core.compare(params, p, expected, name, {}), k, cfg.optimizer.lr[1])
      end
    end
  end
end

local function verify_encoder(dir, cfg, report)
  local model = core.weights(join(dir, "model.safetensors"))
  local inputs = core.weights(join(dir, "inputs.safetensors"))
  local expected = core.weights(join(dir, "expected.safetensors"))
  local params, graph = core.params(0), core.graph { training = false, seed = 0 }
  local scope = nn.scope(graph, params, { trace = {} })
  local c = encoder_spec(cfg.encoder, cfg.out_indices)
  local s = inputs:shapes().image
  local image = scope:input("image", { s[1], s[3], s[4], s[2] })
  local features = c.kind == "sam" and sam.features or vit.features
  for level, x in ipairs((features(scope, image, c))) do
    graph:output("feat/level" .. level, x)
  end
  graph:plan()
  params:seal()
  local modes = { pos = c.kind == "sam" and "bicubic" or "bicubic_antialias" }
  weights.load_encoder(params, model, c, { where = dir, pos_mode = modes.pos,
    source_grid = cfg.pos_source_grid, image = { cfg.encoder.img_size[1], cfg.encoder.img_size[2] } })
  graph:allocate()
  core.fill(graph, "image", inputs, "image", { channel_first = true })
  graph:forward(0)
  local names = {}
  for name in pairs(expected:shapes()) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local resampled = name:match("^resampled/(.+)")
    if resampled then
      report:value(name, core.compare(params, resampled, expected, name, {}))
    else
      report:value(name, core.compare(graph, name, expected, name, { channel_first = true }))
    end
  end
end

--- Everything of one dump.
---@return Report
function verify.dump(dir)
  local report = setmetatable({ rows = {}, failed = 0 }, Report)
  if host.exists(dir) ~= "folder" then
    error(("%s: no such folder; `sak verify` reads reference dumps"):format(dir), 0)
  end
  local path = join(dir, "config.json")
  local cfg = host.exists(path) and read_json(path)
  if require("sak.verify_parts").verify(dir, report) then return report end
  if not cfg then error(("%s: no config.json; `sak verify` reads reference dumps"):format(dir), 0) end
  if cfg.encoder then
    verify_encoder(dir, cfg, report)
  elseif cfg.stem then
    verify_training(dir, cfg, report)
  else
    error(dir .. "/config.json describes neither a model nor an encoder", 0)
  end
  return report
end

--- The verb: prints a line per tensor that fails (all of them with --json), and a summary.
function verify.run(job)
  local status = 0
  for _, dir in ipairs(job.args) do
    local report = verify.dump(dir)
    local worst
    for _, row in ipairs(report.rows) do
      if not row.ok then
        print(("%s  FAIL  relative %.3g, worst %.3g at %d (ours %.8g, theirs %.8g); limit %s"):format(
          row.name, row.relative, row.worst, row.index, row.ours, row.theirs, row.limit))
      end
      local judged = row.limit:find("relative", 1, true) -- noise has large relative errors and small absolute ones
      if judged and (not worst or row.relative > worst.relative) then worst = row end
    end
    print(("%s: %d tensors, %d beyond tolerance%s"):format(dir, #report.rows, report.failed,
      worst and ("; largest relative error %.3g (%s)"):format(worst.relative, worst.name) or ""))
    if report.failed > 0 then status = 1 end
  end
  return status
end

return verify
