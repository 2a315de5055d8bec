--- `sak cache ls|gc|check [SCRIPT]`: the features and finished stages that runs share.

local config = require "sak.config"
local core = require "sak.core"
local dataset = require "sak.dataset"
local failure = require "sak.failure"
local features = require "sak.features"
local host = require "sak.host"
local identity = require "sak.identity"
local shared_stage = require "sak.shared_stage"
local spec = require "sak.spec"
local stages = require "sak.stages"

local cache_verb = {}

local function root_of(job) return require("sak.paths").folder(job.db) .. "/cache/features" end
local function stages_of(job) return require("sak.paths").folder(job.db) .. "/cache/stages" end

--- Every finished stage, with what is noted of it.
local function stage_rows(job)
  local rows = shared_stage.list(stages_of(job))
  for _, row in ipairs(rows) do
    row.about = shared_stage.read(row.note) or {}
    row.usable = row.about.code == identity.code()
  end
  return rows
end

--- Every teacher's features, with what lies beside them about it.
local function rows_of(root, check)
  local rows = core.feature_folders(root, check)
  for _, row in ipairs(rows) do
    local text = host.read(("%s/%s/about.json"):format(root, row.key))
    local ok, about = pcall(host.decode, text or "")
    row.about = ok and type(about) == "table" and about or {}
    row.usable = row.about.depends_on ~= nil and row.about.depends_on.code == identity.code()
  end
  return rows
end

local function bytes_text(n)
  for _, unit in ipairs { "B", "kB", "MB", "GB" } do
    if n < 1000 or unit == "GB" then return (unit == "B" and "%d %s" or "%.1f %s"):format(n, unit) end
    n = n / 1000
  end
end

local function totals(rows)
  local bytes, images, damaged = 0, 0, 0
  for _, row in ipairs(rows) do
    bytes, images, damaged = bytes + row.bytes, images + row.images, damaged + row.damaged
  end
  return bytes, images, damaged
end

local function json(rows)
  local list = host.array {}
  for i, row in ipairs(rows) do
    list[i] = { key = row.key, teacher = row.about.teacher, weights = row.about.weights, size = row.about.size,
      dtype = row.about.dtype, images = row.images, bytes = row.bytes, used = row.used, usable = row.usable,
      damaged = row.damaged }
  end
  return list
end

local function print_stages(rows)
  if #rows == 0 then return end
  print(("%-10s %-12s %5s %-20s %10s  %-16s %s"):format("key", "stage", "seed", "experiment", "bytes", "used", "trained by run"))
  for _, row in ipairs(rows) do
    local a = row.about
    print(("%-10s %-12s %5s %-20s %10s  %-16s %s%s"):format(row.key:sub(1, 10), a.stage or "?", a.seed or "?",
      a.experiment or "?", bytes_text(row.bytes), os.date("%Y-%m-%d %H:%M", row.used), a.run or "?", row.usable and ""
      or "  (of another build: sak cache gc)"))
  end
end

local function ls(job)
  local rows, finished = rows_of(root_of(job), false), stage_rows(job)
  if job.json then
    local list = host.array {}
    for i, row in ipairs(finished) do
      list[i] = { key = row.key, stage = row.about.stage, seed = row.about.seed, experiment = row.about.experiment,
        run = row.about.run, bytes = row.bytes, used = row.used, usable = row.usable }
    end
    print(host.encode { features = json(rows), stages = list })
    return 0
  end
  if #rows + #finished == 0 then
    print(("%s: nothing yet; --set cache=true fills it"):format(root_of(job)))
    return 0
  end
  print_stages(finished)
  if #rows == 0 then return 0 end
  print(("%-10s %-12s %-9s %-5s %9s %10s  %-16s %s"):format("key", "teacher", "image", "dtype", "images", "bytes", "used", "weights"))
  for _, row in ipairs(rows) do
    local a = row.about
    print(("%-10s %-12s %-9s %-5s %9d %10s  %-16s %s%s"):format(row.key:sub(1, 10), a.teacher or "?",
      a.size and ("%dx%d"):format(a.size[1], a.size[2]) or "?", a.dtype or "?", row.images, bytes_text(row.bytes),
      os.date("%Y-%m-%d %H:%M", row.used), a.weights or "?", row.usable and "" or "  (of another build: sak cache gc)"))
  end
  print(("%s in all, in %s"):format(bytes_text((totals(rows))), root_of(job)))
  return 0
end

--- "10G" in bytes.
local function size_of(text)
  local number, unit = text:match "^([%d.]+)([kKmMgGtT]?)[bB]?$"
  local factor = ({ [""] = 1, k = 1e3, m = 1e6, g = 1e9, t = 1e12 })[(unit or ""):lower()]
  number = tonumber(number)
  if not number then error(failure.new(2, ("--max takes a size such as 500M or 10G, got '%s'"):format(text))) end
  return number * factor
end

