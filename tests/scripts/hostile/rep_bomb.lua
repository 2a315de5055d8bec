-- says: MB of text are more than a script may hold
local s = 'x'
while true do s = s:rep(10) end
