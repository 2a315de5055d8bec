-- says: stack overflow
local t = setmetatable({}, {})
getmetatable(t).__index = function(t, k) return t[k .. k:sub(1, 0)] end
return t.x
