--- Collects everything that is wrong with a configuration and shows it with place and remedy.
local host = require "sak.host"
local lexer = require "sak.lexer"

local diagnose = {}

---@class sak.Diagnostic
---@field severity "error"|"warning"
---@field message string
---@field help? string
---@field file? string
---@field line? integer
---@field col? integer
---@field excerpt? string  the source line and a caret below the column
---@field path? string  the setting it is about

--- "teachers[2].weight" from { "teachers", 2, "weight" }.
---@param steps (string|integer)[]
---@return string
function diagnose.path(steps)
  local text = ""
  for _, step in ipairs(steps) do
    if math.type(step) == "integer" then
      text = text .. "[" .. step .. "]"
    elseif step:find "^[%a_][%w_]*$" then
      text = text .. (text == "" and "" or ".") .. step
    else
      text = text .. '["' .. step .. '"]'
    end
  end
  return text
end

--- A value as messages show it.
---@param v any
---@return string
function diagnose.shown(v)
  local kind = type(v)
  if kind == "string" then
    return #v > 60 and ("'%s…'"):format(v:sub(1, 60)) or ("'%s'"):format(v)
  elseif kind == "number" or kind == "boolean" or kind == "nil" then
    return tostring(v)
  end
  local mark = kind == "table" and host.marked(v)
  if mark then
    return "sak." .. mark.kind:gsub("^.*%.", "")
  end
  return kind == "table" and "a table" or "a " .. kind
end

--- The script a configuration came from: its root value and the texts, to find places in.
---@class sak.Document
---@field root table  the snapshot of what the script returned
---@field texts table<string, string>
local Document = {}
Document.__index = Document

---@param root table
---@param texts table<string, string>
---@return sak.Document
function diagnose.document(root, texts)
  return setmetatable({ root = root, texts = texts, cache = {} }, Document)
end

function Document:tokens(file)
  if not self.cache[file] and self.texts[file] then
    self.cache[file] = lexer.tokens(self.texts[file])
  end
  return self.cache[file]
end

--- Where a marked value was made: file, its tokens, the call and the brace of its table.
function Document:made(value)
  local mark = type(value) == "table" and host.marked(value)
  if not mark or not mark.file or not self:tokens(mark.file) then
    return nil
  end
  local tokens = self:tokens(mark.file)
  local call, named = lexer.call_at(tokens, mark.line, mark.kind:match "[^.]*$")
  local at = { file = mark.file, line = mark.line, tokens = tokens, token = call }
  if call and named then
    at.brace, at.string = lexer.table_of(tokens, call)
  end
  return at
end

--- Where the setting at `steps` is written; its key or its value.
---@param steps (string|integer)[]
---@param want? "key"|"value"
---@return string? file
---@return integer? line
---@return integer? col
function Document:locate(steps, want)
  local node, at = self.root, self:made(self.root)
  if not at then
    return nil
  end
  for n, step in ipairs(steps) do
    local found
    for _, entry in ipairs(at.brace and lexer.entries(at.tokens, at.brace) or {}) do
      if entry.key == step then
        found = entry
      end
    end
    node = type(node) == "table" and rawget(node, step) or nil
    local made = self:made(node)
    if found then
      local token = at.tokens[found.value]
      local inside = made and made.file == at.file and token.line <= made.line
        and made.line <= at.tokens[found.last].line
      if n == #steps and want == "key" then
        token = found.key_token
      end
      if made and not inside and n < #steps then
        at = made
      else
        at = { file = at.file, line = token.line, tokens = at.tokens, col = token.col }
        at.brace, at.string = lexer.table_of(at.tokens, found.value)
      end
    elseif made then
      at = made
    else
      if step == "name" and at.string then
        at.token, at.col = at.string, nil
      end
      break
    end
  end
  local token = at.token and at.tokens[at.token]
  return at.file, token and token.line or at.line, at.col or (token and token.col)
end

--- The line of a file with a caret below the column, as messages show it.
---@param text? string
---@param line? integer
---@param col? integer
---@return string?
function diagnose.excerpt(text, line, col)
  local content = text and line and lexer.line(text, line)
  if not content or #content > 300 then
    return nil
  end
  local result = ("%6d | %s"):format(line, content)
  if col then
    local before = content:sub(1, col - 1):gsub("[\x80-\xbf]", ""):gsub("[^\t]", " ")
    result = result .. "\n       | " .. before .. "^"
  end
  return result
