--- Scopes: a place in the parameter tree, and the layers that hang their parameters there.
--- `nn / "blocks" / 3` is the scope "blocks.3"; layers are created where they are used, and a second
--- graph over the same parameters finds them again by name.
---
--- A researcher's functions get scopes too. What a scope stands for is therefore kept here, out of
--- their reach: through a scope they can build, but neither save nor close, nor change a layer.

local core = require "sak.core"
local spec = require "sak.spec"

---@class Scope
local Scope = {}

---@class ScopeState
---@field graph userdata  the graph under construction
---@field params userdata  the parameter set
---@field prefix string  "" or "a.b."
---@field shared table  what all scopes of one graph share: trace, inputs

---@type table<Scope, ScopeState>
local state = setmetatable({}, { __mode = "k" })

local meta = { __metatable = false, __name = "scope" }

function meta.__newindex(_, key)
  error(("a scope cannot be changed: '%s'"):format(tostring(key)), 2)
end

local function new(graph, params, prefix, shared)
  local scope = setmetatable({}, meta)
  state[scope] = { graph = graph, params = params, prefix = prefix, shared = shared }
  return scope
end

local nn = {}

--- What a researcher calls, in the order of `sak ops nn`, which prints it.
---@type {name: string, call: string, doc: string}[]
nn.methods = {
  { name = "linear", call = "nn:linear(name, x, out, { bias = true, init = … })",
    doc = "x W^T + b over the last axis: (…, in) -> (…, out)" },
  { name = "layer_norm", call = "nn:layer_norm(name, x, eps)",
    doc = "layer norm over the last axis, with scale and shift; eps 1e-5 unless given" },
  { name = "batch_norm", call = "nn:batch_norm(name, x)",
    doc = "batch norm over all but the last axis, with scale and shift" },
  { name = "conv", call = "nn:conv(name, x, out, k)",
    doc = "k x k convolution of maps, same size: (B, H, W, in) -> (B, H, W, out)" },
  { name = "conv1x1", call = "nn:conv1x1(name, x, out)", doc = "a linear map of the channels, begun as a convolution" },
  { name = "dropout", call = "nn:dropout(x, p)",
    doc = "in training each element is 0 with probability p, else divided by 1 - p" },
  { name = "noise", call = "nn:noise(name, shape)", doc = "N(0, 1), drawn anew each training step" },
  { name = "param", call = "nn:param(name, shape, init)",
    doc = 'a learned tensor; init is { "zeros" } or { "constant" | "normal" | "trunc_normal" | "uniform", a }, '
      .. '{ "trunc_normal", 0.02 } unless given' },
  { name = "buffer", call = "nn:buffer(name, shape, init)",
    doc = "a tensor that is saved with the parameters but never optimised" },
  { name = "block", call = "nn:block(f, …)",
    doc = 'f(…), whose values engine.checkpoint = "blocks" computes again instead of keeping them' },
}

--- What nn lacks, and what may have been meant.
local function absent(name)
  local help, names = nil, {}
  for i, m in ipairs(nn.methods) do names[i] = m.name end
  local near = spec.nearest(name, names)
  if near then
    help = ("did you mean '%s'?"):format(near)
  elseif core.op[name] then
    help = ("it is an operation of tensors: x:%s(…)"):format(name)
  else
    help = ("it has %s (`sak ops nn`)"):format(table.concat(names, ", "))
  end
  return ("nn has no '%s'; %s"):format(name, help)
end

function meta.__index(_, name)
  return Scope[name] or error(absent(tostring(name)), 2)
end

local function is_tensor(v) return type(v) == "userdata" and getmetatable(v) == "tensor" end

--- Raises what nn:METHOD takes instead of v. Where that was called from is the sandbox's to say.
local function want(ok, method, must, v)
  if ok then return end
  local got = type(v) == "string" and ("'%s'"):format(v) or (is_tensor(v) or type(v) == "number") and tostring(v)
    or type(v)
  error(("nn:%s: %s, got %s"):format(method, must, got))
end

