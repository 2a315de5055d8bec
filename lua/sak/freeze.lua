--- Turns what a script returned into plain data: snapshots of values that scripts made, identities
--- of functions, JSON-able trees.  Nothing here calls metamethods: values come from scripts.
local host = require "sak.host"

local freeze = {}

local DEPTH, SIZE = 60, 100000

--- A copy of a script's value, raw and with its marks; tables shared between places are separated.
--- Refuses metatables, cycles, and tables that are too large.
---@param value any
---@param problem fun(steps: (string|integer)[], message: string)
---@return any
function freeze.snapshot(value, problem)
  local size, inside = 0, {}
  local function copy(v, steps)
    if type(v) ~= "table" then
      return v
    end
    local mark = host.marked(v)
    size = size + 1
    if inside[v] then
      problem(steps, "the table contains itself")
      return nil
    elseif #steps > DEPTH or size > SIZE then
      problem(steps, #steps > DEPTH and "tables are nested too deeply" or "the value is too large")
      return nil
    elseif not mark and debug.getmetatable(v) then
      problem(steps, "a table with a metatable cannot be a setting; give plain tables")
      return nil
    end
    inside[v] = true
    local result = {}
    for key, item in next, v do
      if type(key) ~= "string" and math.type(key) ~= "integer" then
        problem(steps, ("a key is a %s; keys are names or 1, 2, 3 …"):format(
          type(key) == "number" and "fraction" or type(key)))
      else
        steps[#steps + 1] = key
        result[key] = copy(item, steps)
        steps[#steps] = nil
      end
      if size > SIZE then
        break
      end
    end
    inside[v] = nil
    return mark and host.mark(result, mark.kind, mark.file or false, mark.line or false) or result
  end
  return copy(value, {})
end

--- A deep copy of a snapshot, marks included.
---@param node any
---@return any
function freeze.copy(node)
  if type(node) ~= "table" then
    return node
  end
  local result = {}
  for key, item in next, node do
    result[key] = freeze.copy(item)
  end
  local mark = host.marked(node)
  return mark and host.mark(result, mark.kind, mark.file or false, mark.line or false) or result
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then return type(a) < type(b) end
    if type(a) == "string" or type(a) == "number" then return a < b end
    return false
  end)
  return keys
end

local function lines(text, first, last)
  local out, n = {}, 0
  for content in (text .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    if n >= first and n <= last then
      out[#out + 1] = content
    end
  end
  return table.concat(out, "\n")
end

--- Source text of a function: its lines, from `function` to `end` where that is unambiguous.
local function source_text(info, texts)
  if info.source:sub(1, 1) ~= "@" then
    return info.source .. ":" .. info.first .. "-" .. info.last
  end
  return lines(texts[info.source:sub(2)] or "", info.first, info.last)
end

--- Everything that a function's behaviour depends on: its text, and the values it has captured.
--- Two closures of the same text that captured different numbers are different.
local function describe(value, texts, seen, out)
  local kind = type(value)
  if kind == "function" or kind == "table" then
    if seen[value] then
      out[#out + 1] = "@" .. seen[value]
      return
    end
    seen.count = seen.count + 1
    seen[value] = seen.count
    if seen.count > 10000 then
      return
    end
  end
  if kind == "function" then
    local info = host.describe(value)
    out[#out + 1] = info.c and "C" or "function " .. source_text(info, texts)
    if not info.c and info.source:sub(1, 1) == "@" then
      for i = 1, 255 do
        local name, captured = host.upvalue(value, i)
        if not name then
          break
        elseif name ~= "_ENV" then
          out[#out + 1] = "captures " .. name .. " ="
          describe(captured, texts, seen, out)
        end
      end
    end
  elseif kind == "table" then
    out[#out + 1] = "{"
    for _, key in ipairs(sorted_keys(value)) do
      out[#out + 1] = tostring(key) .. " ="
      describe(rawget(value, key), texts, seen, out)
    end
    out[#out + 1] = "}"
  else
    out[#out + 1] = kind .. " " .. (kind == "number" and ("%.17g"):format(value)
      or kind == "userdata" and "" or tostring(value))
  end
end

--- { ["$lua"] = { file, line, sha256 } } in place of a function; the file is relative to the
--- script's folder, so that the configuration does not depend on where the repository lies.
---@param f function
---@param texts table<string, string>
---@param dir string
---@return table
function freeze.func(f, texts, dir)
  local info = host.describe(f)
  local file = info.source:gsub("^[@=]", "")
  if file:sub(1, #dir) == dir then
    file = file:sub(#dir + 1)
  end
  local out = {}
  describe(f, texts, { count = 0 }, out)
  return { ["$lua"] = { file = file, line = info.first, sha256 = host.sha256(table.concat(out,
    "\n")) } }
end

--- Is this a frozen function?
---@param v any
---@return boolean
function freeze.is_func(v)
  return type(v) == "table" and rawget(v, "$lua") ~= nil
end

--- A frozen function in words, "function at file.lua:7 (1a2b3c4d)", other values as they are.
---@param v any
---@return any
function freeze.shown(v)
  if not freeze.is_func(v) then return v end
  local f = v["$lua"]
  return ("function at %s:%d (%s)"):format(f.file, f.line, f.sha256:sub(1, 8))
end

--- A snapshot as JSON-able data: kinds written out, functions frozen.
---@param node any
---@param texts table<string, string>
---@param dir string
---@return any
function freeze.plain(node, texts, dir)
  if type(node) == "function" then
    return freeze.func(node, texts, dir)
  elseif type(node) ~= "table" then
    return node
  end
  local mark, result = host.marked(node), {}
  if mark and mark.kind == "derive" then
    return { ["$derive"] = freeze.func(node[1], texts, dir)["$lua"] }
  end
  for key, item in next, node do
    result[key] = freeze.plain(item, texts, dir)
  end
  if mark and result.kind == nil then
    result.kind = mark.kind:match "%.(.*)$"
  end
  return result
end

--- Leaves of a resolved configuration in a fixed order: { path, value } pairs.
---@param resolved table
---@return {path: string, value: any}[]
function freeze.leaves(resolved)
  local diagnose = require "sak.diagnose"
  local out = {}
  local function walk(v, steps)
    if type(v) == "table" and next(v) ~= nil and not freeze.is_func(v) then
      for _, key in ipairs(sorted_keys(v)) do
        steps[#steps + 1] = key
        walk(v[key], steps)
        steps[#steps] = nil
      end
    else
      out[#out + 1] = { path = diagnose.path(steps), value = v }
    end
  end
  walk(resolved, {})
  return out
end

return freeze
