--- Runs a script inside the sandbox and keeps what it was made of: its text and what it required.
local host = require "sak.host"
local safelib = require "sak.safelib"

--- texts: what this process has run of scripts and the modules beside them, by path.
local script = { texts = {} }

---@class sak.Source
---@field path string
---@field text string
---@field sha256 string
---@field kind "script"|"module"|"embedded"

--- What one or more scripts are run with.
---@class sak.Loader
---@field sources sak.Source[]  everything read, in order
---@field texts table<string, string>  text by path, for excerpts in messages
---@field private files? table<string, string>  read instead of the disk (replay)
local Loader = {}
Loader.__index = Loader

--- Parts of lua/sak that scripts may load; they get a copy of their own, without privileges.
local public = { ["sak"] = true, ["sak.spec"] = true, ["sak.schema"] = true, ["sak.types"] = true,
  ["sak.archs"] = true, ["sak.name_rules"] = true }
for _, part in ipairs { "families", "encoders", "data", "student", "training", "experiment", "sweep" } do
  public["sak.schema." .. part] = true
end

---@param files? table<string, string>
---@return sak.Loader
function script.loader(files)
  return setmetatable({ sources = {}, texts = {}, files = files, known = {} }, Loader)
end

function Loader:record(kind, path, text)
  self.texts[path] = text
  if kind ~= "embedded" then script.texts[path] = text end
  if not self.known[path] then
    self.known[path] = true
    self.sources[#self.sources + 1] =
      { kind = kind, path = path, text = text, sha256 = host.sha256(text) }
  end
end

--- Text of a file, from the stored ones if there are any.
---@param path string
---@return string? text
---@return string? message
function Loader:read(path)
  if self.files then
    local text = self.files[path]
    return text, not text and path .. ": not among the stored files" or nil
  end
  return host.read(path)
end

--- The folder of a path, with its slash; "" for the current one.
local function folder(path)
  return path:match "^(.*/)[^/]*$" or ""
end

--- A module beside the script; a link must not lead out of its folder.
local function find_beside(self, dir, name)
  local path = dir .. name:gsub("%.", "/") .. ".lua"
  if self.files then
    return self.files[path] and path
  end
  if host.exists(path) ~= "file" then
    return nil
  end
  local root, real = host.realpath(dir == "" and "." or dir), host.realpath(path)
  if not root or not real or real:sub(1, #root + 1) ~= (root == "/" and "/" or root .. "/") then
    error(("module '%s' lies outside the script's folder"):format(name), 3)
  end
  return path
end

--- `require` as a script sees it.
local function requirer(self, dir)
  local loaded, loading = {}, {}
  local env
  local marks = { mark = host.mark, here = host.here }
  local function run(name, text, chunk)
    local f, message = host.compile(text, chunk, env)
    if not f then
      error(message, 0)
    end
    loading[name] = true
    local value = f(name)
    loading[name] = nil
    loaded[name] = value == nil and true or value
    return loaded[name]
  end
  local function require(name)
    if type(name) ~= "string" or not name:find "^[%w_][%w_.]*$" or name:find("..", 1, true) then
      error("require takes a module's name: letters, digits, _ and dots", 2)
    elseif loaded[name] ~= nil then
      return loaded[name]
    elseif loading[name] then
      error(("module '%s' requires itself"):format(name), 2)
    elseif name == "sak.mark" then
      return marks
    elseif public[name] then
      local text, file = host.module(name)
      self:record("embedded", file, text)
      return run(name, text, "=" .. file)
    elseif name:find "^sak%." then
      error(("module '%s' is not available to scripts"):format(name), 2)
    end
    local path = find_beside(self, dir, name)
    if not path then
      error(("there is no module '%s': neither part of sak nor %s%s.lua"):format(name, dir,
        (name:gsub("%.", "/"))), 2)
    end
    local text, message = self:read(path)
    if not text then
      error(message, 2)
    end
    self:record("module", path, text)
    return run(name, text, "@" .. path)
  end
  env = safelib.environment(require)
  return env
end

--- Globals for scripts that lie in a folder ("" or ending in a slash).
---@param dir string
---@return table
function Loader:environment(dir)
  local _, unsafe = host.limits()
  local env = requirer(self, dir)
  if not unsafe then
    return env
  end
  local require_in_sandbox = env.require -- so that `sak` marks its values
  return setmetatable({ require = require_in_sandbox }, { __index = _G })
end

--- Runs a text in the sandbox.
---@param text string
---@param chunk string  "@path" or "=title"
---@param dir string  where its modules are
---@return boolean ok
---@return any value_or_message
function Loader:run(text, chunk, dir)
  local env = self:environment(dir)
  local f, message = host.compile(text, chunk, env)
  if not f then
    return false, message
  end
  return host.guard(f)
end

--- Runs a script file; a message is "path:line: …" where the place is known.
---@param path string
---@return boolean ok
---@return any value_or_message
function Loader:run_file(path)
  local text, message = self:read(path)
  if not text then
    return false, message
  end
  self:record("script", path, text)
  return self:run(text, "@" .. path, folder(path))
end

return script
