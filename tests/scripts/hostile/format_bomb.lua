-- says: too much memory
local s = 'x'
while true do s = ('%s%s'):format(s, s) end
