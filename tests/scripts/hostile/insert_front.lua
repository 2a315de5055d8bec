-- says: too much work
local t = {}
for i = 1, 2e6 do t[i] = i end
while true do table.insert(t, 1, 1) end
