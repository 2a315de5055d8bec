--- `sak eval RUN`: all metrics of what a run trained, as its last evaluation computed them, on the same
--- images or others.

local core = require "sak.core"
local dataset = require "sak.dataset"
local evaluate = require "sak.evaluate"
local failure = require "sak.failure"
local host = require "sak.host"
local predictions = require "sak.predictions"
local rebuild = require "sak.rebuild"
local stages = require "sak.stages"

local eval = {}

--- The data that --data asks for: another folder of the run's kind, or for generated scenes any that is
--- known.
local function other_data(d, root)
  if host.exists(root) ~= "folder" then error(failure.new(2, ("--data %s: no such folder"):format(root))) end
  local own = d.root and d or { kind = require("sak.data_verb").detect(root), size = d.size, depth_max = d.depth_max,
    on_bad = "stop", train = "train", val = "val" }
  return setmetatable({ root = root }, { __index = own })
end

--- One list of the data: its training or validation images, or any that it has by that name.
local function side(d, split)
  local own = type(d.val) == "string" and split ~= "train" and split ~= "val"
  if own then return dataset.side(setmetatable({ val = split }, { __index = d }), "val") end
  if split ~= "train" and split ~= "val" then
    error(failure.new(2, ("--split %s: these data have no lists; say train or val"):format(split)))
  end
  if d[split] == nil then error(failure.new(2, ("--split %s: the run's data have no such part"):format(split))) end
  return dataset.side(d, split)
end

local classes_of = { semseg = "classes", human_parts = "parts" }

--- The tasks asked for that the images have labels for, and the same number of classes.
local function tasks_of(r, asked, data, strict)
  local tasks, missing = {}, {}
  for _, task in ipairs(asked) do
    local key = classes_of[task]
    if not data.info.has[task] then
      missing[#missing + 1] = task
    elseif key and data.info[key] ~= r.ctx.data.info[key] then
      error(failure.new(2, ("%s: %s was trained with %d classes, but %s has %d; --tasks picks others"):format(task,
        rebuild.name_of(r.row), r.ctx.data.info[key], data.info.name, data.info[key])))
    else
      tasks[#tasks + 1] = task
    end
  end
  if #missing > 0 and (strict or #tasks == 0) then
    error(failure.new(2, ("%s has no labels for %s"):format(data.info.name, table.concat(missing, ", "))))
  elseif #missing > 0 then
    r.ctx.note(("not scored, without labels in %s: %s"):format(data.info.name, table.concat(missing, ", ")))
  end
  return tasks
end

--- Writes the predictions of every batch; counts images of which only the middle was evaluated.
local function saver(r, graph, data, tasks, dir)
  local cut, h, w = 0, r.cfg.data.size[1], r.cfg.data.size[2]
  return function(loader, valid)
    for slot = 0, valid - 1 do
      local picture <close>, id = data.val:picture(loader:index(slot))
      local H, W = picture:size()
      local y, x = predictions.centre(H, W, h, w)
      picture:take(graph, slot, tasks, y, x)
      predictions.save(picture, dir, predictions.stem(id), tasks)
      if H > h or W > w then cut = cut + 1 end
    end
  end, function() return cut end
end

local function report(job, r, result, o)
  local rows = {}
  for _, task in ipairs(o.tasks) do
    for _, m in ipairs(result[task]) do
      if m.value == m.value then
        rows[#rows + 1] = { task = task, metric = m.name, value = m.value, unit = m.unit, goal = m.goal }
      end
    end
  end
  if job.json then
    print(host.encode { run = r.row.id, uid = r.row.uid, experiment = r.row.experiment, weights = r.path, step = r.step,
      data = o.data.info.name, split = o.split, images = o.data.info.count, height = r.cfg.data.size[1],
      width = r.cfg.data.size[2], edge_protocol = r.cfg.eval.edge_protocol, edge_max_dist = r.cfg.eval.edge_max_dist,
      saved = job.save, metrics = host.array(rows) })
  elseif job.csv then
    print "task,metric,value,unit,goal"
    for _, m in ipairs(rows) do print(("%s,%s,%.17g,%s,%s"):format(m.task, m.metric, m.value, m.unit, m.goal)) end
  else
    print(("%s, %s: %d images of %s, %s%s"):format(rebuild.name_of(r.row), r.path:match "[^/]*$", o.data.info.count,
      o.data.info.name, o.split, result.edge and (", edges: %s, %g"):format(r.cfg.eval.edge_protocol,
      r.cfg.eval.edge_max_dist) or ""))
    print(("%-12s %-14s %10s   %s"):format("task", "metric", "value", "better is"))
    local before
    for _, m in ipairs(rows) do
      print(("%-12s %-14s %10s   %s"):format(m.task ~= before and m.task or "", m.metric, ("%.4g%s"):format(m.value,
        m.unit == "%" and "%" or ""), m.goal == "max" and "higher" or "lower"))
      before = m.task
    end
  end
end

---@param job table
---@return integer status
function eval.run(job)
  local store <close> = core.store(job.db, "read")
  local r = rebuild.open(store, job)
  local cfg, ctx, split = r.cfg, r.ctx, job.split or "val"
  if job.edge_protocol then
    local known = { plain = true, seism = true, bsds = true }
    if not known[job.edge_protocol] then
      error(failure.new(2, ("--edge-protocol must be plain, seism or bsds, got '%s'"):format(job.edge_protocol)))
    end
    cfg.eval.edge_protocol = job.edge_protocol
  end
  if job.data then cfg.data = other_data(cfg.data, job.data) end
  if job.save then predictions.check(store, job.db, job.save, cfg.data) end
  local ok, val = pcall(side, cfg.data, split)
  if not ok and not job.data and cfg.data.root and host.exists(cfg.data.root) ~= "folder" then
    error(failure.new(2, ("%s: the run's data are no longer there; --data DIR says where they are"):format(cfg.data.root)))
  elseif not ok then
    error(val, 0)
  end
  local data = { val = val, info = val:info(), size = cfg.data.size }
  data.info.classes, data.info.parts = cfg.data.classes or data.info.classes, cfg.data.parts or data.info.parts
  local tasks = tasks_of(r, rebuild.tasks(r, job.tasks), data, not job.data)
  local params = core.params(cfg.seed)
  local made, routing = stages.plan_evaluation(ctx, params, tasks)
  rebuild.load(r, params, cfg.data.size)
  made.finish()
  local each, cut
  if job.save then
    core.mkdir(job.save)
    each, cut = saver(r, made.graph, data, tasks, job.save)
  end
  local result = evaluate.run(ctx, made.graph, { data = data, cfg = cfg, tasks = tasks, routing = routing, experts = {},
    final = true, sheet = job.save and job.save .. "/predictions.png", each = each })
  if not result then error(failure.new(130, "interrupted")) end
  report(job, r, result, { tasks = tasks, data = data, split = split })
  if cut and cut() > 0 then
    ctx.note(("%d images are larger than %dx%d: their middle was scored and saved"):format(cut(), cfg.data.size[1],
      cfg.data.size[2]))
  end
  return 0
end

return eval
