-- A meter never reads beyond the tensors it is given.
local core = require "sak.core"

local function graph(shapes)
  local g, sum = core.graph {}, nil
  for name, s in pairs(shapes) do
    local m = g:input(name, s):mean_all()
    sum = sum and sum + m or m
  end
  g:output("sum", sum)
  g:plan()
  g:allocate()
  return g
end

local function refuses(words, f, ...)
  local ok, message = pcall(f, ...)
  assert(not ok, "accepted; wanted: " .. words)
  assert(message:find(words, 1, true), message .. "; wanted: " .. words)
end

local g = graph { depth = { 2, 4, 6, 1 }, flat = { 2, 24, 1 }, five = { 2, 4, 6, 5 }, label = { 2, 4, 6 },
  small = { 2, 4, 5 }, one = { 1, 4, 6 }, normals = { 2, 4, 6, 3 }, rows = { 2, 24 } }
local meter = core.meter("depth")
meter:update(g, "depth", "label")
meter:update(g, "depth", "depth", 1)
refuses("depth meter: 'five' is (2, 4, 6, 5), but (B, H, W, 1) is needed", meter.update, meter, g, "five", "label")
refuses("depth meter: 'flat' is (2, 24, 1)", meter.update, meter, g, "flat", "label")
refuses("the label 'small' is (2, 4, 5)", meter.update, meter, g, "depth", "small")
refuses("the label 'one' is (1, 4, 6)", meter.update, meter, g, "depth", "one")
refuses("the label 'rows' is (2, 24), but (B, H, W, 1)", meter.update, meter, g, "depth", "rows")
refuses("the label 'normals' is (2, 4, 6, 3)", meter.update, meter, g, "depth", "normals")
for _, valid in ipairs { 0, -1, 3, math.maxinteger } do
  refuses(("depth meter: %d images of a batch of 2"):format(valid), meter.update, meter, g, "depth", "label", valid)
end
refuses("no input or output 'nothing'", meter.update, meter, g, "nothing", "label")

local classes = core.meter("semseg", { classes = 5 })
classes:update(g, "five", "label")
assert(#classes:class_iou() == 5)
refuses("semseg meter: 'depth' is (2, 4, 6, 1), but (B, H, W, 5)", classes.update, classes, g, "depth", "label")
refuses("no classes", meter.class_iou, meter)

local normals = core.meter("normals")
normals:update(g, "normals", "normals")
refuses("the label 'label' is (2, 4, 6), but (B, H, W, 3)", normals.update, normals, g, "normals", "label")

local trivial = core.trivial("semseg", 5)
trivial:fit(g, "label")
trivial:score(classes, g, "label")
refuses("the label 'rows'", trivial.fit, trivial, g, "rows")
refuses("the label 'rows'", trivial.score, trivial, classes, g, "rows")
refuses("3 images of a batch of 2", trivial.score, trivial, classes, g, "label", 3)
refuses("of 5 classes does not fit a semseg meter of 4 channels", trivial.score, trivial,
  core.meter("semseg", { classes = 4 }), g, "label")
refuses("does not fit a depth meter", trivial.score, trivial, meter, g, "label")

meter:close()
refuses("closed", meter.score, meter)

-- What scripts are told of metrics is what meters report.
local goal = require "sak.goal"
for task, options in pairs { semseg = { classes = 3 }, human_parts = { classes = 3 }, depth = {}, normals = {}, sal = {}, edge = {} } do
  local measured <close> = core.meter(task, options)
  local names = {}
  for i, m in ipairs(measured:score()) do
    local name = ("val/%s/%s"):format(task, m.name)
    assert(goal.of(name) == m.goal, name)
    assert(not goal.unknown(name), name)
    names[i] = m.name
  end
  table.sort(names)
  local message = goal.unknown(("val/%s/unlike_any_of_them"):format(task))
  assert(message:find("there are: " .. table.concat(names, ", "), 1, true), message)
end
