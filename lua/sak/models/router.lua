--- Routers: how one task mixes the stem and the teachers' features at one level.
--- Every router is  function(nn, stem, experts, c) -> mixed, weights:
---   stem     (B, L, C)  block output, class token removed, not normalised
---   experts  list of (B, L, C), the teachers' features in committee order
---   mixed    (B, L, C)
---   weights  (B, n) or (B, L, n) with the stem first, or nil when there is nothing to log
--- A researcher's own router in an experiment file is  function(stem, experts, nn) -> mixed, weights.

local nn_ = require "sak.nn"

local router = {}

--- Gate logits: Linear(C/2 -> n)(GELU(LN(Linear(C -> C/2)(x)))), one per token.
--- Indices 0, 1 and 3 as in the published checkpoints.
---@param hidden? integer  C/2 if not given
local function gate(nn, x, n, hidden)
  local m = nn / "router" / "module"
  return m:linear("3", m:layer_norm("1", m:linear("0", x, hidden or x.shape[3] // 2), 1e-5):gelu(), n)
end

--- Mixture of Representations (paper section 3.3): one weight per image and expert. With noisy
--- gating the second half of the logits sets the noise, which is drawn per token.
function router.mor(nn, stem, experts, c)
  local s, n = stem.shape, #experts + 1
  local z = gate(nn, stem, c.noisy and 2 * n or n):mean { axis = 1 }
  if c.noisy then
    local clean = z:slice { axis = 1, start = 0, length = n }
    if c.training then
      local raw = z:slice { axis = 1, start = n, length = n }
      local sigma = (raw:softplus() + 0.01):reshape { shape = { s[1], 1, n } }
      local tokens = c.noise == "image" and 1 or s[2]
      local noise = nn:noise("noise/" .. c.key, { s[1], tokens, n })
      z = clean:reshape { shape = { s[1], 1, n } } + noise * sigma
    else
      z = clean
    end
  end
  local p = z:softmax { temperature = c.temperature or 1 }
  if #p.shape == 3 and p.shape[2] == 1 then p = p:reshape { shape = { s[1], n } } end
  return p:mix(stem, table.unpack(experts)), p
end

--- Router "none": o = x + sum of f, shared by all tasks.
function router.sum(_, stem, experts)
  local o = stem
  for _, f in ipairs(experts) do o = o + f end
  return o
end

--- One weight per token and expert.
function router.token(nn, stem, experts, c)
  local p = gate(nn, stem, #experts + 1):softmax { temperature = c.temperature or 1 }
  return p:mix(stem, table.unpack(experts)), p
end

--- The published gate, shown the stem and all experts side by side instead of the stem alone.
function router.joint(nn, stem, experts, c)
  local all = #experts > 0 and stem:concat(table.unpack(experts), { axis = 2 }) or stem
  local p = gate(nn, all, #experts + 1, stem.shape[3] // 2):mean { axis = 1 }
    :softmax { temperature = c.temperature or 1 }
  return p:mix(stem, table.unpack(experts)), p
end

--- Only the k largest weights of MoR, renormalised.
function router.topk(nn, stem, experts, c)
  local p = gate(nn, stem, #experts + 1):mean { axis = 1 }
    :softmax { temperature = c.temperature or 1 }
  local kept = p * p:top_k_mask { k = c.k }
  p = kept / kept:sum { axis = 1, keepdim = true }
  return p:mix(stem, table.unpack(experts)), p
end

--- Learned weights that do not look at the input.
function router.static(nn, stem, experts, c)
  local n = #experts + 1
  local p = nn:param("logits", { 1, n }, { "zeros" })
    :softmax { temperature = c.temperature or 1 }:expand { size = stem.shape[1] }
  return p:mix(stem, table.unpack(experts)), p
end

--- The list as a researcher's function gets it: its own copy, which says how it is counted. Beyond its end
--- is nil, as in any list.
local function counted(experts)
  return setmetatable({ table.unpack(experts) }, { __metatable = false, __index = function(t, i)
    if math.type(i) == "integer" and i > 0 then return nil end
    error(("experts[%s]: there are %d, counted from 1"):format(tostring(i), #t), 2)
  end })
end

---@param nn Scope
---@param stem userdata
---@param experts userdata[]
---@param c table  the resolved router; c.fn is a researcher's own function, c.place where it stands
---@return userdata mixed, userdata? weights
function router.forward(nn, stem, experts, c)
  if not c.fn then return router[c.kind](nn, stem, experts, c) end
  local mixed, weights = c.fn(stem, counted(experts), nn)
  local place = c.place or "custom router"
  if not nn_.same_shape(mixed, stem) then
    error(("%s: the router returned %s, but the head needs %s like the stem"):format(
      place, nn_.describe(mixed, stem), tostring(stem)), 0)
  end
  local B, L, n = stem.shape[1], stem.shape[2], #experts + 1
  local s = nn_.shape_of(weights, stem)
  local fits = s and s[1] == B and s[#s] == n and (#s == 2 or #s == 3 and s[2] == L)
  if weights ~= nil and not fits then
    error(("%s: the router returned %s as weights, but (%d, %d) or (%d, %d, %d) is needed: "
      .. "one per expert, the stem first"):format(place, nn_.describe(weights, stem), B, n, B, L, n), 0)
  end
  return mixed, weights
end

return router
