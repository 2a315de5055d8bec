--- Checks a snapshot against the schema and fills in every default.
local archs = require "sak.archs"
local diagnose = require "sak.diagnose"
local freeze = require "sak.freeze"
local host = require "sak.host"
local schema = require "sak.schema"
local spec = require "sak.spec"
local types = require "sak.types"

local resolve = {}

---@class sak.Context
---@field problem fun(steps: table, message: string, help: string?, want: "key"|"value"|nil)
---@field freeze fun(f: function): table
---@field functions table<string, function>  by path
---@field derived {steps: table, type: sak.Type, f: function, parent: table}[]

local function with(steps, step)
  local result = table.move(steps, 1, #steps, 1, {})
  result[#result + 1] = step
  return result
end

local function mark_of(v)
  return type(v) == "table" and host.marked(v) or nil
end

--- "did you mean 'x'?", or all that is possible if there are not too many.
local function suggestion(word, words)
  local near = type(word) == "string" and (schema.renamed(word, words) or spec.nearest(word, words))
  if near then
    return ("did you mean '%s'?"):format(near)
  elseif #words > 0 and #words <= 40 then
    return "possible: " .. table.concat(words, ", ")
  end
end
resolve.suggestion = suggestion

local function label(steps)
  local path = diagnose.path(steps)
  return path == "" and "the experiment" or path
end

local function mismatch(cx, type, v, steps)
  cx.problem(steps, ("%s must be %s, got %s"):format(label(steps), types.describe(type),
    diagnose.shown(v)))
end

local checks = {}

local function outside(type, v)
  return (type.min and v < type.min) or (type.max and v > type.max)
    or (type.above and v <= type.above) or (type.below and v >= type.below)
end

function checks.int(cx, type, v, steps)
  local n = math.type(v) and math.tointeger(v)
  if not n or outside(type, n) then
    return mismatch(cx, type, v, steps)
  end
  return n
end

function checks.number(cx, type, v, steps)
  if not math.type(v) or v ~= v or v == math.huge or v == -math.huge or outside(type, v) then
    return mismatch(cx, type, v, steps)
  end
  return v + 0.0
end

function checks.text(cx, type, v, steps)
  if _G.type(v) ~= "string" or not utf8.len(v) or v:find "%c" or v == "" then
    return mismatch(cx, type, v, steps)
  end
  return v
end

function checks.bool(cx, type, v, steps)
  if _G.type(v) ~= "boolean" then
    return mismatch(cx, type, v, steps)
  end
  return v
end

function checks.off(cx, type, v, steps)
  if v ~= false then
    return mismatch(cx, type, v, steps)
  end
  return false
end

function checks.any(_, _, v)
  return v
end

function checks.choice(cx, type, v, steps)
  for _, value in ipairs(type.values) do
    if v == value then
      return v
    end
  end
  local near = _G.type(v) == "string" and spec.nearest(v, type.values)
  cx.problem(steps, ("%s must be %s, got %s"):format(label(steps), types.describe(type),
    diagnose.shown(v)), near and ("did you mean '%s'?"):format(near) or nil)
end

checks["fn"] = function(cx, type, v, steps)
  if _G.type(v) ~= "function" then
    return mismatch(cx, type, v, steps)
  end
  cx.functions[diagnose.path(steps)] = v
  return cx.freeze(v)
end

function checks.size(cx, type, v, steps)
  if math.type(v) then
    v = { v, v }
  end
  local count = 0
  for _ in next, _G.type(v) == "table" and v or {} do count = count + 1 end
  local h = count == 2 and math.type(v[1]) and math.tointeger(v[1])
  local w = count == 2 and math.type(v[2]) and math.tointeger(v[2])
  if not h or not w or h < 1 or w < 1 then
    return mismatch(cx, type, v, steps)
  end
  return host.array { h, w }
end

function checks.range(cx, type, v, steps)
  local low, high = _G.type(v) == "table" and v[1], _G.type(v) == "table" and v[2]
  if not math.type(low) or not math.type(high) or #v ~= 2 or low > high or outside(type, low)
    or outside(type, high) then
    return mismatch(cx, type, v, steps)
  end
  return host.array { low + 0.0, high + 0.0 }
end

function checks.list(cx, type, v, steps)
  if _G.type(v) ~= "table" or mark_of(v) then
    return mismatch(cx, type, v, steps)
  end
  local length, count = #v, 0
  for key in next, v do
    count = count + 1
    if not math.type(key) then
      return cx.problem(with(steps, key), ("%s is %s; it cannot have the key '%s'"):format(
        label(steps), types.describe(type), key), nil, "key")
    end
  end
  if count ~= length then
    return cx.problem(steps, ("%s is a list, but has holes"):format(label(steps)))
  elseif (type.min and length < type.min) or (type.max and length > type.max) then
    local wanted = type.min == type.max and tostring(type.min)
      or type.min and length < type.min and "at least " .. type.min or "at most " .. type.max
    return cx.problem(steps, ("%s must have %s entries, got %d"):format(label(steps), wanted,
      length))
  end
  local result = host.array {}
  for i = 1, length do
    local item = resolve.value(cx, type.of, v[i], with(steps, i))
    result[i] = item == nil and false or item
  end
  return result
end

function checks.map(cx, type, v, steps)
  if _G.type(v) ~= "table" or mark_of(v) then
    return mismatch(cx, type, v, steps)
  end
  local result = {}
  for key, item in next, v do
    local known = not type.keys
    for _, allowed in ipairs(type.keys or {}) do
      known = known or key == allowed
    end
    if _G.type(key) ~= "string" then
      cx.problem(steps, ("%s needs names as keys, got %s"):format(label(steps),
        diagnose.shown(key)))
    elseif not known then
      cx.problem(with(steps, key), ("%s: unknown name '%s'"):format(label(steps), key),
        suggestion(key, type.keys), "key")
    else
      result[key] = resolve.value(cx, type.of, item, with(steps, key))
    end
  end
  return result
end

function checks.either(cx, type, v, steps)
  for _, member in ipairs(type.among) do
    if types.fits(member, v) then
      return resolve.value(cx, member, v, steps)
    end
  end
  return mismatch(cx, type, v, steps)
end

--- Kind and plain settings of a value that may be a constructor's, a plain table or a kind's name.
local function kind_of(cx, family, v, steps)
  local mark = mark_of(v)
  local raw = type(v) == "string" and { kind = v } or v
  local name = raw.kind
  if mark then
    local made_family, made_kind = mark.kind:match "^([^.]+)%.?(.*)$"
    if made_family ~= family.name then
      cx.problem(steps, ("%s must be %s, got %s"):format(label(steps), family.doc,
        diagnose.shown(v)))
      return nil
    end
    name = made_kind ~= "" and made_kind or name
  end
  if family.single then
    if raw.kind ~= nil then
      cx.problem(with(steps, "kind"), ("%s has no kinds"):format(label(steps)), nil, "key")
    end
    return family.kinds[family.order[1]], raw
  elseif name == nil then
    local arch = family.kinds[family.default].by_name.arch and archs.table[raw.arch]
    name = arch and family.kinds[arch.kind] and arch.kind or family.default
  end
  local kind = family.kinds[name]
  if not kind then
    local near = type(name) == "string" and spec.nearest(name, family.order)
    local at = type(v) == "string" and steps or with(steps, "kind")
    cx.problem(at, ("%s must be one of %s, got %s"):format(diagnose.path(at),
      table.concat(family.order, "|"), diagnose.shown(name)),
      near and ("did you mean '%s'?"):format(near) or nil)
  end
  return kind, raw
end

local function field_names(kind)
  local names = {}
  for i, field in ipairs(kind.fields) do names[i] = field[1] end
  return names
end

--- The value a field has when a script gives none: the place's own default (a stage's optimiser,
--- say), the named architecture's, the kind's.
local function default_of(kind, field, raw, place)
  local name = field[1]
  local arch = kind.by_name.arch and archs.table[raw.arch]
  if field.excludes and raw[field.excludes] ~= nil then
    return nil
  elseif place and place[name] ~= nil then
    return place[name]
  elseif arch and arch[name] ~= nil then
    return arch[name]
  elseif field.shape and raw.builtin ~= nil then
    return nil
  end
  return field.default
end

function checks.spec(cx, type, v, steps, place)
  if _G.type(v) == "function" and type.fn then
    cx.functions[diagnose.path(steps)] = v
    return cx.freeze(v)
  elseif _G.type(v) ~= "table" and _G.type(v) ~= "string" then
    return mismatch(cx, type, v, steps)
  end
  local family = schema.families[type.family]
  local kind, given = kind_of(cx, family, v, steps)
  if not kind then
    return nil
  end
  local raw = {}
  for key, item in next, given do raw[key] = item end
  if family.prepare then
    family.prepare(raw, kind)
  end
  for key in next, raw do
    if key ~= "kind" and not kind.by_name[key] then
      local at = with(steps, key)
      local owner = #steps == 0 and "the " .. family.name or label(steps)
      cx.problem(at, ("%s has no setting '%s'"):format(owner, tostring(key)),
        suggestion(key, field_names(kind)), "key")
    end
  end
  if place and (place.kind or family.default) ~= kind.name then
    place = nil
  end
  local node = { kind = not family.single and kind.name or nil }
  local late = {}
  for _, field in ipairs(kind.fields) do
    local name = field[1]
    local value, default = raw[name], default_of(kind, field, raw, place)
    local nested = field.place and field.place(node) or _G.type(default) == "table" and default or nil
    if value ~= nil and field.excludes and raw[field.excludes] ~= nil and name < field.excludes then
      cx.problem(with(steps, name), ("%s: give either %s or %s, not both"):format(label(steps),
        name, field.excludes), nil, "key")
    elseif value ~= nil then
      node[name] = resolve.value(cx, field[2], value, with(steps, name), nested, node)
    elseif _G.type(default) == "function" then
      late[#late + 1] = field
    elseif default ~= nil then
      node[name] = resolve.value(cx, field[2], default, with(steps, name), field.place and nested, node)
    elseif field.required then
      cx.problem(steps, ("%s needs '%s': %s"):format(#steps == 0 and "the " .. family.name
        or label(steps), name, field[3]))
    end
  end
  for _, field in ipairs(late) do
    local value = field.default(node)
    if value ~= nil and value ~= false then
      node[field[1]] = resolve.value(cx, field[2], value, with(steps, field[1]), nil, node)
    end
  end
  return node
end

--- A checked value with its defaults, or nil after a problem was reported.
---@param cx sak.Context
---@param type sak.Type
---@param v any
---@param steps (string|integer)[]
---@param place? table  defaults of this very place
---@param parent? table  the resolved table it will be in
---@return any
function resolve.value(cx, type, v, steps, place, parent)
  local mark = mark_of(v)
  if mark and mark.kind == "derive" and parent then
    cx.derived[#cx.derived + 1] = { steps = steps, type = type, f = v[1], parent = parent }
    return nil
  end
  return checks[type.t](cx, type, v, steps, place)
end

--- Computes what scripts left to `sak.derive`, given the rest.  A derived value may use another.
---@param cx sak.Context
---@param root table  the resolved configuration
---@param guard fun(f: function, ...): boolean, any
function resolve.derive(cx, root, guard)
  local pending, state, copies = {}, {}, {}
  local evaluate
  local function copy(node)
    if type(node) ~= "table" then
      return node
    end
    local result = {}
    copies[node] = result
    for key, item in next, node do result[key] = copy(item) end
    return setmetatable(result, pending[node] and {
      __index = function(_, key)
        local d = pending[node][key]
        return d and evaluate(d)
      end,
      __metatable = false,
    } or nil)
  end
  for _, d in ipairs(cx.derived) do
    pending[d.parent] = pending[d.parent] or {}
    pending[d.parent][d.steps[#d.steps]] = d
  end
  local view = copy(root)
  function evaluate(d)
    if state[d] == "done" then
      return d.value
    elseif state[d] == "busy" then
      error(("%s is derived from itself"):format(diagnose.path(d.steps)), 0)
    end
    state[d] = "busy"
    d.value = d.f(view)
    state[d] = "done"
    return d.value
  end
  for _, d in ipairs(cx.derived) do
    local ok, value = guard(evaluate, d)
    local key = d.steps[#d.steps]
    if not ok then
      cx.problem(d.steps, ("%s: %s"):format(label(d.steps), value))
    else
      local plain = freeze.snapshot(value, function(_, message) cx.problem(d.steps, message) end)
      d.parent[key] = resolve.value(cx, d.type, plain, d.steps)
    end
  end
end

return resolve
