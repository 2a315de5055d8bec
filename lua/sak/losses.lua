--- Losses as expressions over tensors (sak-method.md section 4).

local nn = require "sak.nn"

local losses = {}

--- Weights of the published experiments.
losses.task_weights = {
  semseg = 1, human_parts = 2, sal = 5, edge = 50, normals = 10, depth = 1,
}

local kinds = {}

--- 0.9 * (1 - cos) + 0.1 * smooth L1, cos over the whole flattened map of an image.
kinds["cos+l1"] = function(s, t) return s:cosine_loss(t) * 0.9 + s:smooth_l1(t) * 0.1 end
kinds.cos = function(s, t) return s:cosine_loss(t) end
kinds.l2 = function(s, t) return s:mse(t) end

--- If the grids differ, the smaller map is resized to the larger; only the heights decide.
local function same_grid(s, t)
  local a, b = s.shape, t.shape
  if a[2] == b[2] and a[3] == b[3] then return s, t end
  if b[2] > a[2] then return s:resize { size = { b[2], b[3] }, mode = "bilinear" }, t end
  return s, t:resize { size = { a[2], a[3] }, mode = "bilinear" }
end

--- Where a researcher's function stands. What the configuration hands over is a wrapper of it.
---@param f function
local function place_of(f)
  local function here(g)
    local info = type(g) == "function" and debug.getinfo(g, "S")
    return info and info.source:sub(1, 1) == "@" and ("%s:%d"):format(info.source:sub(2), info.linedefined)
  end
  local place, i, name, inner = here(f), 1, nil, nil
  while not place do
    name, inner = debug.getupvalue(f, i)
    if not name then return "custom loss" end
    place, i = here(inner), i + 1
  end
  return place
end

--- A loss must be one number.
local function checked(v, y, f, what)
  local s, n = nn.shape_of(v, y), 1
  for _, d in ipairs(s or {}) do n = n * d end
  if not s or n ~= 1 then
    error(("%s: the %s returned %s, but a loss is a tensor of one element (:mean_all(), :sum_all())")
      :format(place_of(f), what, nn.describe(v, y)), 0)
  end
  return v
end

--- One teacher, one level. Both as maps (B, h, w, C).
---@param kind "cos+l1"|"cos"|"l2"|function
function losses.distill_one(s, t, kind)
  s, t = same_grid(s, t)
  if type(kind) == "function" then return checked(kind(s, t), s, kind, "distillation loss") end
  return kinds[kind](s, t)
end

--- Sum over teachers and levels; every term by name.
---@param student table [teacher][level] tokens (B, h*w, C_t)
---@param teacher table [teacher][level] maps (B, h_t, w_t, C_t)
---@param order string[]  teacher names in committee order
---@param grids integer[][]  {h, w} of the student's levels
---@param weight? table [teacher] number
---@return userdata total, table terms {name =, value =}
function losses.distill(student, teacher, order, grids, kind, weight)
  local total, terms = nil, {}
  for _, name in ipairs(order) do
    for level, f in ipairs(student[name]) do
      local v = losses.distill_one(nn.to_map(f, grids[level][1], grids[level][2]), teacher[name][level], kind)
      terms[#terms + 1] = { name = ("%s_level%d"):format(name, level), value = v }
      local k = weight and weight[name] or 1
      local part = k == 1 and v or v * k
      total = total and total + part or part
    end
  end
  return total, terms
end

local tasks = {}
function tasks.semseg(y, label) return y:cross_entropy(label) end
tasks.human_parts = tasks.semseg
function tasks.sal(y, label) return y:cross_entropy(label, { balanced = true }) end
function tasks.edge(y, label) return y:bce_balanced(label, { pos_weight = 0.95 }) end
function tasks.normals(y, label) return y:l1_masked(label, { normalize = true }) end
function tasks.depth(y, label) return y:l1_masked(label) end

--- One task's loss, without its weight.
function losses.task(task, output, label) return tasks[task](output, label) end

--- Weighted task losses and their sum.
---@param outputs table [task] (B, H, W, channels)
---@param labels table [task]
---@param own? table [task] function(prediction, label) -> scalar tensor
---@return userdata total, table terms {name =, value =} (weighted)
function losses.multitask(outputs, labels, order, weights, own)
  local total, terms = nil, {}
  for _, task in ipairs(order) do
    local loss = own and own[task] or tasks[task]
    local y = outputs[task]
    local v = checked(loss(y, labels[task]), y, loss, task .. " loss") * (weights[task] or losses.task_weights[task])
    terms[#terms + 1] = { name = task, value = v }
    total = total and total + v or v
  end
  return total, terms
end

return losses
