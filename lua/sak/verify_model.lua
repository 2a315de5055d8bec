--- Dumps of a model: a student with losses, gradients and optimiser steps, or a frozen encoder.
--- The model is built through the modules that experiments use.

local core = require "sak.core"
local nn = require "sak.nn"
local encoder = require "sak.models.encoder"
local student = require "sak.models.student"
local losses = require "sak.losses"
local weights = require "sak.weights"
local config = require "sak.verify_config"

local models = {}

local function sorted_names(file)
  local names = {}
  for name in pairs(file:shapes()) do names[#names + 1] = name end
  table.sort(names)
  return names
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

--- The graph's shape of an input of the dump.
local function input_shape(name, s)
  if name:match "^label/" and s[2] == 1 and (name:match "semseg$" or name:match "human_parts$" or name:match "sal$") then
    return { s[1], s[3], s[4] }
  elseif name:match "^noise/" then
    return { s[1], s[3] * s[4], s[2] }
  elseif is_map(s) then
    return { s[1], s[3], s[4], s[2] }
  end
  return s
end

--- The inputs of a dump: declared in a graph when the model asks for them, then filled.
---@class Inputs
local Inputs = {}
Inputs.__index = Inputs

local function inputs_of(dump)
  return setmetatable({ dump = dump, file = dump.inputs, shapes = dump.inputs:shapes(), used = {}, declared = {} }, Inputs)
end

function Inputs:declare(graph, scope, name)
  local s = self.shapes[name]
  if not s then error(("%s: inputs.safetensors has no '%s', which the configuration asks for"):format(self.dump.dir, name), 0) end
  self.used[name] = true
  self.declared[graph] = self.declared[graph] or {}
  self.declared[graph][name] = true
  return scope:input(name, input_shape(name, s))
end

--- Labels of one channel are (B, 1, H, W) in the file: their order is the engine's already.
function Inputs:fill(graph)
  for name in pairs(self.declared[graph]) do
    local s = self.shapes[name]
    core.fill(graph, name, self.file, name, { channel_first = is_map(s) and s[2] > 1 })
  end
end

function Inputs:note_unused(report)
  local unused = {}
  for name in pairs(self.shapes) do
    if not self.used[name] then unused[#unused + 1] = name end
  end
  table.sort(unused)
  if #unused > 0 then report:note("inputs nothing used: " .. table.concat(unused, ", ")) end
end

local function declare_noise(inputs, graph, scope, cfg, training)
  if not (training and cfg.noisy_gating and cfg.router == "mor") then return end
  for _, task in ipairs(cfg.tasks or {}) do
    for _, i in ipairs(cfg.stem.out_indices) do inputs:declare(graph, scope, ("noise/%d_%s"):format(i, task)) end
  end
end

local function teacher_maps(inputs, graph, scope, cfg)
  local teacher, order = {}, {}
  for k, t in ipairs(cfg.teachers) do
    order[k], teacher[t.name] = t.name, {}
    for level = 1, #cfg.stem.out_indices do
      teacher[t.name][level] = inputs:declare(graph, scope, ("teacher/%s/level%d"):format(t.name, level))
    end
  end
  return teacher, order
end

--- One graph of the dump: model and, in training, losses and objective. Returns the names it can be
--- asked for.
local function student_graph(cfg, params, spec, inputs, training)
  local graph, trace = core.graph { training = training, seed = 0 }, {}
  local scope = nn.scope(graph, params, { trace = trace })
  local c = setmetatable({ training = training }, { __index = spec })
  local image = inputs:declare(graph, scope, "image")
  local s = image.shape
  if s[2] ~= cfg.img_size[1] or s[3] ~= cfg.img_size[2] then
    error(("%s: the image is %d x %d, but img_size is %d x %d"):format(inputs.dump.dir, s[2], s[3],
      cfg.img_size[1], cfg.img_size[2]), 0)
  end
  declare_noise(inputs, graph, scope, cfg, training)
  local features, outputs = student.forward(scope, image, c)
  if not training then return graph, nil, trace end
  local grids = encoder.grids(c.stem, cfg.img_size)
  local function output(name, value)
    graph:output(name, value)
    trace[name] = value
  end
  local teacher, order = teacher_maps(inputs, graph, scope, cfg)
  local objective, terms = losses.distill(features, teacher, order, grids, cfg.loss_type)
  for _, term in ipairs(terms) do output("loss/kd/" .. term.name, term.value) end
  output("loss/kd/total", objective)
  if cfg.tasks then
    local labels = {}
    for _, task in ipairs(cfg.tasks) do labels[task] = inputs:declare(graph, scope, "label/" .. task) end
    local total, parts = losses.multitask(outputs, labels, cfg.tasks, losses.task_weights)
    for _, term in ipairs(parts) do output("loss/task/" .. term.name, term.value) end
    output("loss/task/total", total)
    objective = total + (cfg.alpha == 1 and objective or objective * cfg.alpha)
  end
  output("loss/objective", objective)
  return graph, objective, trace
end

--- Compares every expected tensor that the graph has, `prefix` removed from its name.
local function compare_outputs(report, graph, trace, expected, names, prefix)
  for _, name in ipairs(names) do
    local ours = name:sub(1, #prefix) == prefix and name:sub(#prefix + 1)
    if ours and trace[ours] then
      local c = core.compare(graph, ours, expected, name, layout_of(name))
      if name:match "^loss/" then report:loss(name, c) else report:value(name, c) end
    end
  end
end

local function freeze(cfg, params)
  for _, p in ipairs(params:list()) do
    local name = p.name:gsub("^backbone%.", "")
    local rest = cfg.tasks and p.name:match "^backbone%." or not cfg.tasks
    local head = cfg.freeze and name:match "^mor%." or cfg.freeze_backbone and name:match "^mor%."
    if cfg.freeze_vit and name:match "^vit%." then params:trainable(p.name, false) end
    if (cfg.freeze_backbone or cfg.freeze) and rest and not head then params:trainable(p.name, false) end
  end
end

--- Which expected gradients there are decides what must move; the rest must have none.
local function compare_grads(report, params, expected, shapes, where)
  for _, p in ipairs(params:list()) do
    local name = "grad/" .. p.name
    if shapes[name] and p.trainable then
      report:grad(name, core.compare(params, p.name, expected, name, { what = "grad" }))
    elseif shapes[name] then
      report:missing(name, "the configuration freezes this parameter, but the dump has a gradient for it")
    elseif p.trainable and where.has_grads and params:has_grad(p.name) then
      report:missing(name, "the engine has a gradient here, the dump has none")
    end
  end
end

local function compare_step(report, dump, params, initial, k, lr)
  local shapes, floor, moved = dump.expected:shapes(), dump.info.adam_floor or 1e-5, 0
  for i = 1, k do moved = moved + lr[i] end
  for _, p in ipairs(params:list()) do
    local name, grad = ("step%d/%s"):format(k, p.name), "grad/" .. p.name
    if not shapes[name] then
      -- nothing stored
    elseif shapes[grad] then
      report:step(name, core.compare(params, p.name, dump.expected, name, { weak = grad, floor = floor }), k, moved)
    elseif p.buffer then
      report:statistics(name, core.compare(params, p.name, dump.expected, name, {}), k, lr[1])
    else
      report:unchanged(name, core.compare(params, p.name, initial, p.name, {}))
    end
  end
end

--- A student: evaluation, then as many training steps as the dump has learning rates.
---@param dump table  { dir, cfg, info, model, inputs, expected }
function models.student(dump, report)
  local cfg, spec = config.student(dump.dir .. "/config.json", dump.cfg)
  local inputs, params, expected = inputs_of(dump), core.params(0), dump.expected
  local names, shapes = sorted_names(expected), expected:shapes()
  student_graph(cfg, params, spec, inputs, true) -- declares every parameter, so that freezing can name them
  freeze(cfg, params)
  weights.load_all(params, dump.model, { where = dump.dir })
  if cfg.tasks then
    local graph, _, trace = student_graph(cfg, params, spec, inputs, false)
    graph:plan()
    graph:allocate()
    inputs:fill(graph)
    graph:forward(0)
    compare_outputs(report, graph, trace, expected, names, "eval/")
  end
  local graph, objective, trace = student_graph(cfg, params, spec, inputs, true)
  graph:plan(objective)
  graph:allocate()
  inputs:fill(graph)
  local o = cfg.optimizer
  if not o then
    graph:forward(0)
    compare_outputs(report, graph, trace, expected, names, "")
    inputs:note_unused(report)
    return
  end
  local has_grads = false
  for name in pairs(shapes) do has_grads = has_grads or name:match "^grad/" ~= nil end
  local optim = core.optim(params, { kind = o.kind, weight_decay = o.weight_decay, beta1 = o.betas[1],
    beta2 = o.betas[2], eps = o.eps, momentum = o.momentum })
  for k, lr in ipairs(o.lr) do
    graph:forward(0)
    graph:backward(0)
    if k == 1 then
      compare_outputs(report, graph, trace, expected, names, "")
      compare_grads(report, params, expected, shapes, { has_grads = has_grads })
    end
    local per_step = dump.info.objective_per_step
    if per_step and per_step[k] then
      report:number(("objective/step%d"):format(k), graph:value "loss/objective", per_step[k], k == 1 and 2e-6 or 5e-5,
        "loss (relative)")
    end
    local norm = optim:step(lr, cfg.grad_clip)
    if k == 1 and shapes.grad_norm then
      report:grad_norm(norm, dump.info.grad_norm or expected:get("grad_norm")[1])
    end
    compare_step(report, dump, params, dump.model, k, o.lr)
  end
  inputs:note_unused(report)
end

--- The grid of the stored table where the table does not say it itself: (1, n, C) is taken as square,
--- as published, and only else as the configuration has it.
local function source_grid(cfg, shapes, c)
  local s = shapes.pos_embed
  local n = s and #s == 3 and s[2] - (c.class_token and 1 or 0)
  if not n then return end
  local side = math.floor(math.sqrt(n) + 0.5)
  return side * side == n and { side, side } or cfg.pos_source_grid
end

--- A frozen encoder: position tables resampled to its grid, then its features.
function models.encoder(dump, report)
  local path = dump.dir .. "/config.json"
  local cfg = config.encoder(path, dump.cfg)
  local inputs, params, graph = inputs_of(dump), core.params(0), core.graph { training = false, seed = 0 }
  local trace = {}
  local scope = nn.scope(graph, params, { trace = trace })
  local c = cfg.encoder
  local image = inputs:declare(graph, scope, "image")
  local s = image.shape
  local size = c.resize_to and { c.resize_to, c.resize_to } or { s[2], s[3] }
  local levels, grids = encoder.features(scope, image, c)
  for level, x in ipairs(levels) do levels[level] = nn.to_map(x, grids[level][1], grids[level][2]) end
  if c.crop then levels = encoder.crop(levels, c, s, { s[1], size[1], size[2], 3 }) end
  for level, x in ipairs(levels) do
    local name = "feat/level" .. level
    graph:output(name, x)
    trace[name] = x
  end
  graph:plan()
  params:seal()
  weights.load_encoder(params, dump.model, c, { where = dump.dir, image = size, source_grid = source_grid(cfg, dump.model:shapes(), c),
    pos_mode = cfg.pos_resample or encoder.resample(c) })
  graph:allocate()
  inputs:fill(graph)
  graph:forward(0)
  local of = {}
  for _, p in ipairs(params:list()) do of[p.name] = true end
  for _, name in ipairs(sorted_names(dump.expected)) do
    local resampled = name:match "^resampled/(.+)"
    if resampled and of[resampled] then
      report:value(name, core.compare(params, resampled, dump.expected, name, {}))
    elseif trace[name] then
      report:value(name, core.compare(graph, name, dump.expected, name,
        { channel_first = is_map(dump.expected:shapes()[name]) }))
    end
  end
  inputs:note_unused(report)
end

return models
