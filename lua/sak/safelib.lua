--- The standard library as scripts see it: no files, processes, time, randomness or addresses, no
--- way to reach trusted code, and no call that works for long without Lua noticing.
local host = require "sak.host"

local safelib = {}

local LARGEST = 1000000000 -- steps that one library call may take
local PRINTED, PRINTED_BYTES = 1000, 1000000 -- lines, bytes

local function refuse(format, ...)
  error(string.format(format, ...), 3)
end

--- tostring without addresses, which differ from run to run.
local function safe_tostring(v)
  local kind = type(v)
  if kind == "string" or kind == "number" or kind == "boolean" or kind == "nil" then
    return tostring(v)
  end
  local meta = (kind == "table" or kind == "userdata") and debug.getmetatable(v) -- a tensor says its shape
  local method = type(meta) == "table" and rawget(meta, "__tostring")
  if type(method) == "function" then
    local text = method(v)
    return type(text) == "string" and text or kind
  end
  return kind
end

--- Keys in a fixed order: numbers, then texts, then the rest as the table has them.
local function sorted_keys(t)
  local numbers, texts, others = {}, {}, {}
  for k in next, t do
    local list = type(k) == "number" and numbers or type(k) == "string" and texts or others
    list[#list + 1] = k
  end
  table.sort(numbers)
  table.sort(texts)
  table.move(texts, 1, #texts, #numbers + 1, numbers)
  return table.move(others, 1, #others, #numbers + 1, numbers)
end

--- pairs in a fixed order, so that what a script builds does not depend on hash seeds.
local function safe_pairs(t)
  local meta = type(t) == "table" and debug.getmetatable(t)
  local method = type(meta) == "table" and rawget(meta, "__pairs")
  if method then
    return method(t)
  end
  local keys, i = sorted_keys(t), 0
  return function()
    repeat
      i = i + 1
    until keys[i] == nil or rawget(t, keys[i]) ~= nil
    if keys[i] ~= nil then
      return keys[i], rawget(t, keys[i])
    end
  end, t, nil
end

local function safe_next(t, key)
  if key ~= nil then
    refuse "next(t, key) is not available to scripts; use pairs"
  end
  local first = sorted_keys(t)[1]
  if first ~= nil then
    return first, rawget(t, first)
  end
end

local allowed = {}
for name in ("index newindex call tostring eq lt le add sub mul div mod pow unm idiv band bor bxor "
  .. "bnot shl shr concat pairs metatable name"):gmatch "%a+" do
  allowed["__" .. name] = true
end

local function safe_setmetatable(t, meta)
  for key in next, type(meta) == "table" and meta or {} do
    if type(key) == "string" and key:sub(1, 2) == "__" and not allowed[key] then
      refuse("a metatable with %s is not available to scripts", key)
    end
  end
  return setmetatable(t, meta)
end

local function safe_getmetatable(t)
  return type(t) == "table" and getmetatable(t) or nil
end

--- xpcall whose handler runs after the fact: inside Lua's own, no limit is checked.
local function safe_xpcall(f, handler, ...)
  local results = table.pack(pcall(f, ...))
  if results[1] then
    return table.unpack(results, 1, results.n)
  end
  return false, handler(results[2])
end

local function safe_load(chunk, name, _, env, default)
  if type(chunk) ~= "string" then
    refuse("load takes text, got a %s", type(chunk))
  elseif string.byte(chunk) == 27 then
    refuse "precompiled Lua (bytecode) is not allowed; give the source text"
  end
  host.charge(#chunk)
  local title = type(name) == "string" and name:gsub("^[@=]", "") or "load"
  return host.compile(chunk, "=" .. title, type(env) == "table" and env or default)
end

-- Text --------------------------------------------------------------------------------------------

local text = {}
for _, name in ipairs { "byte", "char", "len", "lower", "upper", "reverse", "sub" } do
  text[name] = string[name]
end

function text.rep(s, n, sep)
  if type(s) == "string" and type(n) == "number" and (sep == nil or type(sep) == "string") then
    local unit, limit = #s + #(sep or ""), host.limits()
    if unit == 0 then -- Lua would count to n
      return ""
    elseif host.guarded() and n > limit / unit then
      refuse("string.rep: %.0f MB of text are more than a script may hold (%d MiB)",
        n * unit / 1e6, limit // 1048576)
    end
  end
  return string.rep(s, n, sep)
end

function text.dump()
  refuse "string.dump is not available to scripts"
end

function text.format(form, ...)
  if type(form) == "string" and string.find(string.gsub(form, "%%%%", ""), "%%[^%a]*p") then
    refuse "string.format: %%p shows addresses, which differ from run to run"
  end
  local values = table.pack(...)
  for i = 1, values.n do
    local kind = type(values[i])
    if kind ~= "number" and kind ~= "string" then
      values[i] = safe_tostring(values[i])
    end
  end
  return string.format(form, table.unpack(values, 1, values.n))
end

--- Number of ways to share n characters among q repetitions, C(n + q, q).
local function ways(n, q)
  local w = 1.0
  for i = 1, q do
    w = w * (n + i) / i
    if w > 1e18 then break end
  end
  return w
end

local function count(s, pattern)
  return select(2, string.gsub(s, pattern, ""))
end

--- Lua's matcher backtracks, in C, where no instruction is counted: from each place it may try every
--- way to share the rest of the text among the repetitions, and compare the pattern's length in each.
local function check_pattern(s, pattern, plain)
  if not host.guarded() or type(s) ~= "string" or type(pattern) ~= "string" then
    return
  end
  host.charge((#s + #pattern) / (plain and 16 or 1))
  local tries = 1.0
  if not plain then
    local repeats, options = count(pattern, "[*+%-]") + count(pattern, "%%[b%d]"), count(pattern, "%?")
    tries = math.min(ways(#s, repeats) * 2.0 ^ options, ways(#s, repeats + options))
  end
  if (#s + 1.0) * math.min(#s + 1, #pattern + 1) * tries > LARGEST then
    error(string.format("matching %q against %d characters could take too long in a script",
      string.sub(pattern, 1, 60), #s), 3)
  end
end

-- Each calls its original by name: that is what messages call it.

function text.find(s, pattern, init, plain)
  check_pattern(s, pattern, plain)
  return string.find(s, pattern, init, plain)
end

function text.match(s, pattern, init)
  check_pattern(s, pattern)
  return string.match(s, pattern, init)
end

function text.gmatch(s, pattern, init)
  check_pattern(s, pattern)
  return string.gmatch(s, pattern, init)
end

function text.gsub(s, pattern, replacement, n)
  check_pattern(s, pattern)
  return string.gsub(s, pattern, replacement, n)
end

--- Before a call that takes as many steps as this argument is long.
local function charge(first, unit)
  if host.guarded() and (type(first) == "table" or type(first) == "string") then
    host.charge(rawlen(first) / unit)
  end
end

-- The environment
-- -----------------------------------------------------------------------------------

local function copy(t)
  local result = {}
  for k, v in next, t do
    result[k] = v
  end
  return result
end

local list, codes = copy(table), copy(utf8)

function list.insert(t, ...)
  if select("#", ...) > 1 and type(t) == "table" then charge(t, 1) end -- moves what follows; at the end nothing does
  return table.insert(t, ...)
end

function list.remove(t, ...)
  charge(t, 4)
  return table.remove(t, ...)
end

function list.sort(t, ...)
  charge(t, 0.1)
  return table.sort(t, ...)
end

function list.concat(t, ...)
  charge(t, 4)
  return table.concat(t, ...)
end

function list.unpack(t, ...)
  charge(t, 4)
  return table.unpack(t, ...)
end

function codes.len(s, ...)
  charge(s, 2)
  return utf8.len(s, ...)
end

function codes.codepoint(s, ...)
  charge(s, 2)
  return utf8.codepoint(s, ...)
end

function codes.offset(s, ...)
  charge(s, 2)
  return utf8.offset(s, ...)
end

function list.move(from, first, last, to, into)
  if host.guarded() and math.type(first) and math.type(last) and last - first > 1000000 then
    refuse "table.move of more than a million elements is not available to scripts"
  end
  return table.move(from, first, last, to, into or from)
end

local numbers = copy(math)
numbers.random, numbers.randomseed = nil, nil

local reasons = {
  os = "scripts have no access to the operating system",
  io = "scripts have no access to files",
  debug = "scripts have no debug library",
  package = "scripts load modules with require only",
  dofile = "use require for modules beside the script",
  loadfile = "use require for modules beside the script",
  coroutine = "scripts have no coroutines",
  collectgarbage = "scripts do not control the collector",
  warn = "use print",
}

--- Methods of text values go through the safe library too; scripts cannot reach this table itself.
local function protect_text()
  debug.setmetatable("", { __index = copy(text), __metatable = false })
end

--- A fresh set of globals for one script.
---@param require fun(name: string): any
---@return table
function safelib.environment(require)
  protect_text()
  local env = {
    assert = assert, error = error, ipairs = ipairs, pcall = pcall, rawequal = rawequal,
    rawget = rawget, rawlen = rawlen, rawset = rawset, select = select, tonumber = tonumber,
    type = type, _VERSION = _VERSION,
    pairs = safe_pairs, next = safe_next, tostring = safe_tostring, xpcall = safe_xpcall,
    setmetatable = safe_setmetatable, getmetatable = safe_getmetatable, require = require,
    string = copy(text), table = copy(list), math = copy(numbers), utf8 = copy(codes),
  }
  env._G = env
  env.load = function(chunk, name, mode, globals)
    return safe_load(chunk, name, mode, globals, env)
  end
  local lines, bytes = 0, 0
  env.print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
      parts[i] = safe_tostring(parts[i])
    end
    local line = table.concat(parts, "\t", 1, parts.n)
    lines, bytes = lines + 1, bytes + #line
    if lines > PRINTED or bytes > PRINTED_BYTES then
      refuse("a script may print %d lines of a megabyte in all", PRINTED)
    end
    host.note(line)
  end
  env.math.random = function()
    refuse "math.random is not available to scripts: a configuration must be the same every time"
  end
  return setmetatable(env, {
    __index = function(_, name)
      if reasons[name] then
        error(("'%s' is not available to scripts: %s"):format(name, reasons[name]), 2)
      end
      error(("there is no variable '%s'"):format(safe_tostring(name)), 2)
    end,
    __metatable = false,
  })
end

return safelib
