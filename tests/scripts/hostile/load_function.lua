-- says: load takes text
return load(function() return '\27Lua' end)
