-- says: overflow|too many
local f, message = load('return ' .. ('('):rep(1e5))
error(message)
