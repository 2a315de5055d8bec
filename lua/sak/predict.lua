--- `sak predict RUN IMAGE…`: what a run's student says of images of any size.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local locate = require "sak.locate"
local paths = require "sak.paths"
local predictions = require "sak.predictions"
local rebuild = require "sak.rebuild"
local stages = require "sak.stages"

local predict = {}

--- Beyond so many times the pixels of training images are tiled unless --pad is given: attention over all
--- of them would take its square.
local WHOLE_MAX = 16

--- Memory that a graph may plan for one image; larger images are for --tile.
local PLAN_MAX = 8 * 2 ^ 30
--- Values kept of one image.
local VALUES_MAX = 2 ^ 30

--- The images that are asked for: files, and all in folders.  What is missing is a problem of its own.
---@return {name: string, id: string, open: fun(): userdata}[] items, string[] problems
local function collect(args)
  local items, problems, seen = {}, {}, {}
  local function add(name, id, open)
    if seen[id] then
      error(failure.new(2, ("%s and %s would both be saved as '%s'; predict them into folders of their own"):format(
        seen[id], name, id)))
    end
    seen[id] = name
    items[#items + 1] = { name = name, id = id, open = open }
  end
  for i = 2, #args do
    local path = args[i]
    local what = host.exists(path)
    if what == "folder" then
      local ok, folder = pcall(core.folder, { root = path, layout = "images", unchecked = true })
      if ok then
        local names = {} -- a folder's samples are in random order
        for k = 0, folder:info().count - 1 do names[k + 1] = { folder:id(k), k } end
        table.sort(names, function(a, b) return a[1] < b[1] end)
        for _, n in ipairs(names) do
          add(path:gsub("/+$", "") .. "/" .. n[1], predictions.stem(n[1]), function() return (folder:picture(n[2])) end)
        end
      else
        problems[#problems + 1] = tostring(folder)
      end
    elseif what then
      add(path, predictions.stem(path:match "[^/]*$"), function() return core.picture(path) end)
    else
      problems[#problems + 1] = path .. ": no such file or folder"
    end
  end
  return items, problems
end

--- First pixels of overlapping windows of w along an image of n >= w pixels: as few as overlap by half
--- or more, the last one at the end.
---@return integer[]
function predict.places(n, w)
  local count = math.max(1, math.ceil((n - w) / math.max(1, w // 2)) + 1)
  local list = {}
  for i = 1, count do
    list[i] = count == 1 and -((w - math.min(n, w)) // 2) or math.floor((n - w) * (i - 1) / (count - 1) + 0.5)
  end
  return list
end

--- Windows of an image, and their size.
---@return {[1]: integer, [2]: integer}[] windows  their first pixels
---@return integer[] size
local function windows(r, H, W, tile)
  local size = r.cfg.data.size
  if tile then
    local list = {}
    for _, y in ipairs(predict.places(H, size[1])) do
      for _, x in ipairs(predict.places(W, size[2])) do list[#list + 1] = { y, x } end
    end
    return list, size
  end
  local stem = r.cfg.student.stem
  local step = stem.patch * (stem.kind == "swin" and 8 or 1)
  local function whole(n, own) return n <= own and own or (n + step - 1) // step * step end
  size = { whole(H, size[1]), whole(W, size[2]) }
  return { { predictions.centre(H, W, size[1], size[2]) } }, size
end

--- The graph for images of a size; the latest one is kept.
local function graph_for(r, tasks, kept, size)
  local key = size[1] .. "x" .. size[2]
  if kept.key == key then return kept.graph end
  if kept.graph then kept.graph:close() end
  kept.key, kept.graph = nil, nil
  collectgarbage()
  local params = core.params(r.cfg.seed)
  local made = stages.plan_prediction(r.ctx, params, size, tasks)
  local bytes = made.graph:bytes()
  if bytes > PLAN_MAX then
    error(("%dx%d pixels at once take %.1f GiB; --tile predicts them in windows"):format(size[1], size[2], bytes / 2 ^ 30), 0)
  end
  rebuild.load(r, params, size)
  made.finish()
  kept.key, kept.graph = key, made.graph
  return made.graph
end

--- Predicts one image; raises what is wrong with it.
---@return userdata picture, integer windows
local function run_one(r, item, tasks, kept, job)
  local picture = item.open()
  local H, W = picture:size()
  local own = r.cfg.data.size
  local tile = job.tile or not job.pad and H * W > WHOLE_MAX * own[1] * own[2]
  if tile and not job.tile then
    r.ctx.note(("%s: %dx%d is more than %d times the %dx%d of training: tiled (--pad takes it whole)"):format(item.name, H, W,
      WHOLE_MAX, own[1], own[2]))
  end
  local channels = 0
  for _, task in ipairs(tasks) do
    channels = channels + (({ semseg = r.ctx.data.info.classes, human_parts = r.ctx.data.info.parts, normals = 3, sal = 2 })[task] or 1)
  end
  if H * W * channels > VALUES_MAX then
    error(("%s: %dx%d pixels with %d channels are too many at once; fewer --tasks, or a smaller image"):format(item.name, H,
      W, channels), 0)
  end
  local list, size = windows(r, H, W, tile)
  local graph = graph_for(r, tasks, kept, size)
  for _, at in ipairs(list) do
    picture:give(graph, 0, at[1], at[2])
    graph:forward(0)
    picture:take(graph, 0, tasks, at[1], at[2], #list > 1)
  end
  picture:finish()
  return picture, #list
end

---@param job table
---@return integer status
function predict.run(job)
  local store <close> = core.store(job.db, "read")
  local r = rebuild.open(store, job)
  local tasks = rebuild.tasks(r, job.tasks)
  local items, problems = collect(job.args)
  local sheet_path = job.out or (job.save and job.save .. "/predictions.png") or "predictions.png"
  if job.save then
    predictions.check(store, job.db, job.save, r.cfg.data)
    core.mkdir(job.save)
  end
  locate.check_destination(store, job.db, sheet_path)
  if host.exists(paths.folder(sheet_path)) ~= "folder" then
    error(failure.new(2, ("%s: there is no folder %s"):format(sheet_path, paths.folder(sheet_path))))
  elseif host.exists(sheet_path) == "folder" then
    error(failure.new(2, ("--out %s: that is a folder; name a .png in it, or say --save for files"):format(sheet_path)))
  end
  for _, text in ipairs(problems) do io.stderr:write("error: ", text, "\n") end
  local sheet = predictions.sheet(sheet_path, #items, #tasks)
  local rows, kept = {}, {}
  local progress <close> = core.progress(math.max(1, #items), "predicting", { unit = "images", tty = job.tty,
    quiet = job.quiet or #items < 2 })
  for i, item in ipairs(items) do
    if core.interrupted() then error(failure.new(130, "interrupted")) end
    local ok, picture, n = pcall(run_one, r, item, tasks, kept, job)
    if ok then
      local H, W = picture:size()
      local files = job.save and predictions.save(picture, job.save, item.id, tasks) or nil
      sheet:add(picture, item.id)
      picture:close()
      rows[#rows + 1] = { image = item.name, id = item.id, height = H, width = W, windows = n, files = files }
    else
      local text = tostring(picture)
      if not text:find(item.name, 1, true) then text = item.name .. ": " .. text end
      problems[#problems + 1] = text
      io.stderr:write("error: ", text, "\n")
    end
    progress:update(i)
  end
  local drawn = sheet:write()
  if job.json then
    print(host.encode { run = r.row.id, experiment = r.row.experiment, weights = r.path, tasks = host.array(tasks),
      images = host.array(rows), problems = host.array(problems), saved = job.save, sheet = drawn and sheet_path or nil })
  elseif #rows > 0 then
    print(("%d image%s by %s: %s%s"):format(#rows, #rows == 1 and "" or "s", rebuild.name_of(r.row),
      job.save and job.save .. "/, " or "", sheet_path))
  end
  return #problems > 0 and 1 or 0
end

return predict
