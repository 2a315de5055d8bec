--- Task heads: from four mixed levels to pixels (sak-method.md section 3).

local nn_ = require "sak.nn"
local to_map = nn_.to_map

local head = {}

--- Output channels by task; classes and parts come from the dataset.
---@param info {classes: integer, parts: integer}
function head.channels(task, info)
  local channels = { semseg = info.classes, human_parts = info.parts, normals = 3, edge = 1,
    depth = 1, sal = 2 }
  return channels[task]
end

--- Per level Linear(C -> C/4), resize to (H/4, W/4), concatenate, 3x3 conv, BatchNorm, GELU,
--- 1x1 conv to the task's channels. Returns the quarter-size map; `head.upsample` brings it to H x W.
--- C is the last level's width; Swin's earlier levels are narrower and on finer grids.
---@param levels userdata[]  four of (B, h*w, C), of grids c.grids
---@return userdata (B, H/4, W/4, channels)
function head.fusion(nn, levels, c)
  local C = levels[#levels].shape[3]
  local maps = {}
  for k, x in ipairs(levels) do
    local m = (nn / "linears"):linear(k - 1, x, C // 4)
    maps[k] = to_map(m, c.grids[k][1], c.grids[k][2]):resize { size = { c.H // 4, c.W // 4 }, mode = "bilinear" }
  end
  local x = maps[1]:concat(maps[2], maps[3], maps[4], { axis = 3 })
  local fuse = nn / "linear_fuse"
  x = fuse:batch_norm("1", fuse:conv("0", x, C, 3)):gelu()
  return nn:conv1x1("last_conv", x, c.channels)
end

--- A single linear map per token and level, summed: the cheapest probe of a representation.
function head.linear(nn, levels, c)
  local sum
  for k, x in ipairs(levels) do
    local g, first = c.grids[k], c.grids[1]
    local m = to_map((nn / "linears"):linear(k - 1, x, c.channels), g[1], g[2])
    if g[1] ~= first[1] or g[2] ~= first[2] then m = m:resize { size = first, mode = "bilinear" } end
    sum = sum and sum + m or m
  end
  return sum
end

function head.upsample(low, H, W)
  return low:resize { size = { H, W }, mode = "bilinear" }
end

---@param nn Scope
---@param levels userdata[]
---@param c table  { kind or fn, grids, H, W, channels, task }; c.fn is a researcher's own
---function(levels, task, nn) -> (B, any h, any w, channels)
function head.forward(nn, levels, c)
  local low
  if c.fn then low = c.fn(levels, c.task, nn) else low = head[c.kind](nn, levels, c) end
  local B, s = levels[1].shape[1], nn_.shape_of(low, levels[1])
  if not s or #s ~= 4 or s[1] ~= B or s[4] ~= c.channels then
    error(("%s: the head returned %s, but %s needs (%d, any height, any width, %s)"):format(
      c.place or c.kind .. " head", nn_.describe(low, levels[1]), c.task, B, c.channels), 0)
  end
  return low
end

return head
