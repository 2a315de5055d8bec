-- The rooms of experiments/three_teachers.lua, or a part of the training images.
local sak = require "sak"

return function(fraction)
  return sak.data.rooms { train = 2000, size = { 64, 96 }, fraction = fraction }
end