--- Where a layer hangs its parameters, and the shape of what goes in.
---@return Scope inner, integer[] shape
local function layer(scope, method, name, x)
  want(type(name) == "string" or type(name) == "number", method, "the name of its parameters comes first", name)
  want(is_tensor(x), method, "a tensor follows the name", x)
  return scope / name, x.shape
end

---@param graph userdata
---@param params userdata
---@param options? {trace: table?, inputs: table?, prefix: string?}
---@return Scope
function nn.scope(graph, params, options)
  options = options or {}
  return new(graph, params, options.prefix or "",
    { trace = options.trace, inputs = options.inputs or {} })
end

--- A scope below this one.
function meta.__div(self, name)
  local s = state[self] or error("a scope lies left of the name: nn / name", 2)
  return new(s.graph, s.params, s.prefix .. tostring(name) .. ".", s.shared)
end

--- A learned tensor. init: { kind, a }, see engine/graph/params.h; default trunc_normal 0.02.
---@param name string
---@param shape integer[]
---@param init? table
---@return userdata
function Scope:param(name, shape, init)
  local s = state[self]
  want(type(name) == "string", "param", "its name comes first", name)
  return s.graph:param(s.params, s.prefix .. name, shape, init)
end

--- A tensor that is saved with the parameters but never optimised (running statistics).
function Scope:buffer(name, shape, init)
  local s = state[self]
  want(type(name) == "string", "buffer", "its name comes first", name)
  return s.graph:param(s.params, s.prefix .. name, shape, init, true)
end

--- f(…), whose nodes are a block: with engine.checkpoint = "blocks" their values are computed again
--- for the gradient instead of kept.
---@param f function
function Scope:block(f, ...)
  local graph = state[self].graph
  local begun = graph:block(true)
  local results = table.pack(f(...))
  if begun then graph:block(false) end
  return table.unpack(results, 1, results.n)
end

--- Makes x readable as `name` after a step when the builder asked for traces (sak verify).
---@return userdata x
function Scope:trace(name, x)
  local s = state[self]
  if s.shared.trace then
    s.shared.trace[name] = x
    s.graph:output(name, x)
  end
  return x
end

--- An input of the graph, made once per name.
---@param name string
---@param shape integer[]
function Scope:input(name, shape)
  local s = state[self]
  local inputs = s.shared.inputs
  inputs[name] = inputs[name] or s.graph:input(name, shape)
  return inputs[name]
end

--- N(0, 1) noise, drawn anew each training step; the tensor given as input `name` replaces it.
function Scope:noise(name, shape)
  local s = state[self]
  return s.shared.inputs[name] or s.graph:op("randn", { shape = shape })
end

