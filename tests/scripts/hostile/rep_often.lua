-- says: too much work
while true do local s = ('x'):rep(3e7) end
