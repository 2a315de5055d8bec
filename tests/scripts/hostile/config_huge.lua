-- says: too large
local sak = require 'sak'
local t = {}
for i = 1, 2e5 do t[i] = {} end
return sak.experiment 'x' { data = t }