local function gc(job)
  local root, max = root_of(job), job.max and size_of(job.max)
  local rows = rows_of(root, false)
  local before = totals(rows)
  for _, row in ipairs(rows) do
    if not row.usable then core.remove(root .. "/" .. row.key) end
  end
  local stage_bytes = 0
  for _, row in ipairs(stage_rows(job)) do
    before = before + row.bytes
    if not row.usable then row.remove() end
  end
  -- a finished stage is worth far more than as many bytes of features
  if max then shared_stage.trim(stages_of(job), max) end
  for _, row in ipairs(shared_stage.list(stages_of(job))) do stage_bytes = stage_bytes + row.bytes end
  core.feature_trim(root, max and math.max(max - stage_bytes, 0) or math.maxinteger)
  local left = totals(rows_of(root, false)) + stage_bytes
  print(("%s removed, %s left in %s"):format(bytes_text(before - left), bytes_text(left), require("sak.paths").folder(job.db) .. "/cache"))
  return 0
end

--- Computes images of one stage again, in the order a run with this seed sees them.
---@return {compared: integer, differing: integer, absent: integer, damaged: integer}
local function recompute(ctx, stage, limit)
  local cfg, size = ctx.cfg, stages.size(ctx, stage)
  local function new_graph() return stages.new_graph(cfg, false) end
  local source <close> = features.sketch(ctx, size, new_graph)
  local graph <close> = setmetatable({ g = new_graph() }, { __close = function(self) self.g:close() end })
  graph.g:output("pixels", graph.g:input("image", { stage.batch, size[1], size[2], 3 }):mean_all())
  for name, levels in pairs(source:maps(graph.g, stage.batch)) do
    for level, map in ipairs(levels) do graph.g:output(("%s/%d"):format(name, level), map:mean_all()) end
  end
  graph.g:plan()
  graph.g:allocate()
  source:open()
  local data, d = dataset.of_stage(ctx, stage)
  local loader <close> = dataset.train_loader(data, d, stage, { "image" }, cfg.seed, { digests = true })
  for _ = 1, math.ceil(limit / stage.batch) do
    loader:next(graph.g)
    source:fill(loader, graph.g, stage.batch)
  end
  return source:stats()
end

--- Holds a sample of what is there against what the teachers compute now.
local function check_script(job)
  local loaded, problems = config.load(job.args[2], job.set)
  if not loaded then error(failure.new(2, (config.format(problems):gsub("^error: ", "")))) end
  if loaded.kind == "ablation" then
    local sources = loaded.sources
    loaded = loaded.trials[1]
    loaded.sources = loaded.sources or sources
  end
  if not loaded.resolved.cache then
    error(failure.new(2, ("%s does not use the cache; --set cache=true does"):format(job.args[2])))
  end
  local ctx = require("sak.run").rehearsal(loaded, job)
  ctx.cache_limits = { gigabytes = ctx.cache_limits.gigabytes, verify = 1 }
  local list, bad = host.array {}, false
  for i, stage in ipairs(loaded.resolved.stages) do
    if stage.kind == "distill" or stage.kind == "multitask" and stage.alpha ~= 0 then
      local n = recompute(ctx, stage, job.limit > 0 and job.limit or 64)
      bad = bad or n.differing + n.damaged > 0
      list[#list + 1] = { stage = stage.name, compared = n.compared, differing = n.differing, damaged = n.damaged,
        absent = n.computed - n.damaged }
      if not job.json then
        print(("stage %d, %s: %d computed again, %d of them differ, %d damaged, %d were not there yet"):format(i, stage.name,
          n.compared, n.differing, n.damaged, n.computed - n.damaged))
      end
    end
  end
  if job.json then print(host.encode(list)) end
  return bad and 1 or 0
end

local function check(job)
  if job.args[2] then return check_script(job) end
  local rows = rows_of(root_of(job), true)
  local bytes, images, damaged = totals(rows)
  if job.json then
    print(host.encode(json(rows)))
  else
    for _, row in ipairs(rows) do
      if row.damaged > 0 then
        print(("%s (%s): %d damaged, crossed out: they will be computed again"):format(row.key:sub(1, 10),
          row.about.teacher or "?", row.damaged))
      end
    end
    print(("%s, %d images: %s"):format(bytes_text(bytes), images, damaged == 0 and "every checksum is right"
      or ("%d damaged"):format(damaged)))
  end
  return damaged > 0 and 1 or 0
end

---@param job table
---@return integer status
function cache_verb.run(job)
  local actions = { ls = ls, gc = gc, check = check }
  local action = actions[job.args[1]]
  if not action then
    local near = spec.nearest(job.args[1], { "ls", "gc", "check" })
    error(failure.new(2, ("cache takes ls, gc or check, got '%s'%s"):format(job.args[1],
      near and ("; did you mean '" .. near .. "'?") or "")))
  end
  if job.args[2] and job.args[1] ~= "check" then
    error(failure.new(2, ("cache %s: unexpected '%s'; --db names the database"):format(job.args[1], job.args[2])))
  end
  return action(job)
end

return cache_verb
