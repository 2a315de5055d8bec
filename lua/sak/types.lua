--- The types that settings can have.  A type is data; resolve.lua checks values against it, and
--- `describe` puts it into words for messages and help.
local types = {}

--- What each family is, in words ("an optimiser"); filled by schema.lua.
---@type table<string, string>
types.families = {}

---@class sak.Type
---@field t string  which type this is
---@field min? number
---@field max? number
---@field above? number  exclusive lower bound
---@field below? number  exclusive upper bound
---@field values? string[]  of a choice
---@field of? sak.Type  of list items or map values
---@field keys? string[]  the only keys a map may have
---@field family? string  of a spec
---@field fn? string  a spec that may also be a Lua function; says what it is called with
---@field among? sak.Type[]  of either

local function type_of(t)
  return function(options)
    local result = { t = t }
    for k, v in pairs(options or {}) do
      result[k] = v
    end
    return result
  end
end

--- Whole number, with optional min and max.
types.int = type_of "int"
--- Real number, with optional min, max (inclusive), above and below (exclusive).
types.number = type_of "number"
--- Text.
types.text = type_of "text"
types.bool = { t = "bool" }
--- Only `false`: switches the setting off.
types.off = { t = "off" }
--- Anything; what it means is decided elsewhere.
types.any = { t = "any" }

--- One of some words.
---@param values string[]
---@return sak.Type
function types.choice(values)
  return { t = "choice", values = values }
end

--- A list; options.min and options.max bound its length.
---@param of sak.Type
---@param options? {min: integer?, max: integer?}
---@return sak.Type
function types.list(of, options)
  options = options or {}
  return { t = "list", of = of, min = options.min, max = options.max }
end

--- A table from names to values; `keys` lists the names allowed, if that is known here.
---@param of sak.Type
---@param keys? string[]
---@return sak.Type
function types.map(of, keys)
  return { t = "map", of = of, keys = keys }
end

--- { height, width }, or one number for a square; always resolved to two.
types.size = { t = "size" }

--- { low, high }.
types.range = type_of "range"

--- A table of settings of its own: one of the kinds of a family (see schema.lua).
---@param family string
---@param options? {fn: string?}
---@return sak.Type
function types.spec(family, options)
  return { t = "spec", family = family, fn = options and options.fn }
end

--- A Lua function; `called` says with what and what it returns.
---@param called string
---@return sak.Type
function types.fn(called)
  return { t = "fn", fn = called }
end

--- Any one of several types, told apart by the Lua type of the value.
---@param ... sak.Type
---@return sak.Type
function types.either(...)
  return { t = "either", among = { ... } }
end

local function bounds(type)
  if type.above or type.below then
    local lower = type.above and " above " .. type.above
      or type.min and " of at least " .. type.min or ""
    local upper = type.below and " below " .. type.below
      or type.max and " at most " .. type.max or ""
    return lower .. (lower ~= "" and upper ~= "" and " and" or "") .. upper
  elseif type.min and type.max then
    return (" from %s to %s"):format(type.min, type.max)
  elseif type.min then
    return (" of at least %s"):format(type.min)
  elseif type.max then
    return (" of at most %s"):format(type.max)
  end
  return ""
end

local words = {
  int = function(t) return "a whole number" .. bounds(t) end,
  number = function(t) return "a number" .. bounds(t) end,
  text = function() return "text" end,
  bool = function() return "true or false" end,
  off = function() return "false" end,
  any = function() return "a value" end,
  fn = function() return "a function" end,
  size = function() return "a size { height, width }" end,
  range = function(t) return "two numbers { low, high }" .. bounds(t) end,
  choice = function(t) return "one of " .. table.concat(t.values, "|") end,
  list = function(t) return "a list, each entry " .. types.describe(t.of) end,
  map = function(t) return "a table with names as keys, each value " .. types.describe(t.of) end,
  spec = function(t) return types.families[t.family] .. (t.fn and " or a function" or "") end,
  either = function(t)
    local list = {}
    for i, member in ipairs(t.among) do
      list[i] = types.describe(member)
    end
    return table.concat(list, ", or ")
  end,
}

--- In words: "a whole number of at least 1".
---@param type sak.Type
---@return string
function types.describe(type)
  return words[type.t](type)
end

--- Could a value of this Lua type belong to the type at all?  Chooses among the members of either.
---@param type sak.Type
---@param value any
---@return boolean
function types.fits(type, value)
  local lua, t = _G.type(value), type.t
  if t == "int" or t == "number" then
    return lua == "number"
  elseif t == "bool" then
    return lua == "boolean"
  elseif t == "off" then
    return value == false
  elseif t == "text" then
    return lua == "string"
  elseif t == "choice" then
    return lua == "string"
  elseif t == "fn" then
    return lua == "function"
  elseif t == "spec" then
    return lua == "table" or lua == "string" or (lua == "function" and type.fn ~= nil)
  elseif t == "size" then
    return lua == "table" or lua == "number"
  elseif t == "either" then
    for _, member in ipairs(type.among) do
      if types.fits(member, value) then
        return true
      end
    end
    return false
  end
  return t == "any" or lua == "table"
end

return types
