-- The edge monitor of an evaluation: on every kind of data the published weight, by the definition.
local core = require "sak.core"
local evaluate = require "sak.evaluate"

local H, W, LOGIT = 16, 24, 0.7
local rooms = core.rooms { seed = 3, count = 2, H = H, W = W }

--- The monitor's value of a constant logit, and the share of edge pixels.
local function monitored(kind)
  local graph, logged = core.graph {}, {}
  local image, label = graph:input("image", { 2, H, W, 3 }), graph:input("edge", { 2, H, W, 1 })
  graph:output("out/edge", label * 0 + LOGIT)
  graph:output("share", label:mean_all() + image:mean_all() * 0)
  graph:plan()
  graph:allocate()
  local run = { describe = function() end, tick = function() end, log = function(_, key, _, value) logged[key] = value end }
  evaluate.run({ run = run, job = { quiet = true }, step = 0 }, graph, { tasks = { "edge" }, routing = {}, experts = {},
    data = { val = rooms, info = rooms:info(), size = { H, W } },
    cfg = { data = { kind = kind }, eval = { batch = 2, images = 0, edge_protocol = "plain", edge_max_dist = 0.011 } } })
  return logged["val/edge/loss"], graph:value "share"
end

-- the probability stands in the place of the logit: w y softplus(-p) + (1 - w)(1 - y) softplus(p)
local p = 1 / (1 + math.exp(-LOGIT))
local plus = math.log(1 + math.exp(p))
for kind, w in pairs { rooms = 0.8, folder = 0.8, pascal = 0.95 } do
  local loss, y = monitored(kind)
  assert(y > 0.01 and y < 0.99, "the pictures have both edges and none")
  local want = w * y * (plus - p) + (1 - w) * (1 - y) * plus
  assert(math.abs(loss - want) < 1e-6, ("%s: %.8f, by hand %.8f"):format(kind, loss, want))
end
