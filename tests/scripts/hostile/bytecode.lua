-- says: bytecode
return load('\27Lua\x54\0\x19\x93')()
