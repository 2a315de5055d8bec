--- Entry point of the verbs that need Lua: the command line calls dispatch(job) once.

local main = {}

local modules = {
  run = "sak.run", check = "sak.check", verify = "sak.verify",
}

---@param job {verb: string, args: string[], set: string[], db: string, threads: integer, quiet: boolean, tty: boolean}
---@return integer exit status
function main.dispatch(job)
  local name = modules[job.verb]
  if not name then error("unknown verb '" .. tostring(job.verb) .. "'", 0) end
  return require(name).run(job)
end

return main
