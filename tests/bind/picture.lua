-- Windows put a picture together again: what a network that looks at single pixels says of it does not
-- depend on how it was cut.
local core = require "sak.core"
local host = require "sak.host"
local predict = require "sak.predict"
local predictions = require "sak.predictions"

local H, W = 37, 53
local rooms = core.rooms { seed = 3, count = 1, H = H, W = W }

--- A graph for windows of h x w whose answer is the mean of each pixel's three channels, and three.
local function pixelwise(h, w)
  local g = core.graph {}
  local image = g:input("image", { 1, h, w, 3 })
  g:output("out/depth", image:mean { axis = 3 }:reshape { shape = { 1, h, w, 1 } })
  g:output("out/normals", image * 2)
  g:plan()
  g:allocate()
  return g
end

local path = os.tmpname()

--- The depth that a picture was predicted to have, as it is saved.
local function depth_of(picture)
  picture:save("depth", path)
  local file <close> = assert(io.open(path, "rb"))
  local bytes = file:read "a"
  local length = string.unpack("<I2", bytes, 9)
  local h, w = bytes:match "'shape': %((%d+),(%d+),%)"
  assert(bytes:sub(1, 8) == "\x93NUMPY\1\0" and (10 + length) % 64 == 0 and bytes:byte(10 + length) == 10)
  h, w = math.tointeger(h), math.tointeger(w)
  assert(#bytes == 10 + length + 4 * h * w)
  local values = {}
  for i = 1, h * w do values[i] = string.unpack("<f", bytes, 11 + length + 4 * (i - 1)) end
  return values, h, w
end

local function predicted(windows, h, w)
  local g, picture = pixelwise(h, w), rooms:picture(0)
  for _, at in ipairs(windows) do
    picture:give(g, 0, at[1], at[2])
    g:forward(0)
    picture:take(g, 0, { "depth", "normals" }, at[1], at[2], #windows > 1)
  end
  picture:finish()
  return picture
end

-- what the loader gives to training is what a window shows
local whole, wh, ww = depth_of(predicted({ { 0, 0 } }, H, W))
assert(wh == H and ww == W)
local g = pixelwise(H, W)
local loader <close> = core.loader(rooms, { fields = { "image" }, batch = 1, H = H, W = W })
loader:next(g)
assert(loader:index(0) == 0)
g:forward(0)
local want = g:value "out/depth"
for i = 1, H * W do assert(whole[i] == want[i], ("pixel %d: %.9g, wanted %.9g"):format(i, whole[i], want[i])) end

-- padded on all sides: the same bits
local y, x = predictions.centre(H, W, 64, 80)
assert(y == -13 and x == -13)
local padded = depth_of(predicted({ { y, x } }, 64, 80))
for i = 1, H * W do assert(padded[i] == whole[i], "padding changes pixel " .. i) end

-- tiled, with windows larger than the picture in one direction too
for _, size in ipairs { { 16, 24 }, { 37, 8 }, { 9, 64 }, { 1, 1 }, { 36, 52 } } do
  local windows, covered = {}, {}
  for _, top in ipairs(predict.places(H, size[1])) do
    for _, left in ipairs(predict.places(W, size[2])) do
      windows[#windows + 1] = { top, left }
      for r = top, top + size[1] - 1 do
        for c = left, left + size[2] - 1 do covered[r * 1000 + c] = true end
      end
      assert(size[1] > H or top >= 0 and top + size[1] <= H)
      assert(size[2] > W or left >= 0 and left + size[2] <= W)
    end
  end
  for r = 0, H - 1 do
    for c = 0, W - 1 do assert(covered[r * 1000 + c], ("no window shows (%d, %d)"):format(r, c)) end
  end
  local tiled = depth_of(predicted(windows, size[1], size[2]))
  for i = 1, H * W do
    assert(math.abs(tiled[i] - whole[i]) < 1e-6, ("windows of %dx%d: pixel %d is %.9g, wanted %.9g"):format(size[1], size[2],
      i, tiled[i], whole[i]))
  end
end

-- neighbours overlap by half or more
for _, n in ipairs { 17, 24, 25, 100, 1000 } do
  local places = predict.places(n, 16)
  assert(places[1] == 0 and places[#places] == n - 16)
  for i = 2, #places do assert(places[i] - places[i - 1] <= 8 and places[i] > places[i - 1]) end
end

-- a window in the middle of a larger picture: only what it covers is saved
y, x = predictions.centre(H, W, 16, 24)
assert(y == 10 and x == 14)
local part, ph, pw = depth_of(predicted({ { y, x } }, 16, 24))
assert(ph == 16 and pw == 24 and part[1] == whole[y * W + x + 1] and part[#part] == whole[(y + 15) * W + x + 24])

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok and message:find(words, 1, true), tostring(message) .. "; wanted: " .. words)
end
local picture = rooms:picture(0)
refuses("misses the picture of 37x53", picture.give, picture, g, 0, 37, 0)
refuses("it has no image 1", picture.give, picture, g, 1, 0, 0)
refuses("no input or output 'out/sal'", picture.take, picture, g, 0, { "sal" }, 0, 0)
refuses("nothing was predicted for 'edge'", picture.save, picture, "edge", path)
refuses("No such file", core.picture, path .. ".png")
picture:close()
refuses("has been closed", picture.size, picture)
os.remove(path)
assert(host.exists(path) ~= "file")