--- y = x W^T + b over the last axis; weight (out, in), truncated normal std 0.02, bias 0.
---@param name string
---@param x userdata (..., in)
---@param out integer
---@param options? {bias: boolean?, init: table?}
---@return userdata (..., out)
function Scope:linear(name, x, out, options)
  local inner, shape = layer(self, "linear", name, x)
  want(math.tointeger(out), "linear", "the size of the result's last axis follows the tensor", out)
  local w = inner:param("weight", { out, shape[#shape] }, options and options.init)
  if options and options.bias == false then return x:linear(w) end
  return x:linear(w, inner:param("bias", { out }, { "zeros" }))
end

--- Layer norm over the last axis.
---@param eps number 1e-6 in the stem and DINOv2, 1e-5 in CLIP, SAM, output norms and routers
function Scope:layer_norm(name, x, eps)
  local inner, shape = layer(self, "layer_norm", name, x)
  local C = shape[#shape]
  return x:layer_norm(inner:param("weight", { C }, { "constant", 1 }),
    inner:param("bias", { C }, { "zeros" }), { eps = eps or 1e-5 })
end

--- Batch norm over all but the last axis (eps 1e-5, momentum 0.1).
function Scope:batch_norm(name, x)
  local inner, shape = layer(self, "batch_norm", name, x)
  local C = shape[#shape]
  return x:batch_norm(inner:param("weight", { C }, { "constant", 1 }),
    inner:param("bias", { C }, { "zeros" }), inner:buffer("running_mean", { C }, { "zeros" }),
    inner:buffer("running_var", { C }, { "constant", 1 }))
end

--- k x k convolution, stride 1, same size. x (B, H, W, I) -> (B, H, W, O).
--- PyTorch's default initialisation: uniform in +-1/sqrt(fan in).
function Scope:conv(name, x, out, k)
  local inner, shape = layer(self, "conv", name, x)
  want(math.tointeger(out), "conv", "the number of channels to make follows the tensor", out)
  local bound = 1 / math.sqrt(shape[4] * k * k)
  return x:conv2d(inner:param("weight", { out, shape[4], k, k }, { "uniform", bound }),
    inner:param("bias", { out }, { "uniform", bound }), { padding = k // 2 })
end

--- 1 x 1 convolution: a linear map of the channels, with the convolution's weight shape.
function Scope:conv1x1(name, x, out)
  local inner, shape = layer(self, "conv1x1", name, x)
  want(math.tointeger(out), "conv1x1", "the number of channels to make follows the tensor", out)
  local I = shape[#shape]
  local bound = 1 / math.sqrt(I)
  local w = inner:param("weight", { out, I, 1, 1 }, { "uniform", bound })
  return x:linear(w:reshape { shape = { out, I } }, inner:param("bias", { out }, { "uniform", bound }))
end

--- Inverted dropout: in training each element is 0 with probability p, else divided by 1 - p.
function Scope:dropout(x, p)
  want(is_tensor(x), "dropout", "the tensor comes first", x)
  return x * state[self].graph:op("bernoulli", { shape = x.shape, p = p })
end

-- A dot in the place of the colon: said once for all methods.
for name, method in pairs(Scope) do
  Scope[name] = function(self, ...)
    if not state[self] then error(("nn.%s is a method: write nn:%s(…), with a colon"):format(name, name), 2) end
    return method(self, ...)
  end
end

--- Non-overlapping patches of the image through a linear map that is stored as a convolution's.
---@param proj Scope  holds weight (width, 3, patch, patch) and bias
---@param image userdata (B, H, W, 3)
---@param options? {bias: boolean?}
---@return userdata (B, h*w, width)
function nn.embed_patches(proj, image, patch, width, options)
  local weight = proj:param("weight", { width, 3, patch, patch }):reshape { shape = { width, 3 * patch * patch } }
  local patches = image:patchify { patch = patch }
  if options and options.bias == false then return patches:linear(weight) end
  return patches:linear(weight, proj:param("bias", { width }, { "zeros" }))
end

--- SAM's input: longest side to `side` (bicubic), zeros right and below.
---@param image userdata (B, H, W, 3)
---@return userdata (B, side, side, 3)
function nn.resize_and_pad(image, side)
  local s = image.shape
  local scale = side / math.max(s[2], s[3])
  local h, w = math.floor(s[2] * scale + 0.5), math.floor(s[3] * scale + 0.5)
  return image:resize { size = { h, w }, mode = "bicubic" }
    :pad2d { top = 0, left = 0, bottom = side - h, right = side - w }
end

--- Tokens (B, h*w, C) <-> maps (B, h, w, C).
function nn.to_map(x, h, w)
  local s = x.shape
  return x:reshape { shape = { s[1], h, w, s[3] } }
end

function nn.to_tokens(x)
  local s = x.shape
  return x:reshape { shape = { s[1], s[2] * s[3], s[4] } }
end

--- Shape of what a researcher's function returned; nil unless it is a tensor of x's graph.
---@param x userdata
---@return integer[]?
function nn.shape_of(v, x)
  return is_tensor(v) and core.same_graph(v, x) and v.shape or nil
end

---@return boolean  is v a tensor of x's graph and shape?
function nn.same_shape(v, x)
  local s, t = nn.shape_of(v, x), x.shape
  if not s or #s ~= #t then return false end
  for i = 1, #s do
    if s[i] ~= t[i] then return false end
  end
  return true
end

--- What it returned in words: "tensor (2, 3)", "nil", "a table".
function nn.describe(v, x)
  if is_tensor(v) then return tostring(v) .. (core.same_graph(v, x) and "" or " of another graph") end
  return v == nil and "nil" or "a " .. type(v)
end

return nn
