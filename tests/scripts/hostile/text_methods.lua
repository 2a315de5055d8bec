-- says: attempt to index a nil value
getmetatable('').__index.rep = nil
