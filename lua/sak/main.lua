--- Entry point of the verbs that need Lua: the command line calls dispatch(job) once.

local main = {}

local modules = {
  run = "sak.run", check = "sak.check", verify = "sak.verify", export = "sak.export", sweep = "sak.sweep",
  trial = "sak.trial", resume = "sak.resume", replay = "sak.replay", retry = { "sak.sweep", "retry" },
  stop = { "sak.sweep", "stop" }, bench = "sak.bench", data = "sak.data_verb",
  cache = "sak.cache_verb",
  eval = "sak.eval", predict = "sak.predict", ops = "sak.ops_verb",
}

--- Exit status of an error: 2 when the input was wrong, 1 when something failed. A message that
--- begins with a place in sak's own modules is our bug.
local function status_of(message)
  if type(message) == "table" then return message.status end
  return tostring(message):match("^sak/[%w_/]+%.lua:%d+:") and 1 or 2
end

local function handler(message)
  local text = tostring(message)
  if os.getenv "SAK_TRACEBACK" then text = debug.traceback(text, 2) end
  return { status = status_of(message), text = text }
end

--- The line of the script that a message names, as errors of the configuration show it.
local function quote(message)
  return require("sak.diagnose").quote(message, require("sak.script").texts)
end

---@param job {verb: string, args: string[], set: string[], db: string, threads: integer, quiet: boolean, tty: boolean, stage: integer, dtype: string?}
---@return integer exit status
function main.dispatch(job)
  local name = modules[job.verb]
  if not name then error("unknown verb '" .. tostring(job.verb) .. "'", 0) end
  local ok, result = xpcall(function()
    require("sak.dataset").cache = require("sak.paths").folder(job.db) .. "/cache/images"
    if type(name) == "table" then return require(name[1])[name[2]](job) end
    return require(name).run(job)
  end, handler)
  if ok then return result end
  local bare = type(result) == "string" -- without memory there is no handler
  io.stderr:write("error: ", bare and result or result.text .. quote(result.text), "\n")
  return bare and 1 or result.status
end

return main
