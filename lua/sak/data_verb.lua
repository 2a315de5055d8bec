--- `sak data check|show DIR|SCRIPT`: is a data set whole, and does it look right?

local core = require "sak.core"
local host = require "sak.host"
local config = require "sak.config"
local dataset = require "sak.dataset"
local failure = require "sak.failure"

local data_verb = {}

--- What a folder is, by what lies in it.
function data_verb.detect(root)
  local function has(name, what) return host.exists(root .. "/" .. name) == (what or "folder") end
  if has "gt_sets" and has "images" then return "folder" end
  if has "JPEGImages" and has "ImageSets/Context" then return "pascal" end
  for _, side in ipairs { "train", "val" } do
    if has(("ILSVRC2012_img_%s.tar"):format(side), "file") then return "imagenet" end
  end
  return "images"
end

--- Names of the lists in a folder.
local function splits_of(root, lists)
  local found = {}
  for _, name in ipairs { "train", "val" } do
    if host.exists(("%s/%s/%s.txt"):format(root, lists, name)) then found[#found + 1] = name end
  end
  return found
end

local function sides_of_imagenet(root, job)
  local found = {}
  for _, side in ipairs { "train", "val" } do
    if host.exists(dataset.imagenet(root, side)) and (not job.split or job.split == side) then found[#found + 1] = side end
  end
  return found
end

---@class Part  one list of samples
---@field name string
---@field open fun(unchecked: boolean): userdata
---@field augment table  options of the loader

local published = { scale = { 0.5, 2 }, crop = true, flip = 0.5, photometric = true }

local function parts_of_folder(root, job)
  local kind = data_verb.detect(root)
  local lists = ({ folder = "gt_sets", pascal = "ImageSets/Context" })[kind]
  local names = kind == "imagenet" and sides_of_imagenet(root, job)
    or not lists and { "all" } or job.split and { job.split } or splits_of(root, lists)
  if #names == 0 then
    error(("%s/%s holds neither train.txt nor val.txt; name a list with --split"):format(root, lists), 0)
  end
  local parts = {}
  for i, name in ipairs(names) do
    local d = { kind = kind, root = root, train = kind ~= "images" and name or nil }
    parts[i] = { name = name, augment = { augment = published },
      open = function(unchecked) return dataset.side(d, "train", unchecked) end }
  end
  return parts, ({ folder = "nyud", pascal = "pascal", images = "images", imagenet = "imagenet" })[kind]
end

--- The data of a script: its own, and its stages'.
local function parts_of_script(path, job)
  local loaded, problems = config.load(path, job.set)
  if not loaded then error(failure.new(2, (config.format(problems):gsub("^error: ", "")))) end
  local cfg = loaded.kind == "ablation" and loaded.trials[1].resolved or loaded.resolved
  local parts = {}
  local last = cfg.stages[#cfg.stages]
  local function add(d, prefix, side, stage)
    if not job.split or job.split == side or job.split == d[side] then
      parts[#parts + 1] = { name = prefix .. side, root = d.root, size = stage.size or d.size, augment = stage,
        open = function(unchecked) return dataset.side(d, side, unchecked) end }
    end
  end
  add(cfg.data, "", "train", last)
  if cfg.data.val then add(cfg.data, "", "val", last) end
  for _, stage in ipairs(cfg.stages) do
    if stage.data then add(stage.data, stage.name .. "/", "train", stage) end
  end
  if #parts == 0 then error(("%s has no data called '%s'"):format(path, job.split), 0) end
  return parts, cfg.data.kind
end

local function parts_of(path, job)
  local what = host.exists(path)
  if what == "folder" then return parts_of_folder((path:gsub("(.)/+$", "%1")), job) end
  if what and path:match "%.tar$" then
    local d = { kind = "images", root = path }
    return { { name = "all", augment = { augment = published },
      open = function(unchecked) return dataset.side(d, "train", unchecked) end } }, "images"
  end
  if what then return parts_of_script(path, job) end
  error(("%s: no such folder or script"):format(path), 0)
end

-- check -------------------------------------------------------------------------------------------

--- Shares of the labelled pixels per class, and what is unlabelled.
local function histogram(count, classes, names)
  local labelled, list, absent = 0, {}, 0
  for c = 0, 254 do labelled = labelled + count[c] end
  for c = 0, classes - 1 do
    if count[c] == 0 then absent = absent + 1 end
    list[c + 1] = { class = c, name = names[c + 1], share = labelled > 0 and count[c] / labelled or 0 }
  end
  return { unlabelled = count[255] / math.max(1, labelled + count[255]), absent = absent, classes = host.array(list) }
end

local function over(list, n)
  local result = {}
  for k = 1, 3 do result[k] = n > 0 and list[k] / n or 0 end
  return host.array(result)
end

--- What one list of samples holds, as plain data.
---@param alone boolean  nobody has looked for labels without an image yet
local function examine(part, job, alone)
  local ok, data = pcall(part.open, true)
  if not ok then
    return { split = part.name, samples = 0, read = 0, problems = host.array { tostring(data) }, notes = host.array {} }
  end
  local info, odd = data:info(), data:oddities()
  local n = job.limit > 0 and math.min(job.limit, info.count) or info.count
  local progress <close> = core.progress(n, "reading " .. part.name, { unit = "images", tty = job.tty, quiet = job.quiet })
  local sums, problems = data:inspect(n, 64, function(done) progress:update(done) end)
  local row = { split = part.name, samples = info.count, read = sums.read, problems = host.array(problems) }
  local notes = {}
  local function note(text, ...) notes[#notes + 1] = text:format(...) end
  if odd.twice then note("%d ids are listed twice, '%s' first", odd.twice.count, odd.twice.first) end
  if odd.case_twins then
    note("%d ids differ from another in case alone ('%s'): they are two samples here, but one file on some systems",
      odd.case_twins.count, odd.case_twins.first)
  end
  if odd.misnamed then
    note("%d images are named as the other format (%s): they are read as what they are", odd.misnamed.count, odd.misnamed.first)
  end
  for _, o in ipairs(alone and data:orphans() or {}) do
    note("%s: %d files have no image ('%s' first)", o.task, o.count, o.first)
  end
  if sums.read > 0 then
    local pixels, has = sums.pixels, info.has
    row.height, row.width = host.array(sums.H), host.array(sums.W)
    row.image = { mean = over(sums.rgb, sums.read), std = {} }
    for k = 1, 3 do
      row.image.std[k] = math.sqrt(math.max(0, sums.rgb2[k] / sums.read - row.image.mean[k] ^ 2))
    end
    row.image.std = host.array(row.image.std)
    if has.semseg then
      row.semseg = histogram(sums.semseg, info.classes, info.names)
      if row.semseg.absent > 0 then note("semseg: %d of %d classes never occur", row.semseg.absent, info.classes) end
    end
    if has.human_parts then
      row.human_parts = histogram(sums.human_parts, info.parts, {})
      row.human_parts.people = sums.people
    end
    if has.depth then
      row.depth = { valid = sums.deep / pixels, mean = sums.depth_samples > 0 and sums.depth[1] / sums.depth_samples or 0,
        min = sums.depth[2], max = sums.depth[3] }
      if sums.deep == 0 then
        note "depth: not one valid pixel"
      elseif row.depth.max > 200 or row.depth.max < 0.2 then
        note("depth: up to %.4g metres; is 'scale' right?", row.depth.max)
      end
    end
    if has.normals then
      row.normals = { valid = sums.facing / pixels, mean = over(sums.normal, sums.normal_samples) }
      if sums.facing > 0 and row.normals.mean[3] < 0 then
        note "normals: on average they face away from the camera; are the axes right (x right, y up, z towards the camera)?"
      end
    end
    for _, task in ipairs { "edge", "sal" } do
      if has[task] then
        row[task] = { share = sums[task] / pixels }
        if sums[task] == 0 then note("%s: not one pixel is set; masks of 0 and 1 need threshold = 1", task) end
      end
    end
  end
  row.notes = host.array(notes)
  return row
end

local function range(v)
  return v[1] == v[2] and ("%d"):format(v[1]) or ("%d-%d"):format(v[1], v[2])
end

local function percent(x) return ("%.3g%%"):format(100 * x) end

local function triple(v) return ("%.3f %.3f %.3f"):format(v[1], v[2], v[3]) end

--- The most common classes.
local function common(h)
  local list = table.move(h.classes, 1, #h.classes, 1, {})
  table.sort(list, function(a, b) return a.share > b.share or a.share == b.share and a.class < b.class end)
  local words = {}
  for i = 1, math.min(6, #list) do
    if list[i].share > 0 then words[#words + 1] = ("%s %s"):format(list[i].name or list[i].class, percent(list[i].share)) end
  end
  return table.concat(words, ", ")
end

local function print_row(row)
  local function line(name, text, ...) print(("  %-12s "):format(name) .. text:format(...)) end
  print(("%s: %d samples, %d read, %d problems"):format(row.split, row.samples, row.read, #row.problems))
  if row.image then
    line("image", "%s x %s pixels, mean %s, std %s", range(row.height), range(row.width), triple(row.image.mean), triple(row.image.std))
  end
  for _, task in ipairs { "semseg", "human_parts" } do
    local h = row[task]
    if h then
      line(task, "%d classes, %s unlabelled: %s", #h.classes, percent(h.unlabelled), common(h))
      if h.people then line("", "%d images with parts", h.people) end
    end
  end
  if row.depth then
    line("depth", "%.3g to %.3g m, mean %.3g m, %s valid", row.depth.min, row.depth.max, row.depth.mean, percent(row.depth.valid))
  end
  if row.normals then line("normals", "mean %s, %s valid", triple(row.normals.mean), percent(row.normals.valid)) end
  for _, task in ipairs { "edge", "sal" } do
    if row[task] then line(task, "%s of pixels", percent(row[task].share)) end
  end
  for _, text in ipairs(row.notes) do print("  note: " .. text) end
  for i = 1, math.min(20, #row.problems) do print("  problem: " .. row.problems[i]) end
  if #row.problems > 20 then print(("  ... and %d more (--json lists all)"):format(#row.problems - 20)) end
end

local function check(path, job)
  local parts, layout = parts_of(path, job)
  local rows, bad = {}, 0
  local seen = {}
  for i, part in ipairs(parts) do
    rows[i] = examine(part, job, not seen[part.root or ""])
    seen[part.root or ""] = true
    bad = bad + #rows[i].problems
    if not job.json then print_row(rows[i]) end
  end
  if job.json then print(host.encode { path = path, layout = layout, problems = bad, splits = host.array(rows) }) end
  return bad > 0 and 1 or 0
end

-- show --------------------------------------------------------------------------------------------

--- How the loader would augment a part.
local function augment_of(part, data)
  local info = data:info()
  local size = part.size or info.H > 0 and { info.H, info.W } or { 384, 384 }
  return dataset.augment_options(part.augment, size, nil)
end

local function show(path, job)
  local part = parts_of(path, job)[1]
  local data = part.open(false)
  local count = data:info().count
  local rows = math.min(count, job.limit > 0 and job.limit or 8)
  local out = job.out or "sheet.png"
  data:sheet { path = out, rows = rows, stride = count // rows, augment = job.augment and augment_of(part, data) or nil }
  print(("%s: %d of %d samples of %s"):format(out, rows, count, part.name))
  return 0
end

---@param job table  args: what to do, and with what
---@return integer status
function data_verb.run(job)
  local verb, path = job.args[1], job.args[2]
  if verb == "check" then return check(path, job) end
  if verb == "show" then return show(path, job) end
  error(failure.new(2, ("data does not know '%s'; it has check and show"):format(verb)))
end

return data_verb
