--- How the built-in teachers are made: three paradigms on the same images (sak-method.md section 1).
--- Each objective is  function(ctx, o) -> loss, terms, options  where o holds the graph, scope, image
--- and encoder; the encoder's parameters carry timm's names, the rest hangs below "pretrain.".

local core = require "sak.core"
local nn = require "sak.nn"
local vit = require "sak.models.vit"

local pretrain = {}

local function mean_tokens(x, c)
  return vit.patch_tokens(x, c):mean { axis = 1 }
end

--- Caption embedding: tokens and positions through a small transformer, averaged over real words.
local function encode_text(scope, ids, vocabulary, c)
  local s, width = ids.shape, c.text_width
  local spec = { width = width, heads = width // 32, mlp_ratio = 4, ln_eps = 1e-5, act = "gelu" }
  local x = ids:embedding(scope:param("table", { vocabulary, width }))
    + scope:param("positions", { 1, s[2], width })
  for i = 0, c.text_depth - 1 do x = vit.block(scope / "blocks" / i, x, spec) end
  local real = ids:clamp { lo = 0, hi = 1 }
  local sum = (x * real:reshape { shape = { s[1], s[2], 1 } }):sum { axis = 1 }
  return sum / real:sum { axis = 1, keepdim = true }
end

--- Image and caption of a pair agree, those of different pairs do not (Radford et al., CLIP). Batch
--- norm takes away what all images share, without which a short training stays on its first plateau.
function pretrain.contrastive(o)
  local c, scope = o.objective, o.scope / "pretrain"
  local B = o.image.shape[1]
  local image = mean_tokens(vit.encode(o.scope, o.image, o.encoder), o.encoder)
  local a = scope:linear("image_out", scope:batch_norm("image_norm", image), c.dim, { bias = false }):normalize()
  local ids = o.scope:input("caption", o.shape "caption")
  local text = encode_text(scope / "text", ids, o.info.vocabulary, c)
  local b = scope:linear("text_out", scope:batch_norm("text_norm", text), c.dim, { bias = false }):normalize()
  local scale = scope:param("logit_scale", { 1 }, { "constant", math.log(1 / c.temperature) })
  local logits = a:matmul(b, { tb = true }) * scale:clamp { lo = 0, hi = math.log(100) }:exp()
  local pair = o.scope:input("pair", { B })
  o.later(function(graph)
    local index = {}
    for i = 1, B do index[i] = i - 1 end
    graph:set("pair", index)
  end)
  local loss = (logits:cross_entropy(pair) + logits:transpose { a = 0, b = 1 }:cross_entropy(pair)) * 0.5
  return loss, {}
end

--- Projection head of DINO: MLP, unit bottleneck, prototypes.
local function project(scope, x, c)
  x = scope:linear("1", x, c.hidden):gelu()
  x = scope:linear("2", x, c.hidden // 2):normalize()
  return scope:linear("prototypes", x, c.dim, { bias = false, init = { "normal", 1 / math.sqrt(c.hidden // 2) } })
end

--- Cross-entropy of the teacher's distribution and the student's, averaged with weights w (or all).
local function agree(t, s, c, w)
  local ce = -(t * (s * (1 / c.student_temperature)):log_softmax()):sum { axis = -1 }
  if not w then return ce:mean_all() end
  return (ce * w):sum_all() / (w:sum_all() + 1e-6)
end

--- The class token of one view predicts what an averaged copy sees in the other; masked patches
--- predict what it sees there (Caron et al., DINO; Zhou et al., iBOT). No labels.
function pretrain.dino(o)
  local c, graph = o.objective, o.graph
  local average = core.params(o.seed)
  local slow = nn.scope(graph, average, { inputs = o.inputs })
  local views = { o.image, o.scope:input("image2", o.image.shape) }
  local function head(scope, x, role)
    local h = scope / "pretrain" / role
    return project(h, x, c)
  end
  local targets, guesses, patch_loss = {}, {}, nil
  for v, view in ipairs(views) do
    local x = vit.encode(slow, view, o.encoder):detach()
    local s = x.shape
    local function target(tokens, role)
      local logits = head(slow, tokens, role)
      local width = logits.shape[#logits.shape]
      local rows = logits:reshape { shape = { -1, width } }
      local centre = (slow / "pretrain"):buffer("center_" .. role, { width }, { "zeros" })
      return rows:center(centre, { momentum = c.center_momentum })
        :softmax { temperature = c.teacher_temperature }:detach()
    end
    targets[v] = target(x:slice { axis = 1, start = 0, length = 1 }, "class")
    local L = s[2] - vit.prefix_tokens(o.encoder)
    local noise = graph:op("bernoulli", { shape = { s[1], L, 1 }, p = c.mask_ratio })
    local keep = noise:clamp { lo = 0, hi = 1 }
    local y = vit.encode(o.scope, view, o.encoder, keep)
    guesses[v] = head(o.scope, y:slice { axis = 1, start = 0, length = 1 }, "class")
      :reshape { shape = { s[1], c.dim } }
    local masked = (1 - keep):reshape { shape = { s[1] * L } }
    local guess = head(o.scope, vit.patch_tokens(y, o.encoder), "patch"):reshape { shape = { s[1] * L, c.dim } }
    local part = agree(target(vit.patch_tokens(x, o.encoder), "patch"), guess, c, masked)
    patch_loss = patch_loss and patch_loss + part or part
  end
  for _, p in ipairs(average:list()) do average:trainable(p.name, false) end
  local class_loss = (agree(targets[1], guesses[2], c) + agree(targets[2], guesses[1], c)) * 0.5
  patch_loss = patch_loss * 0.5
  return class_loss + patch_loss * c.patch_weight,
    { { name = "class", value = class_loss }, { name = "patch", value = patch_loss } },
    { export = average,
      start = function() average:ema(o.params, 0) end,
      after_update = function(it, n)
        -- the average slows down towards the end, as in DINO
        local m = 1 - (1 - c.momentum) * (math.cos(math.pi * it / n) + 1) / 2
        average:ema(o.params, m)
      end }
end

--- Masks of whatever lies under a point, whatever it is called (Kirillov et al., SAM).
function pretrain.mask(o)
  local c, scope = o.objective, o.scope / "pretrain"
  local s = o.image.shape
  local x = vit.patch_tokens(vit.encode(o.scope, o.image, o.encoder), o.encoder)
  local h, w = vit.grid(o.encoder, { s[2], s[3] })
  local H, W = s[2] // 4, s[3] // 4
  x = scope:layer_norm("norm", x)
  local function unit(fan_in) return { init = { "normal", 1 / math.sqrt(fan_in) } } end -- logits start at order 1
  local width = o.encoder.width
  local y = nn.to_map(scope:linear("mask_in", x, c.dim, unit(width)), h, w)
    :resize { size = { H, W }, mode = "bilinear" }
  y = scope:conv1x1("mask_out", scope:conv("mask_conv", y, c.dim, 3):gelu(), c.dim)
  local prompt = o.scope:input("prompt", o.shape "prompt")
  local point = prompt:matmul(x)
  local e = scope:linear("point_out", scope:linear("point_in", point, 2 * c.dim, unit(width)):gelu(), c.dim,
    unit(2 * c.dim))
  local logits = nn.to_tokens(y):matmul(e, { tb = true }) * (1 / math.sqrt(c.dim))
  local truth = o.scope:input("prompt_mask", o.shape "prompt_mask"):reshape { shape = { s[1], H * W, c.points } }
  local bce = logits:bce_logits(truth)
  local p = logits:sigmoid()
  local overlap = (p * truth):sum { axis = 1 } * 2
  local dice = (1 - (overlap + 1) / (p:sum { axis = 1 } + truth:sum { axis = 1 } + 1)):mean_all()
  return bce + dice, { { name = "bce", value = bce }, { name = "dice", value = dice } }
end

--- Fields a batch needs, and options of the loader.
function pretrain.needs(objective, encoder)
  if objective.kind == "contrastive" then return { "image", "caption" }, {} end
  if objective.kind == "dino" then return { "image", "image2" }, { greyscale = true } end
  return { "image", "prompt", "prompt_mask" },
    { prompts = objective.points, prompt_patch = encoder.patch, mask_stride = 4 }
end

return pretrain
