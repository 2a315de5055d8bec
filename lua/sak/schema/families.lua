--- What a schema is made of: families of kinds, kinds of fields.
---
--- A field is { name, type, meaning, default =, required =, excludes = }.  A default may be a
--- function of the node it belongs to, called once the node's other settings are known.  `runtime`
--- settings do not change results, so they are kept out of the configuration and its hash.

local types = require "sak.types"

local families = {}
local schema = { families = {}, order = {} }
families.schema = schema

--- What the framework knows as a task.
schema.tasks = { "semseg", "depth", "normals", "edge", "sal", "human_parts" }
--- Published weight of each task's loss (sak-method.md, section 4).
schema.task_weights = { semseg = 1, human_parts = 2, sal = 5, edge = 50, normals = 10, depth = 1 }
--- How edges are scored on data where it is not done as on NYUD: weight of edge pixels in the
--- monitor, matching radius over the diagonal (section 6).
schema.edge_scoring = { pascal = { weight = 0.95, max_dist = 0.0075 } }
--- Teachers that `sak` trains itself, by the recipes in experiments/teachers/.
schema.builtin_teachers = { "clip", "dinov2", "sam" }
--- Model kinds: the method and the baselines it is held against.
schema.models = {
  "sak", "single_task", "multi_task", "distill_heads", "teacher_heads", "all_teachers", "wide",
}

---@class sak.Field
---@field [1] string  name
---@field [2] sak.Type
---@field [3] string  meaning
---@field default? any
---@field required? boolean
---@field place? fun(node: table): table?  defaults of what stands here that depend on the fields before it
---@field excludes? string  a sibling that cannot be given as well
---@field shape? boolean  part of an encoder's architecture, which a built-in teacher's recipe
---decides
---@field runtime? boolean

---@class sak.Kind
---@field name string
---@field doc string
---@field fields sak.Field[]
---@field by_name table<string, sak.Field>

---@class sak.Family
---@field name string
---@field doc string
---@field kinds table<string, sak.Kind>
---@field order string[]
---@field default string  the kind of a plain table that does not say
---@field single boolean  has one kind, so `kind` is not written
---@field flat boolean  constructors are sak.<kind>, not sak.<family>.<kind>
---@field prepare? fun(raw: table)  completes what a script gave, before anything is checked
---@field curried boolean  constructed as sak.<family> "name" { … }

--- A family of kinds that can stand in the same place. Returns what adds a kind: `add "name" { doc =,
--- fields and lists of fields … }`.
---@param name string
---@param options table  of sak.Family
function families.family(name, options)
  local f = { name = name, kinds = {}, order = {} }
  for k, v in pairs(options) do f[k] = v end
  schema.families[name] = f
  types.families[name] = options.doc
  schema.order[#schema.order + 1] = name
  return function(kind_name)
    return function(kind)
      local by_name, fields = {}, {}
      for _, part in ipairs(kind) do
        for _, field in ipairs(type(part[1]) == "table" and part or { part }) do
          fields[#fields + 1] = field
          by_name[field[1]] = field
        end
      end
      f.kinds[kind_name] =
        { name = kind_name, doc = kind.doc, fields = fields, by_name = by_name }
      f.order[#f.order + 1] = kind_name
      f.default = f.default or kind_name
    end
  end
end

--- What a setting was called before, by what it is called now.
local renamed = { arch = "name" }

--- The name that a setting of an earlier sak has now, when that is one of `names`.
---@return string?
function schema.renamed(word, names)
  for _, name in ipairs(names) do
    if renamed[name] == word then return name end
  end
end

return families
