--- `require "sak"`: the constructors of an experiment (see schema.lua for their settings).
--- They build values and run nothing; `sak run FILE` freezes, checks and executes what is returned.
return require("sak.spec").constructors()
