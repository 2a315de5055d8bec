--- Errors that choose the exit status themselves; a plain string counts as wrong input (2).

local failure = {}

local meta = { __tostring = function(f) return f.text end, __name = "failure" }

---@param status integer  1 failed, 130 interrupted
---@param text string
function failure.new(status, text)
  return setmetatable({ status = status, text = text }, meta)
end

return failure