end

--- The column of a line that Lua's message about it means: of what it quotes, or of its first word.
local function column_of(content, message)
  local near = message:match "near '(.+)'$"
  if near then -- the parser stopped there; of several, it is likely to be the last
    local col
    for at in content:gmatch("()" .. near:gsub("%p", "%%%0")) do col = at end
    return col or content:find "%S"
  end
  near = message:match "'([^']+)'" or (message .. " "):match "^(%S-):?%s"
  return near and content:find(near, 1, true) or content:find "%S"
end

--- The line that a message "file:line: …" names, with a caret, after a line break; "" where it names none.
---@param message string
---@param texts table<string, string>  by path
---@return string
function diagnose.quote(message, texts)
  local file, line, rest = message:match "^([^\n]-):(%d+): ([^\n]*)"
  local text = file and (texts[file] or texts[file:match "^.-: (.*)$"]) -- of a sweep it says the trial first
  local content = text and lexer.line(text, tonumber(line))
  local shown = content and diagnose.excerpt(text, tonumber(line), (column_of(content, rest)))
  return shown and "\n" .. shown or ""
end

---@class sak.Report
---@field list sak.Diagnostic[]
---@field texts table<string, string>
local Report = {}
Report.__index = Report

---@param texts table<string, string>
---@return sak.Report
function diagnose.report(texts)
  return setmetatable({ list = {}, texts = texts, seen = {} }, Report)
end

--- Adds one finding; the same one is not added twice.
---@param d sak.Diagnostic
function Report:add(d)
  d.severity = d.severity or "error"
  d.excerpt = d.excerpt or diagnose.excerpt(self.texts[d.file], d.line, d.col)
  local id = table.concat({ d.file or "", d.line or 0, d.col or 0, d.message }, "\0")
  if not self.seen[id] then
    self.seen[id] = true
    self.list[#self.list + 1] = d
  end
end

--- Adds what Lua said: "file:line: message".
---@param message string
---@param fallback string  the file it was about
function Report:add_lua(message, fallback)
  local file, line, rest = message:match "^([^\n]-):(%d+): (.*)$"
  if file and self.texts[file] then
    local content = lexer.line(self.texts[file], tonumber(line)) or ""
    local col = column_of(content, rest)
    local body, help = rest:match "^(.-); (did you mean .*)$"
    self:add { file = file, line = tonumber(line), col = col, message = body or rest, help = help }
  else
    self:add { file = fallback, message = message }
  end
end

---@return boolean
function Report:failed()
  for _, d in ipairs(self.list) do
    if d.severity == "error" then
      return true
    end
  end
  return false
end

--- In the order of the source; what has no place comes last.
function Report:sort()
  local order = {}
  for i, d in ipairs(self.list) do order[d] = i end
  table.sort(self.list, function(a, b)
    local fa, fb = a.file or "\xff", b.file or "\xff"
    if fa ~= fb then return fa < fb end
    if (a.line or 0) ~= (b.line or 0) then return (a.line or 0) < (b.line or 0) end
    if (a.col or 0) ~= (b.col or 0) then return (a.col or 0) < (b.col or 0) end
    return order[a] < order[b]
  end)
  return self.list
end

--- All findings as text.
---@param list sak.Diagnostic[]
---@return string
function diagnose.format(list)
  local out = {}
  for _, d in ipairs(list) do
    local place = d.file and d.file .. ":" or ""
    if d.file and d.line then
      place = place .. d.line .. ":" .. (d.col and d.col .. ":" or "")
    end
    local help = d.help
    local head = ("%s%s%s: %s"):format(place, place ~= "" and " " or "", d.severity or "error",
      d.message)
    if help and not d.excerpt then
      head, help = head .. "; " .. help, nil
    end
    out[#out + 1] = head
    out[#out + 1] = d.excerpt
    out[#out + 1] = help and "  help: " .. help or nil
  end
  return table.concat(out, "\n") .. (#out > 0 and "\n" or "")
end

return diagnose
