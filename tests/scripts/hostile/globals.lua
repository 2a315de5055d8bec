-- says: cannot change a protected metatable
setmetatable(_G, { __index = function() return nil end })
