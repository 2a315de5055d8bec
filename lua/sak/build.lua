--- From a resolved configuration to what the models take.

local head = require "sak.models.head"

local build = {}

--- A component that is either a table or a researcher's Lua function.
---@param value table  resolved; { ["$lua"] = {file, line, …} } for a function
---@param fn? function
local function component(value, fn)
  local lua = value["$lua"]
  if lua then return { kind = "custom", fn = fn, place = ("%s:%s"):format(lua.file, lua.line) } end
  return value
end

---@param cfg table  resolved experiment
---@param functions table<string, function>
---@param teachers {name: string, width: integer}[]
---@param info {classes: integer, parts: integer}
---@param tasks? string[]
---@return StudentSpec
function build.student(cfg, functions, teachers, info, tasks)
  local s = cfg.student
  local channels = {}
  for _, task in ipairs(tasks or {}) do channels[task] = head.channels(task, info) end
  return { stem = s.stem, teachers = teachers, adapter = component(s.adapter, functions["student.adapter"]),
    aligner = s.aligner, router = component(s.router, functions["student.router"]),
    head = component(s.head, functions["student.head"]), tasks = tasks and #tasks > 0 and tasks or nil,
    channels = channels }
end

--- forward(nn, image, spec, teacher) of the configured model.
function build.model(cfg)
  if cfg.model == "sak" then return require("sak.models.student").forward end
  return require("sak.models.baseline")[cfg.model]
end

--- Marks what this stage trains. Called once the parameters exist and before the graph is planned.
--- `freeze` and probes train routers and heads (and the map that fuses all teachers) alone.
function build.freeze(cfg, params, stage)
  local frozen = cfg.student.freeze or stage.kind == "probe"
  for _, p in ipairs(params:list()) do
    local name = p.name:gsub("^backbone%.", "")
    local routed = name:match("^mor%.") or p.name:match("^heads%.") or p.name:match("^fuse%.")
    if frozen and not routed or cfg.student.freeze_vit and name:match("^vit%.") then
      params:trainable(p.name, false)
    end
  end
end

return build
