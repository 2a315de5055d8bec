-- says: must return an experiment
return function() while true do end end
