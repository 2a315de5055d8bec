local config = require "sak.config"

local base = { ["base.lua"] = small { stages = "{ sak.distill { epochs = 3 }, sak.multitask { epochs = 1 } }",
  student = "sak.student { stem = sak.vit { width = 64, heads = 2, patch = 8 }, adapter = { down_ratio = 4 }, tasks = { 'depth' } }" } }

local function with(parts)
  return ([[
local sak = require "sak"
return sak.ablation "router" {
  base = "base.lua",
  arms = {
    { name = "mor" },
    { name = "sum", set = { ["student.router"] = sak.router.sum {} } },
    { name = "mine", set = { ["student.router"] = function(s, e) return s end } },
  },
  grid = { GRID },
  seeds = sak.seeds(2),
  objective = { metric = "val/delta_m", goal = "max" },
  MORE
}]]):gsub("%u%u+", { GRID = parts.grid or "", MORE = parts.more or "" })
end

local function ablation(parts, sets, options)
  options = options or {}
  options.files = { ["base.lua"] = base["base.lua"] }
  return loads((with(parts or {})), sets, options)
end

test("arms, grid and seeds are crossed, seeds outermost", function()
  local c = ablation { grid = '["student.adapter.rank"] = { 8, 16, 48 }' }
  equal(c.kind, "ablation")
  equal(#c.trials, 18)
  equal(c.trials[1].label, "mor/student.adapter.rank=8")
  equal(c.trials[1].arm, "mor")
  equal(c.trials[10].seed, 1)
  equal(c.trials[10].label, c.trials[1].label)
  equal(c.trials[10].group_sha256, c.trials[1].group_sha256)
  assert(c.trials[10].config_sha256 ~= c.trials[1].config_sha256)
  equal(c.trials[6].resolved.student.adapter.rank, 48)
  equal(c.trials[6].resolved.student.router.kind, "sum")
  equal(type(c.trials[9].functions["student.router"]), "function")
  local seen = {}
  for _, t in ipairs(c.trials) do
    assert(not seen[t.config_sha256])
    seen[t.config_sha256] = true
  end
end)

test("precedence is defaults < script < arm < grid < --set", function()
  local function rank(sets, grid)
    local c = loads([[local sak = require "sak"
      return sak.ablation "a" { base = "base.lua", arms = { { name = "x", set = { ["student.adapter.rank"] = 8 } } }, ]] .. grid .. " }",
      sets, { files = { ["base.lua"] = base["base.lua"] } })
    return c.trials[1].resolved.student.adapter.rank, c
  end
  equal((rank({}, "")), 8)
  equal((rank({}, 'grid = { ["student.adapter.rank"] = { 9 } }')), 9)
  local value, c = rank({ "student.adapter.rank=10" }, 'grid = { ["student.adapter.rank"] = { 9 } }')
  equal(value, 10)
  equal(config.format(c.warnings),
    "warning: --set student.adapter.rank=10 pins 'student.adapter.rank', which the grid sweeps\n"
    .. "warning: --set student.adapter.rank=10 pins 'student.adapter.rank', which arm 'x' sets\n")
  local _, d = rank({ "student.adapter={\"rank\":3}" }, "")
  contains(config.format(d.warnings), "pins 'student.adapter.rank', which arm 'x' sets")
end)

test("--set reaches the ablation's own settings too", function()
  equal(#ablation({}, { "seeds=[4,5,6]" }).trials, 9)
  equal(#ablation({}, {}, { seeds = { 0 } }).trials, 3)
  equal(ablation({}, { "objective.goal=min" }).resolved.objective.goal, "min")
  equal(ablation({}, { "data.train=5" }).trials[2].resolved.data.train, 5)
end)

test("what is wrong in an arm or a grid is pointed at in the ablation", function()
  local function says(parts, message)
    contains(refused((with(parts)), nil, { files = { ["base.lua"] = base["base.lua"] } }), message)
  end
  says({ grid = '["student.adpter.rank"] = { 8 }' }, [[
x.lua:9:13: error: student.adpter.rank: no such path
     9 |   grid = { ["student.adpter.rank"] = { 8 } },
       |             ^
  help: did you mean 'student.adapter.rank'?
]])
  says({ grid = '["student.adapter.rank"] = { 8, 0 }' },
    "x.lua:9:44: error: student.adapter.rank must be a whole number of at least 1, got 0")
  says({ grid = '["student.adapter.rank"] = { 8, 65 }' }, "x.lua:9:44: error: an adapter of rank 65 is wider than the stem (64)")
  says({ grid = '["student.adapter.rank"] = {}' }, "x.lua:9:39: error: grid[\"student.adapter.rank\"] must have at least 1 entries, got 0")
  says({ more = 'arms2 = {}' }, "x.lua:12:3: error: the ablation has no setting 'arms2'")
  says({ grid = '["student..rank"] = { 3 }' }, "'student..rank': not a path")
  local text = refused([[local sak = require "sak"
return sak.ablation "a" { base = "base.lua", arms = {
  { name = "a", set = { ["student.router"] = "summ" } },
  { name = "a", set = { ["student.router.noisey"] = true } },
} }]], nil, { files = { ["base.lua"] = base["base.lua"] } })
  contains(text, "x.lua:4:12: error: two arms are called 'a'")
end)

test("an arm that breaks the base is found before anything runs", function()
  local text = refused([[local sak = require "sak"
return sak.ablation "a" { base = "base.lua", arms = {
  { name = "a", set = { ["student.router"] = sak.router.topk {
    k = 7 } } },
  { name = "b", set = { ["student.router.noisey"] = true } },
  { name = "c", set = { ["student.tasks"] = {} } },
} }]], nil, { files = { ["base.lua"] = base["base.lua"] } })
  contains(text, "x.lua:4:9: error: the router keeps 7 experts, but there are 2 (stem and teachers)")
  contains(text, "x.lua:5:26: error: student.router.noisey: no such path")
  contains(text, "did you mean 'student.router.noisy'?")
  contains(text, "base.lua:6:") -- the stage that now lacks tasks
end)

test("a base that is missing or not an experiment is refused", function()
  contains(refused 'local sak = require "sak"\nreturn sak.ablation "a" { base = "nope.lua" }',
    "x.lua:2:34: error: base: nope.lua: no such file")
  contains(refused 'local sak = require "sak"\nreturn sak.ablation "a" { base = "x.lua" }', "is not an experiment")
  contains(refused 'local sak = require "sak"\nreturn sak.ablation "a" {}', "the ablation needs 'base'")
end)

test("an experiment can be the base itself", function()
  local script = small():gsub("return", "local e =", 1) .. '\nreturn sak.ablation "a" { base = e, seeds = { 3 } }'
  local c = loads(script)
  equal(#c.trials, 1)
  equal(c.trials[1].seed, 3)
  equal(c.resolved.base.kind, nil)
end)

test("a sampler can propose further trials", function()
  local c = ablation {}
  local t = assert(config.trial(c, { ["student.adapter.rank"] = 7, seed = 2 }))
  equal(t.resolved.student.adapter.rank, 7)
  local none, list = config.trial(c, { ["student.adapter.rank"] = 0 })
  equal(none, nil)
  contains(config.format(list), "student.adapter.rank must be")
end)
