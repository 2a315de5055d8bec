-- says: nested too deeply
local sak = require 'sak'
local t = {}
for i = 1, 1e5 do t = { t } end
return sak.experiment 'x' { data = t }
