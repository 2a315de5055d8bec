-- says: contains itself
local sak = require 'sak'
local t = {}
t.t = t
return sak.experiment 'x' { data = t }
