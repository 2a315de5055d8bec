--- `sak ops nn`: what a researcher's function gets beside its tensors.

local host = require "sak.host"
local nn = require "sak.nn"

local ops_verb = {}

local formats = {}

function formats.json(methods) print(host.encode(host.array(methods))) end

function formats.csv(methods)
  local function field(text) return '"' .. text:gsub('"', '""') .. '"' end
  io.write "name,call,doc\r\n"
  for _, m in ipairs(methods) do io.write(m.name, ",", field(m.call), ",", field(m.doc), "\r\n") end
end

function formats.text(methods)
  print "nn, the last argument of a router, an adapter or a head, makes named parameters:\n"
  for _, m in ipairs(methods) do print(("  %s\n      %s"):format(m.call, m.doc)) end
  print '\nnn / "name" is a scope of its own: what it makes is called name.… . Axes count from 0.'
end

function ops_verb.run(job)
  formats[job.json and "json" or job.csv and "csv" or "text"](nn.methods)
  return 0
end

return ops_verb
