-- says: too much work
local s = ('a'):rep(3e7)
while true do utf8.len(s) end
