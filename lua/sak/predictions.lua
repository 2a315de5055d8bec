--- Where predictions are written: folders and names of the published layout, and a sheet of them.

local core = require "sak.core"
local failure = require "sak.failure"
local host = require "sak.host"
local locate = require "sak.locate"
local paths = require "sak.paths"

local predictions = {}

local folders = { semseg = { "segmentation", ".png" }, depth = { "depth", ".npy" }, normals = { "normals", ".png" },
  edge = { "edge", ".png" }, sal = { "sal", ".png" }, human_parts = { "human_parts", ".png" } }

--- Refuses a folder whose files are somebody's ground truth, or a run's.
---@param dir string
---@param data? table  resolved data of the run
function predictions.check(store, db, dir, data)
  for _, name in ipairs { "gt_sets", "images", "JPEGImages", "ImageSets" } do
    if host.exists(dir .. "/" .. name) then
      error(failure.new(2, ("--save %s: that is a data set (it holds %s/), whose labels would be overwritten; "
        .. "choose another folder"):format(dir, name)))
    end
  end
  if data and data.root and host.same_file(data.root, dir) then
    error(failure.new(2, ("--save %s: the run's data lie there; choose another folder"):format(dir)))
  end
  locate.check_destination(store, db, dir .. "/predictions.png")
end

--- Without the suffix of a picture.
function predictions.stem(name)
  return (name:gsub("%.[pP][nN][gG]$", ""):gsub("%.[jJ][pP][eE]?[gG]$", ""))
end

--- Writes what a picture was predicted to be.
---@param picture userdata
---@param id string
---@return table<string, string> files  by task
function predictions.save(picture, dir, id, tasks)
  local files = {}
  for _, task in ipairs(tasks) do
    local path = ("%s/%s/%s%s"):format(dir, folders[task][1], id, folders[task][2])
    core.mkdir(paths.folder(path))
    picture:save(task, path)
    files[task] = path
  end
  return files
end

--- Where the first pixel of a window of h x w lies that shows an image of H x W centrally, as evaluation
--- does: padded where it is smaller, its middle where it is larger.
---@return integer y, integer x
function predictions.centre(H, W, h, w)
  local function first(image, window)
    if image <= window then return -((window - image) // 2) end
    return (image - window) // 2
  end
  return first(H, h), first(W, w)
end

local Sheet = {}
Sheet.__index = Sheet

--- A sheet of at most `rows` pictures, whose tiles have the shape of the first.
---@param columns integer  tasks
function predictions.sheet(path, rows, columns)
  return setmetatable({ path = path, rows = math.min(rows, 16), columns = columns, n = 0 }, Sheet)
end

function Sheet:add(picture, caption)
  if self.n == self.rows then return end
  if not self.canvas then
    local H, W = picture:size()
    local scale = 320 / math.max(H, W)
    self.canvas = core.picture_sheet(self.rows, self.columns, math.max(1, math.floor(H * scale + 0.5)),
      math.max(1, math.floor(W * scale + 0.5)))
  end
  self.canvas:draw(picture, self.n, caption)
  self.n = self.n + 1
end

--- Writes what was drawn; false if nothing was.
function Sheet:write()
  if self.n == 0 then return false end
  self.canvas:write(self.path)
  return true
end

return predictions
