-- The live table of a sweep: it fits the terminal, and tells arms apart.
local layout = require "sak.sweep_table"

--- Trials of n arms; arm i has the mean i / 10 once its two seeds are done.
local function trials(n, state)
  local rows = {}
  for i = 1, n do
    local cell = ("stages[1].optim.lr=%g student.adapter.rank=%d"):format(i, i)
    for seed = 0, 1 do
      rows[#rows + 1] = { label = "plain/" .. cell:gsub(" ", "/"), arm = "plain", cell = cell, seed = seed, state = state,
        value = state == "done" and i / 10 + seed / 100 or nil }
    end
  end
  return rows
end

test("labels keep the last word of a path unless two paths share it", function()
  local short = layout.short { { label = "a/x.lr=1/y.rank=2", cell = "x.lr=1 y.rank=2" }, { label = "b" } }
  equal(short["a/x.lr=1/y.rank=2"], "a/lr=1/rank=2")
  equal(short.b, "b")
  short = layout.short { { label = "s[1].lr=1/s[2].lr=2", cell = "s[1].lr=1 s[2].lr=2" } }
  equal(short["s[1].lr=1/s[2].lr=2"], "s[1].lr=1/s[2].lr=2")
end)

test("the table never has more lines than the terminal less one, nor longer ones", function()
  for _, size in ipairs { { 80, 24 }, { 120, 40 }, { 40, 10 }, { 20, 5 }, { 300, 3 } } do
    for _, n in ipairs { 1, 2, 19, 20, 21, 22, 100 } do
      local lines = layout.lines(trials(n, "done"), "val/depth/RMSE", "min", ("x"):rep(200), size[1], size[2])
      if #lines > math.max(size[2] - 1, 4) then error(("%d lines at %d rows, %d arms"):format(#lines, size[2], n)) end
      for _, line in ipairs(lines) do
        if utf8.len(line) > size[1] - 1 then error(("%d characters at %d columns: %s"):format(utf8.len(line), size[1], line)) end
      end
    end
  end
end)

test("all arms are there when they fit", function()
  local lines = layout.lines(trials(21, "done"), "m", "min", "foot", 80, 24)
  equal(#lines, 23)
  equal(lines[2], "plain/lr=1/rank=1       2    0     0  0.105 ± 0.0071")
  equal(lines[23], "foot")
end)

test("of too many, those that run and the best are shown, in their order", function()
  local rows = trials(30, "done")
  rows[59].state, rows[59].value = "running", nil
  rows[60].state, rows[60].value = "queued", nil
  local lines = layout.lines(rows, "m", "min", "foot", 80, 10)
  equal(#lines, 9)
  for i = 1, 5 do contains(lines[i + 1], ("lr=%d/"):format(i)) end
  contains(lines[7], "lr=30/")
  equal(lines[8], "… and 24 more")
  contains(layout.lines(rows, "m", "max", "foot", 80, 10)[2], "lr=25/")
end)

test("folded lines are counted as the terminal shows them", function()
  equal(layout.height({ ("x"):rep(79), "", "±±±" }, 80), 3)
  equal(layout.height({ ("x"):rep(79), "", "±±±" }, 40), 4)
  equal(layout.height({ ("±"):rep(79) }, 79), 1)
end)
