--- Changes to a configuration by path: `--set path=value`, `+path=value`, `~path`, selectors such
--- as `teachers[name=sam].weight=0.5`, and lists of values `path=4,8,16` for grids.
local archs = require "sak.archs"
local diagnose = require "sak.diagnose"
local freeze = require "sak.freeze"
local host = require "sak.host"
local schema = require "sak.schema"
local spec = require "sak.spec"

local override = {}

---@class sak.Change
---@field op "set"|"add"|"remove"
---@field steps (string|integer|{key: string, value: string})[]
---@field value any
---@field origin "arm"|"grid"|"set"
---@field text string  as given
---@field shown? string  as messages name it, if it comes from the command line
---@field at? {document: sak.Document, steps: table}  place in an ablation script
---@field may_be_absent? boolean  left out where its selector finds no entry

--- Steps of a path, or nil and what is wrong with it.
---@param path string
---@return table? steps
---@return string? message
function override.path(path)
  local steps, at = {}, 1
  while at <= #path do
    local name, after = path:match("^([%a_][%w_]*)()", at)
    if name then
      steps[#steps + 1], at = name, after
    elseif #steps == 0 or path:sub(at, at) ~= "[" then
      return nil, "not a path"
    end
    while path:sub(at, at) == "[" do
      local inside, next_at = path:match("^%[([^%]]*)%]()", at)
      if not inside then
        return nil, "a '[' is not closed"
      end
      local key, value = inside:match "^([%a_][%w_]*)=(.+)$"
      local quoted = inside:match '^"([^"]*)"$'
      if key then
        steps[#steps + 1] = { key = key, value = value }
      elseif quoted or math.tointeger(tonumber(inside)) then
        steps[#steps + 1] = quoted or math.tointeger(tonumber(inside))
      else
        return nil, ("[%s] is neither a number nor key=value"):format(inside)
      end
      at = next_at
    end
    if at <= #path then
      if path:sub(at, at) ~= "." or at == #path then
        return nil, "not a path"
      end
      at = at + 1
    end
  end
  if #steps == 0 then
    return nil, "the path is empty"
  end
  return steps
end

--- The value that a text on the command line stands for.
---@param text string
---@return any
function override.value(text)
  local bare = text:match "^%s*(.-)%s*$"
  local words = { ["true"] = true, ["false"] = false }
  if words[bare] ~= nil then
    return words[bare]
  end
  local number = tonumber(bare)
  if number and not bare:find "^%s*[-+]?0[xX]" and number == number then
    return number
  end
  local h, w = bare:match "^(%d+)x(%d+)$"
  if h then
    return { math.tointeger(h), math.tointeger(w) }
  end
  if bare:find "^[%[{\"]" then
    local ok, value = pcall(host.decode, bare)
    if ok then
      return freeze.snapshot(value, function() end) or value
    end
  end
  return bare
end

--- Splits at commas outside brackets and quotes.
local function split(text)
  local parts, depth, start, quoted = {}, 0, 1, false
  for i = 1, #text do
    local c = text:sub(i, i)
    if c == '"' then
      quoted = not quoted
    elseif quoted then
      depth = depth + 0
    elseif c == "[" or c == "{" or c == "(" then
      depth = depth + 1
    elseif c == "]" or c == "}" or c == ")" then
      depth = depth - 1
    elseif c == "," and depth == 0 then
      parts[#parts + 1] = text:sub(start, i - 1)
      start = i + 1
    end
  end
  parts[#parts + 1] = text:sub(start)
  return parts
end

--- Position of the `=` that ends the path: the first one outside brackets.
local function equals(text)
  local depth = 0
  for i = 1, #text do
    local c = text:sub(i, i)
    depth = depth + (c == "[" and 1 or c == "]" and -1 or 0)
    if c == "=" and depth == 0 then
      return i
    end
  end
end

--- One argument of --set: "path=value", "+path=value" or "~path".
---@param text string
---@param evaluate? fun(text: string): boolean, any  runs "sak.…" in the sandbox
---@return sak.Change? change
---@return string? message
function override.parse(text, evaluate)
  local sign, rest = text:match "^([+~]?)(.*)$"
  local at = equals(rest)
  if sign == "~" then
    at = #rest + 1
  elseif not at then
    return nil, "give path=value, +path=value or ~path"
  end
  local steps, message = override.path(rest:sub(1, at - 1))
  if not steps then
    return nil, message
  end
  local value = rest:sub(at + 1)
  local change = { steps = steps, text = text, shown = "--set " .. text, origin = "set",
    op = sign == "+" and "add" or sign == "~" and "remove" or "set" }
  if change.op ~= "remove" then
    if evaluate and value:find "^%s*sak%." then
      local ok, result = evaluate(value)
      if not ok then
        return nil, result
      end
      change.value = result
    else
      change.value = override.value(value)
    end
  end
  return change
end

--- One argument of --grid: "path=4,8,16".
---@param text string
---@return string? path
---@return any[]|string values_or_message
function override.grid(text)
  local at = equals(text)
  local steps, message = override.path(text:sub(1, (at or 1) - 1))
  if not at or not steps then
    return nil, message or "give path=value,value,…"
  end
  local values = {}
  for i, part in ipairs(split(text:sub(at + 1))) do
    values[i] = override.value(part)
  end
  return text:sub(1, at - 1), values
end

-- Applying ----------------------------------------------------------------------------------------

--- The kind of a node of a family, as resolve.lua will see it.
local function kind_of(family, node)
  local mark = host.marked(node)
  local name = mark and mark.kind:match "%.(.*)$" or node.kind
  if family.single then
    name = family.order[1]
  elseif name == nil then
    local arch = family.kinds[family.default].by_name.arch and archs.table[node.arch]
    name = arch and arch.kind or family.default
  end
  return family.kinds[name] or family.kinds[family.default]
end

--- The member of `type` that has parts: a table's kind, a list's or a map's items.
local function with_parts(type)
  if type.t == "either" then
    for _, member in ipairs(type.among) do
      if member.t == "spec" or member.t == "list" or member.t == "map" then
        return member
      end
    end
  end
  return type
end

--- All paths of the schema below a family, two levels deep, to suggest from.
local function known_paths(root)
  local paths = {}
  local function walk(type, prefix, depth)
    type = with_parts(type)
    if type.t ~= "spec" then
      return
    end
    local family = schema.families[type.family]
    for _, kind_name in ipairs(family.order) do
      for _, field in ipairs(family.kinds[kind_name].fields) do
        local path = prefix == "" and field[1] or prefix .. "." .. field[1]
        paths[#paths + 1] = path
        if depth < 3 then
          walk(field[2], path, depth + 1)
        end
      end
    end
  end
  walk({ t = "spec", family = root }, "", 0)
  return paths
end

--- "no such path" with the nearest one: the first step that fails is replaced by its neighbour.
local function no_path(change, steps, n, names)
  local step = steps[n]
  local near = type(step) == "string" and (schema.renamed(step, names) or spec.nearest(step, names))
  if near then
    local fixed = table.move(steps, 1, #steps, 1, {})
    fixed[n] = near
    return "no such path", ("did you mean '%s'?"):format(override.show(fixed))
  end
  local whole = spec.nearest(override.show(steps), known_paths(change.root or "experiment"))
  if whole then
    return "no such path", ("did you mean '%s'?"):format(whole)
  end
  table.sort(names)
  return "no such path", #names > 0 and ("there are: " .. table.concat(names, ", ")) or nil
end

--- Steps as text, selectors as they were written.
---@param steps table
---@return string
function override.show(steps)
  local out = {}
  for _, step in ipairs(steps) do
    out[#out + 1] = type(step) == "table" and ("[%s=%s]"):format(step.key, step.value)
      or diagnose.path { step }
    if #out > 1 and type(step) == "string" and out[#out]:sub(1, 1) ~= "[" then
      out[#out] = "." .. out[#out]
    end
  end
  return table.concat(out)
end

--- The index that a selector or a number means in a list.
local function select(node, step)
  if type(step) ~= "table" then
    return step
  end
  for i, item in ipairs(node) do
    local value = type(item) == "table" and item[step.key]
    local mark = type(item) == "table" and host.marked(item)
    if step.key == "kind" and mark and value == nil then
      value = mark.kind:match "[^.]*$"
    elseif step.key == "kind" and type(item) == "string" then
      value = item
    end
    if value ~= nil and value ~= false and tostring(value) == step.value then
      return i
    end
  end
end

--- What a list could have been asked for, for the message.
local function selectable(node, key)
  local values = {}
  for i, item in ipairs(node) do
    local mark = type(item) == "table" and host.marked(item)
    values[i] = type(item) == "table"
      and tostring(item[key] or (key == "kind" and mark and mark.kind:match "[^.]*$") or "?")
        or tostring(item)
  end
  return values
end

local function field_names(kind)
  local names = {}
  for i, field in ipairs(kind.fields) do names[i] = field[1] end
  if #names > 0 then names[#names + 1] = "kind" end
  return names
end

--- The child of `node` at a step, made from the default if the script does not have it, as a table.
local function descend(node, key, field)
  local child = node[key]
  if child == nil and field and type(field.default) == "table" then
    child = freeze.copy(field.default)
  elseif child == nil or type(child) == "boolean" then
    child = {}
  elseif type(child) == "string" then
    child = { kind = child }
  end
  node[key] = child
  return child
end

local function is_derived(v)
  local mark = type(v) == "table" and host.marked(v)
  return mark and mark.kind == "derive"
end

--- When another kind is chosen, settings that only the old kind had go.
local function change_kind(node, family, name)
  local kind = family.kinds[name]
  if not kind then
    return
  end
  for key in next, freeze.copy(node) do
    if key ~= "kind" and not kind.by_name[key] then
      node[key] = nil
    end
  end
end

--- Applies one change to a snapshot (in place).
---@param tree table
---@param change sak.Change
---@param root? string  family of the tree, "experiment" by default
---@return table? steps  the path that was changed, selectors resolved
---@return string? message
---@return string? help
---@return "absent"? why  a selector found no entry
function override.apply(tree, change, root)
  change.root = root
  local node, type_, steps = tree, { t = "spec", family = root or "experiment" }, {}
  local owner -- the table that holds `node`, and under which key, to re-tag a changed kind
  for n, step in ipairs(change.steps) do
    local last = n == #change.steps
    type_ = with_parts(type_)
    local field, next_type
    if type_.t == "spec" then
      local family = schema.families[type_.family]
      local kind = kind_of(family, node)
      field = kind.by_name[step]
      if step == "kind" and not family.single and last and change.op == "set" then
        change_kind(node, family, change.value)
        if owner and host.marked(node) then
          local plain = {}
          for key, item in next, node do plain[key] = item end
          owner.node[owner.key] = plain
          node = plain
        end
        next_type = { t = "text" }
      elseif not field then
        return nil, no_path(change, change.steps, n, field_names(kind))
      else
        next_type = field[2]
      end
    elseif type_.t == "list" then
      local index = select(node, step)
      if type(step) == "string" or not index then
        local wanted = type(step) == "table" and step or nil
        if wanted then
          local values = selectable(node, wanted.key)
          local near = spec.nearest(wanted.value, values)
          return nil, ("no entry of %s has %s=%s"):format(diagnose.path(steps), wanted.key,
            wanted.value),
            near and ("did you mean '%s'?"):format(near) or "there are: " .. table.concat(values,
              ", "), "absent"
        end
        return nil, "no such path", ("%s is a list: use %s[1] or %s[name=…]"):format(
          diagnose.path(steps), diagnose.path(steps), diagnose.path(steps))
      elseif index < 1 or index > #node + (last and change.op == "add" and 1 or 0) then
        return nil, ("%s has %d entries"):format(diagnose.path(steps), #node)
      end
      step, next_type = index, type_.of
    elseif type_.t == "map" then
      if type(step) ~= "string" then
        return nil, no_path(change, change.steps, n, type_.keys or {})
      end
      next_type = type_.of
    elseif type_.t == "size" or type_.t == "range" then
      if step ~= 1 and step ~= 2 then
        return nil, ("%s is two numbers: use [1] or [2]"):format(diagnose.path(steps))
      end
      next_type = { t = "number" }
    end
    steps[n] = step
    if last then
      local target = with_parts(next_type)
      if change.op == "remove" then
        if node[step] == nil then
          return nil, "there is nothing to remove"
        elseif type_.t == "list" then
          table.remove(node, step)
        else
          node[step] = nil
        end
      elseif change.op == "add" and target.t == "list" and type(change.value) ~= "table" or
        change.op == "add" and target.t == "list" and host.marked(change.value) then
        local list = descend(node, step, field)
        list[#list + 1] = freeze.copy(change.value)
        steps[n + 1] = #list
      elseif change.op == "add" and node[step] ~= nil then
        return nil, "it is there already", "use path=value to change it"
      else
        node[step] = freeze.copy(change.value)
        if field and field.excludes then
          node[field.excludes] = nil
        end
      end
      return steps
    end
    if type(node[step]) == "function" or is_derived(node[step]) then
      return nil, ("%s is a function"):format(diagnose.path(steps))
    end
    local parts = with_parts(next_type).t
    if parts ~= "spec" and parts ~= "list" and parts ~= "map" and parts ~= "size"
      and parts ~= "range" then
      return nil, "no such path", ("%s is a single value"):format(diagnose.path(steps))
    end
    owner = { node = node, key = step }
    node, type_ = descend(node, step, field), next_type
    if type(node) ~= "table" then
      return nil, "no such path", ("%s is a single value"):format(diagnose.path(steps))
    end
  end
end

return override
