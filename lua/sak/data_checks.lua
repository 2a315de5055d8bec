--- What must hold of data: folders and lists are there, every task has labels, settings belong to
--- their task.  Called by checks.lua; values already refused are nil or false.
local host = require "sak.host"
local schema = require "sak.schema"

local data_checks = {}

--- Folder of each task's labels in the published layouts; of two, either will do.
local label_folders = {
  folder = { semseg = { "segmentation" }, depth = { "depth" }, normals = { "normals" }, edge = { "edge" },
    sal = { "sal" }, human_parts = { "human_parts" } },
  pascal = { semseg = { "semseg/VOC12", "semseg/pascal-context" }, edge = { "pascal-context/trainval" },
    normals = { "normals_distill" }, sal = { "sal_distill" }, human_parts = { "human_parts" } },
}
local lists = { folder = "gt_sets", pascal = "ImageSets/Context" }

--- Which settings of its labels a task has.
local settings = { semseg = { "classes", "colours", "offset", "ignore" }, depth = { "scale" }, normals = { "axes" },
  edge = { "threshold" }, sal = { "threshold" } }
settings.human_parts = settings.semseg

local function list_of(v)
  return type(v) == "table" and v or {}
end

local function extended(steps, ...)
  local result = table.move(steps, 1, #steps, 1, {})
  for _, key in ipairs { ... } do result[#result + 1] = key end
  return result
end

local function has(list, value)
  for _, v in ipairs(list) do
    if v == value then return true end
  end
  return false
end

--- Tasks that a kind of data has labels for; nil where that cannot be known yet.
local function present(cx, d)
  if d.kind == "rooms" then return schema.tasks end
  local result = {}
  for _, task in ipairs(schema.tasks) do
    local found = false
    if d.tasks then
      found = d.tasks[task] ~= nil
    else
      for _, folder in ipairs(label_folders[d.kind] and label_folders[d.kind][task] or {}) do
        found = found or not cx.files or not d.root or host.exists(d.root .. "/" .. folder) == "folder"
      end
    end
    if found then result[#result + 1] = task end
  end
  return result
end

--- The file that lists one side's images, as `train` or `val` names it; nil where there is none.
---@return string? path
function data_checks.list_of_images(d, side)
  local name = d[side]
  if type(name) ~= "string" or not lists[d.kind] or not d.root then return nil end
  return name:match "%.txt$" and ("%s/%s"):format(d.root, name) or ("%s/%s/%s.txt"):format(d.root, lists[d.kind], name)
end

--- Lists of images, or shares of them.
local function sides(cx, steps, d)
  local train, val = d.train, d.val
  if type(train) == "number" and type(val) == "number" then
    if train + val > 1 + 1e-9 then
      cx.problem(extended(steps, "val"), ("shares of %g and %g are more than all images"):format(train, val))
    end
  elseif type(train) == "number" or type(val) == "number" then
    return cx.problem(extended(steps, type(train) == "number" and "train" or "val"),
      "train and val are both lists or both shares of all images", "train = 0.9, val = 0.1")
  end
  if not cx.files then return end
  for _, side in ipairs { "train", "val" } do
    local path = data_checks.list_of_images(d, side)
    if path and not host.exists(path) then
      cx.problem(extended(steps, side), ("%s: no such list of images"):format(path))
    end
  end
end

--- How each task's labels are stored.
local function own_tasks(cx, steps, d)
  for task, t in pairs(list_of(d.tasks)) do
    local at = extended(steps, "tasks", task)
    local function mine(key) return extended(at, key) end
    for _, list in pairs(settings) do
      for _, key in ipairs(list) do
        if t[key] ~= nil and not has(settings[task], key) then
          cx.problem(mine(key), ("'%s' says nothing about %s"):format(key, task),
            ("%s has: dir, suffix, %s"):format(task, table.concat(settings[task], ", ")))
        end
      end
    end
    local count = type(t.classes) == "table" and #t.classes or t.classes
    if settings[task] == settings.semseg and not count and not t.colours then
      cx.problem(at, ("tasks.%s needs 'classes': how many, or their names"):format(task), "classes = { \"floor\", \"wall\" }")
    elseif t.colours and count and #t.colours ~= count then
      cx.problem(mine "colours", ("%d colours for %d classes"):format(#t.colours, count))
    elseif t.colours and t.offset then
      cx.problem(mine "offset", "colours have no offset")
    elseif t.ignore and (type(t.ignore) == "table") ~= (t.colours ~= nil) then
      cx.problem(mine "ignore", t.colours and "labels stored as colours are ignored by colour"
        or "labels stored as values are ignored by value")
    end
    local seen = {}
    for _, axis in ipairs(list_of(t.axes)) do
      local letter = axis and axis:sub(-1)
      if letter and seen[letter] then
        cx.problem(mine "axes", ("axes holds %s twice"):format(letter), 'axes = { "x", "-y", "-z" }')
      end
      seen[letter or 0] = true
    end
    if cx.files and d.root and t.dir and host.exists(d.root .. "/" .. t.dir) ~= "folder" then
      cx.problem(mine "dir", ("%s/%s: no such folder"):format(d.root, t.dir))
    end
  end
  if d.image and not d.tasks then
    cx.problem(extended(steps, "image"), "'image' goes with 'tasks'; the NYUD layout has its images in images/")
  end
end

--- Data of an experiment or of a stage that has `tasks`.
---@param cx sak.Context
---@param steps table  where it stands in the configuration
---@param d any
---@param tasks any
function data_checks.data(cx, steps, d, tasks)
  if type(d) ~= "table" then
    return
  end
  if d.kind ~= "rooms" and d.root then
    local what = cx.files and host.exists(d.root)
    if cx.files and what ~= "folder" and not (what and d.kind == "images") then
      return cx.problem(extended(steps, "root"),
        ("%s: no such folder%s"):format(d.root, d.kind == "images" and " or archive" or ""))
    end
    if d.kind == "imagenet" and cx.files and not host.exists(("%s/ILSVRC2012_img_%s.tar"):format(d.root, d.train))
      and host.exists(d.root .. "/" .. d.train) ~= "folder" then
      cx.problem(extended(steps, "root"), ("%s holds neither ILSVRC2012_img_%s.tar nor a folder %s/"):format(d.root, d.train, d.train))
    end
    if d.kind == "folder" or d.kind == "pascal" then sides(cx, steps, d) end
    if d.kind == "folder" then own_tasks(cx, steps, d) end
  elseif d.kind ~= "rooms" then
    return
  end
  local there = present(cx, d)
  for i, task in ipairs(list_of(tasks)) do
    if task and not has(there, task) then
      cx.problem(steps[1] == "data" and { "student", "tasks", i } or steps,
        ("%s has no labels for '%s'"):format(d.root or d.kind, task),
        #there > 0 and "it has: " .. table.concat(there, ", ") or "it has images alone, which is enough for distill stages")
    end
  end
end

return data_checks
