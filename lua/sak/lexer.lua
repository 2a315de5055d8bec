--- Finds places in a script's source text: where, inside a table constructor, a setting is written.
--- Lua keeps the line of a call but not its column, and nothing at all of a plain table.
local lexer = {}

---@class sak.Token
---@field type "name"|"string"|"number"|"symbol"
---@field text string
---@field line integer
---@field col integer

local opens = { ["("] = true, ["["] = true, ["{"] = true, ["function"] = true, ["do"] = true,
  ["if"] = true, ["repeat"] = true }
local closes = { [")"] = true, ["]"] = true, ["}"] = true, ["end"] = true, ["until"] = true }

local function skip_long(text, at)
  local level = text:match("^%[(=*)%[", at)
  if level then
    local _, stop = text:find("]" .. level .. "]", at, true)
    return (stop or #text) + 1
  end
end

--- The end of a quoted string that begins at `at`.
local function skip_quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text do
    local c = text:sub(i, i)
    if c == "\\" then
      i = i + 1
    elseif c == quote or c == "\n" then
      return i + 1
    end
    i = i + 1
  end
  return i
end

--- All tokens of a text; comments and blanks are left out, errors tolerated.
---@param text string
---@return sak.Token[]
function lexer.tokens(text)
  local tokens, i, line, line_start = {}, 1, 1, 1
  local function advance(to)
    for at in text:sub(i, to - 1):gmatch "()\n" do
      line, line_start = line + 1, i + at
    end
    i = to
  end
  local function add(type, to)
    tokens[#tokens + 1] =
      { type = type, text = text:sub(i, to - 1), line = line, col = i - line_start + 1 }
    advance(to)
  end
  if text:sub(1, 1) == "#" then
    advance((text:find("\n", 1, true) or #text + 1))
  end
  while i <= #text do
    local c = text:sub(i, i)
    if c:find "%s" then
      advance(text:find("%S", i) or #text + 1)
    elseif text:sub(i, i + 1) == "--" then
      advance(skip_long(text, i + 2) or text:find("\n", i, true) or #text + 1)
    elseif c:find "[%a_]" then
      add("name", text:find("[^%w_]", i) or #text + 1)
    elseif c:find "%d" then
      add("number", text:find("[^%w_.]", i) or #text + 1)
    elseif c == '"' or c == "'" then
      add("string", skip_quoted(text, i))
    elseif c == "[" and skip_long(text, i) then
      add("string", skip_long(text, i))
    else
      add("symbol", i + 1)
    end
  end
  return tokens
end

--- What a string token says; escapes are not undone, names have none.
local function unquote(token)
  return token.text:match "^[\"'](.*)[\"']$" or token.text:match "^%[=*%[(.*)%]=*%]$"
end

---@class sak.Entry
---@field key string|integer
---@field key_token sak.Token
---@field value integer  index of the value's first token
---@field last integer  index of its last

--- The entries of the table constructor that opens at token `brace`.
---@param tokens sak.Token[]
---@param brace integer
---@return sak.Entry[]
function lexer.entries(tokens, brace)
  local entries, i, position = {}, brace + 1, 0
  while tokens[i] and tokens[i].text ~= "}" do
    local entry = { key_token = tokens[i] }
    local a, b, c, d = tokens[i], tokens[i + 1], tokens[i + 2], tokens[i + 3]
    if a.type == "name" and b and b.text == "=" and not (c and c.text == "=") then
      entry.key, i = a.text, i + 2
    elseif a.text == "[" and c and c.text == "]" and d and d.text == "=" then
      entry.key = b.type == "string" and unquote(b) or math.tointeger(tonumber(b.text)) or b.text
      entry.key_token, i = b, i + 4
    else
      position = position + 1
      entry.key = position
    end
    entry.value = i
    local depth = 0
    while tokens[i] do
      local word = tokens[i].type ~= "string" and tokens[i].text
      if depth == 0 and (word == "," or word == ";" or word == "}") then
        break
      end
      depth = depth + (opens[word] and 1 or closes[word] and -1 or 0)
      i = i + 1
    end
    entry.last = i - 1
    if tokens[entry.value] and entry.last >= entry.value then
      entries[#entries + 1] = entry
    end
    if tokens[i] and tokens[i].text ~= "}" then
      i = i + 1
    end
  end
  return entries
end

--- The brace of the table that an expression such as `{…}`, `sak.vit {…}` or `sak.teacher "sam"
--- {…}` opens, and the string before it, if any.
---@param tokens sak.Token[]
---@param first integer
---@return integer? brace
---@return integer? string
function lexer.table_of(tokens, first)
  local i, string = first, nil
  while tokens[i] do
    local token = tokens[i]
    if token.type == "symbol" and token.text == "{" then
      return i, string
    elseif token.type == "string" then
      string = i
    elseif not (token.type == "name" or token.text == "." or token.text == "("
      or token.text == ")") then
      break
    elseif token.type == "name" and (token.text == "function" or token.text == "return") then
      break
    elseif string then
      if token.text ~= "(" and token.text ~= ")" then
        break
      end
    end
    i = i + 1
  end
  return nil, string
end

--- The call of a constructor on a line, by its last name; else the line's first token.
---@param tokens sak.Token[]
---@param line integer
---@param name string
---@return integer? call
---@return boolean named  is it that constructor?
function lexer.call_at(tokens, line, name)
  local first
  for i, token in ipairs(tokens) do
    if token.line == line then
      first = first or i
      local after = tokens[i + 1]
      if token.type == "name" and token.text == name and after
        and (after.text == "{" or after.text == "(" or after.type == "string") then
        return i, true
      end
    elseif token.line > line then
      break
    end
  end
  return first, false
end

--- Text of one line, without its end.
---@param text string
---@param line integer
---@return string?
function lexer.line(text, line)
  local n = 0
  for content in (text .. "\n"):gmatch "(.-)\r?\n" do
    n = n + 1
    if n == line then
      return content
    end
  end
end

return lexer
