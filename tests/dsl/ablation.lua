local host = require "sak.host"
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

test("--set of an entry by selector leaves out the arms whose list lacks it, not the base", function()
  local text = [[local sak = require "sak"
    return sak.ablation "a" { base = "base.lua", arms = { { name = "x" },
      { name = "y", set = { stages = { sak.multitask { epochs = 5 } } } } } }]]
  local files = { files = { ["base.lua"] = base["base.lua"] } }
  local c = loads(text, { "stages[kind=distill].epochs=7", "stages[kind=multitask].epochs=9" }, files)
  equal(c.trials[1].resolved.stages[1].epochs, 7)
  equal(#c.trials[2].resolved.stages, 1)
  equal(c.trials[2].resolved.stages[1].epochs, 9)
  contains(refused(text, { "stages[kind=destill].epochs=7" }, files), "no entry of stages has kind=destill")
end)

test("--set reaches the ablation's own settings too", function()
  equal(#ablation({}, { "seeds=[4,5,6]" }).trials, 9)
  equal(#ablation({}, {}, { seeds = 1 }).trials, 3)
  local more = ablation({}, { "seeds=[4,9]" }, { seeds = 4 })
  equal(#more.trials, 12)
  equal(more.trials[7].seed .. " " .. more.trials[10].seed, "10 11")
  equal(ablation({}, { "objective.goal=min" }).resolved.objective.goal, "min")
  equal(ablation({}, { "data.train=50" }).trials[2].resolved.data.train, 50)
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
  contains(refused([[local sak = require "sak"
return sak.ablation "a" { base = "base.lua", seeds = { 1, 2, 1 } }]], nil, { files = { ["base.lua"] = base["base.lua"] } }),
    "x.lua:2:62: error: seed 1 is listed twice")
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

test("a point of the grid or the space gives the same trial as the expansion, by itself", function()
  local c = ablation { grid = '["student.adapter.rank"] = { 8, 16, 48 }' }
  for _, n in ipairs { 1, 6, 17 } do
    local one = assert(config.trial(c, c.trials[n].point))
    equal(one.config_sha256, c.trials[n].config_sha256)
    equal(one.label, c.trials[n].label)
    local alone = ablation({ grid = '["student.adapter.rank"] = { 8, 16, 48 }' }, {}, { point = c.trials[n].point })
    equal(#alone.trials, 1)
    equal(alone.trials[1].config_sha256, c.trials[n].config_sha256)
  end
end)

test("cells tell values apart in the same words every time", function()
  local function cells(values)
    local list = {}
    for i, t in ipairs(ablation({ grid = '["student.router"] = { ' .. values .. ' }', more = "", }).trials) do
      if i <= 2 then list[i] = t.cell end
    end
    return table.concat(list, " | ")
  end
  equal(cells "sak.router.topk { k = 1 }, sak.router.topk { k = 2 }", "student.router=topk(k:1) | student.router=topk(k:2)")
  equal(cells "sak.router.mor { noisy = true }, sak.router.mor {}",
    "student.router=mor(noisy:true) | student.router=mor(noisy:default)")
  equal(cells "sak.router.mor {}, sak.router.sum {}", "student.router=mor | student.router=sum")
  equal(cells "sak.router.sum {}, sak.router.sum {}", "student.router=sum#1 | student.router=sum#2")
  equal(cells "function(s) return s end, function(s, e) return e[1] end", "student.router=function#1 | student.router=function#2")
  equal(cells "function(s) return s end, 'sum'", 'student.router=function#1 | student.router="sum"')
  contains(refused((with { grid = '["student.adapter.rank"] = { 8, 9, 8 }' }), nil, { files = { ["base.lua"] = base["base.lua"] } }),
    "grid['student.adapter.rank'] lists 8 twice")
end)

local function sampled(parts)
  return ([[
local sak = require "sak"
return sak.ablation "tuned" {
  base = "base.lua",
  space = { SPACE },
  sampler = SAMPLER,
  MORE
}]]):gsub("%u%u%u+", { SPACE = parts.space or '["student.adapter.rank"] = sak.int_uniform { 4, 64 }',
    SAMPLER = parts.sampler or "sak.tpe { trials = 5 }", MORE = parts.more or "" })
end
local files = { ["base.lua"] = base["base.lua"] }

test("a sampler proposes points of the space, and a point gives a trial", function()
  local c = loads((sampled { space = [[["student.adapter.rank"] = sak.int_uniform { 4, 64 },
    ["student.router"] = sak.choice { sak.router.sum {}, sak.router.token {} },
    ["stages[2].optim.lr"] = sak.log_uniform { 1e-5, 1e-3 }]] }), nil, { files = files })
  equal(#c.trials, 6) -- the corners
  local t = assert(config.trial(c, { arm = 1, seed = 2,
    space = { ["student.adapter.rank"] = 7, ["student.router"] = 2, ["stages[2].optim.lr"] = 1e-4 } }))
  equal(t.resolved.student.adapter.rank, 7)
  equal(t.resolved.student.router.kind, "token")
  equal(t.resolved.stages[2].optim.lr, 1e-4)
  equal(t.resolved.seed, 2)
end)

test("a space is checked at its ends and choices before anything runs", function()
  local function says(parts, message)
    contains(refused((sampled(parts)), nil, { files = files }), message)
  end
  says({ space = '["student.adapter.rank"] = sak.int_uniform { 4, 65 }' }, "an adapter of rank 65 is wider than the stem (64)")
  says({ space = '["student.adapter.rank"] = sak.int_uniform { 9, 4 }' }, "the lower end 9 is not below the upper end 4")
  says({ space = '["student.adpter.rank"] = sak.choice { 9, 4 }' }, "did you mean 'student.adapter.rank'?")
  says({ space = '["student.router"] = sak.choice { "sum", "moor" }' }, "did you mean 'mor'?")
  says({ space = '["student.adapter.rank"] = sak.uniform { 4 }' }, "needs 'high'")
  says({ space = "" }, "a sampler needs a 'space'")
  says({ more = 'grid = { ["data.train"] = { 5 } },' }, "give one of them")
  says({ more = 'arms = { { name = "a" }, { name = "b" } },' }, "a sampler improves one arm")
  contains(refused((sampled { sampler = "nil" }), nil, { files = files }), "a space needs a sampler")
end)

test("what decides is to be had when it is needed, and falls or rises by its name", function()
  local function with_objective(text)
    return ((with {}):gsub('objective = %b{}', "objective = " .. text))
  end
  local function goal_of(text) return loads(with_objective(text), nil, { files = files }).resolved.objective.goal end
  equal(goal_of '{ metric = "val/depth/RMSE" }', "min")
  equal(goal_of '{ metric = "val/edge/odsF" }', "max")
  contains(refused(with_objective '{ metric = "val/semseg/miou" }', nil, { files = files }), "of semseg there are: mIoU, ")
  equal(goal_of '{ metric = "val/depth/RMSE", goal = "max" }', "max")
  local function stopped(objective, stopper)
    return (with_objective(objective):gsub("seeds = ", "stopper = " .. stopper .. ", seeds = "))
  end
  contains(refused(stopped("{}", "sak.asha { grace = 2 }"), nil, { files = files }), "a stopper cannot decide by 'val/delta_m'")
  contains(refused(stopped("{}", 'sak.median { metric = "val/edge/odsF", grace = 2 }'), nil, { files = files }),
    "is matched in a run's last evaluation alone")
  loads(stopped("{}", 'sak.median { metric = "multitask/loss", grace = 2 }'), nil, { files = files })
  contains(config.format(loads((sampled {}), nil, { files = files }).warnings), "the sampler improves 'val/delta_m', the default")
end)

test("a point that lost a seed is worse than any that did not", function()
  local plan = require "sak.sweep_plan"
  local c = loads((sampled { sampler = "sak.tpe { trials = 9, startup = 8, batch = 1 }", more = 'objective = { metric = "val/depth/RMSE" },' }),
    nil, { files = files })
  local function next_rank(lost)
    local rows = {}
    for i = 1, 8 do
      for seed = 0, 1 do -- small ranks have the smallest errors
        local dead = seed == 1 and i <= lost
        rows[#rows + 1] = { cell = "c" .. i, state = dead and "pruned" or "done", value = not dead and i / 10 or nil,
          point_json = host.encode { arm = 1, index = i, seed = seed, space = { ["student.adapter.rank"] = 7 * i } } }
      end
    end
    local sum = 0
    for seed = 0, 9 do
      c.resolved.sampler.seed = seed
      local added = plan.make(c, { goal = "min" }):missing(rows)
      sum = sum + host.decode(added[1].point_json).space["student.adapter.rank"]
    end
    return sum / 10
  end
  assert(next_rank(0) < 28, next_rank(0))
  assert(next_rank(4) > 28, next_rank(4))
end)

test("a function that has moved makes the same configuration, one that reads otherwise another", function()
  local function mine(text)
    local t = loads(text, nil, { files = files }).trials[3]
    equal(t.arm, "mine")
    return t.group_sha256
  end
  equal(mine((with {})), mine("-- a comment\n\n" .. with {}))
  assert(mine((with {})) ~= mine(((with {}):gsub("return s end", "return s + s end"))))
end)
