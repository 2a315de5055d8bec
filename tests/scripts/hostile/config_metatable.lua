-- says: a table with a metatable cannot be a setting
local sak = require 'sak'
return sak.experiment 'x' { data = setmetatable({}, { __index = function() while true do end end, __pairs = error }) }
