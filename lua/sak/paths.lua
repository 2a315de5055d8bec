--- Paths as text.

local paths = {}

--- The folder a file lies in, without a final slash; "." for a bare name.
---@param path string
function paths.folder(path) return path:match("^(.*)/[^/]*$") or "." end

return paths
