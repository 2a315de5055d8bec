--- From a resolved configuration to what the models take.

local head = require "sak.models.head"
local lora = require "sak.models.lora"

local build = {}

--- A component that is either a table or a researcher's Lua function.
---@param value table  resolved; { ["$lua"] = {file, line, …} } for a function
---@param fn? function
local function component(value, fn)
  local lua = value["$lua"]
  if lua then return { kind = "custom", fn = fn, place = ("%s:%s"):format(lua.file, lua.line) } end
  return value
end

--- Models that a distill stage prepares; the others have LoRA in place of training the stem.
local distilled = { sak = true, distill_heads = true }

--- The updates of a stage's stem: all of a run's stages have them, but stage 2 where they are merged.
---@param kind? string  of the stage; nil in evaluation, which follows stage 2
local function updates_of(cfg, kind)
  local l = cfg.student.lora
  local merged = l and l.stage2 == "merge" and kind ~= "distill" and distilled[cfg.model]
  return not merged and l or nil
end

---@param cfg table  resolved experiment
---@param functions table<string, function>
---@param teachers {name: string, widths: integer[]}[]
---@param info {classes: integer, parts: integer}
---@param tasks? string[]
---@param kind? string  of the stage
---@return StudentSpec
function build.student(cfg, functions, teachers, info, tasks, kind)
  local s = cfg.student
  local stem = setmetatable({ lora = updates_of(cfg, kind) }, { __index = s.stem })
  local channels = {}
  for _, task in ipairs(tasks or {}) do channels[task] = head.channels(task, info) end
  return { stem = stem, teachers = teachers, adapter = component(s.adapter, functions["student.adapter"]),
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
--- `freeze` and probes train routers and heads (and the map that fuses all teachers) alone. With LoRA
--- the stem's own weights rest in stage 1; stage 2 trains them and the updates.
function build.freeze(cfg, params, stage)
  local updates = cfg.student.lora and (stage.kind == "distill" or not distilled[cfg.model])
  local frozen = cfg.student.freeze or stage.kind == "probe"
  for _, p in ipairs(params:list()) do
    local name = p.name:gsub("^backbone%.", "")
    local routed = name:match("^mor%.") or p.name:match("^heads%.") or p.name:match("^fuse%.")
    local rests = cfg.student.freeze_vit or updates and not lora.owns(name)
    if frozen and not routed or rests and name:match("^vit%.") then
      params:trainable(p.name, false)
    end
  end
end

return build
