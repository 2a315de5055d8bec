--- The SAK student (paper figure 2): a Teacher-Agnostic Stem, one Teacher-Specific Adapter Path per
--- teacher, Mixture-of-Representations routers and one head per task.
---
---   x0 = embed(img);            xi = block_i(x(i-1))
---   r0_t = A0_t(x0);            ri_t = Ai_t(r(i-1)_t + xi)
---   f_t,l = LN(ri_t)            at the four output blocks, class token removed
---   o_k,l = router_k,l(xi, f)   for every task k
---   y_k   = head_k(o_k,1 … o_k,4)

local encoder = require "sak.models.encoder"
local vit = require "sak.models.vit"
local adapter = require "sak.models.adapter"
local aligner = require "sak.models.aligner"
local router = require "sak.models.router"
local head = require "sak.models.head"

local student = {}

---@class StudentSpec
---@field stem VitSpec
---@field teachers {name: string, widths: integer[]}[]
---@field adapter table|function
---@field aligner boolean|"auto"
---@field router table
---@field tasks? string[]

--- Stem, paths and routers.
---@param nn Scope  the backbone's scope
---@param image userdata (B, H, W, 3)
---@param c StudentSpec
---@return table features  [teacher][level] (B, h*w, C_t): what the distillation loss sees
---@return table mixed     [task][level] (B, h*w, C): what the heads see
---@return table weights   ["task/level<k>"] router weights
function student.backbone(nn, image, c)
  local features, mixed, weights = {}, {}, {}
  for _, t in ipairs(c.teachers) do features[t.name] = {} end
  for _, task in ipairs(c.tasks or {}) do mixed[task] = {} end

  local level_of = {}
  for level, i in ipairs(c.stem.out_indices) do level_of[i] = level end

  local s = image.shape
  local grid = encoder.grids(c.stem, { s[2], s[3] })[1]
  local adapters = setmetatable({ grid = { h = grid[1], w = grid[2], prefix = vit.prefix_tokens(c.stem) } },
    { __index = c.adapter })
  local x = nn:trace("stem/embed", encoder.embed(nn / "vit", image, c.stem))
  local r = {}
  for _, t in ipairs(c.teachers) do
    r[t.name] = nn:block(adapter.step, nn / "tsap" / t.name, 0, x, nil, adapters)
  end
  for i = 0, c.stem.depth - 1 do
    x = nn:trace("stem/block" .. i, encoder.block(nn / "vit", x, c.stem, i, grid))
    for _, t in ipairs(c.teachers) do
      r[t.name] = nn:block(adapter.step, nn / "tsap" / t.name, i + 1, x, r[t.name], adapters)
    end
    local level = level_of[i]
    if level then
      local experts = student.experts(nn, i, level, r, c, features)
      student.route(nn, i, level, vit.patch_tokens(x, c.stem), experts, c, mixed, weights)
    end
  end
  return features, mixed, weights
end

--- f = LN(r) for each teacher, and its aligned form for the distillation loss.
function student.experts(nn, i, level, r, c, features)
  local experts = {}
  for k, t in ipairs(c.teachers) do
    local key = i .. "_" .. t.name
    local f = (nn / "out_norms"):layer_norm(key, vit.patch_tokens(r[t.name], c.stem), 1e-5)
    experts[k] = f
    nn:trace(("path/%s/level%d"):format(t.name, level), f)
    if aligner.wanted(c.aligner, c.stem.width, t.widths[level]) and not c.drop_aligners then
      f = aligner.forward(nn / "ts_aligners", key, f, t.widths[level])
    end
    features[t.name][level] = nn:trace(("feat/%s/level%d"):format(t.name, level), f)
  end
  return experts
end

function student.route(nn, i, level, stem, experts, c, mixed, weights)
  local shared -- the sum is the same for every task
  for _, task in ipairs(c.tasks or {}) do
    local key = i .. "_" .. task
    local spec = setmetatable({ key = key, training = c.training }, { __index = c.router })
    local o, p
    if c.router.kind == "sum" then
      shared = shared or nn:trace("mor/level" .. level, router.sum(nn, stem, experts))
      o = shared
    else
      o, p = nn:block(router.forward, nn / "mor" / key, stem, experts, spec)
      nn:trace(("mor/%s/level%d"):format(task, level), o)
    end
    mixed[task][level] = o
    if p then weights[("%s/level%d"):format(task, level)] = nn:trace(("prob/%s/level%d"):format(task, level), p) end
  end
end

--- Backbone and heads. Without tasks (stage 1) only the features are built.
---@param nn Scope
---@param image userdata (B, H, W, 3)
---@param c StudentSpec  with channels = {task = n} when there are tasks; grids = {{h, w}, …} where the
---levels are not the stem's
---@return table features, table outputs [task] (B, H, W, channels), table weights
function student.forward(nn, image, c)
  if not c.tasks then return student.backbone(nn, image, c), {}, {} end
  local features, mixed, weights = student.backbone(nn / "backbone", image, c)
  return features, student.heads(nn / "heads", mixed, image, c), weights
end

---@param mixed table [task][level]
---@return table outputs [task] (B, H, W, channels)
function student.heads(nn, mixed, image, c)
  local s = image.shape
  local grids = c.grids or encoder.grids(c.stem, { s[2], s[3] })
  local outputs = {}
  for _, task in ipairs(c.tasks) do
    local spec = setmetatable({ task = task, grids = grids, H = s[2], W = s[3],
      channels = c.channels[task] }, { __index = c.head })
    local low = nn:trace("head/" .. task, nn:block(head.forward, nn / task, mixed[task], spec))
    outputs[task] = nn:trace("out/" .. task, head.upsample(low, s[2], s[3]))
  end
  return outputs
end

return student
