--- What `sak verify` found: one row per tensor, the tolerances, and what nothing compared.

local core = require "sak.core"

local DOUBLE = core.real_bits == 64

---@class Report
---@field rows table[]
---@field failed integer
local Report = {}
Report.__index = Report

--- Of a float32 engine against float64 results (reference/README.md).
local FLOAT = { value = { 1e-5, 5e-5 }, loss = 2e-6, grad = { 1e-4, 1e-6 }, statistics = 1e-5, resize = 1e-6 }
local STEP = { 2e-6, 4e-6, 2e-5 } -- after 1, 2, 3 steps and more

--- Of a double engine: what is left after the rounding of the stored float32 values (half a unit in
--- the last place of each element), as a share of the tensor's largest element.
local EXACT = 1e-9
local TINY = 1e-12 -- values that are 0 but for rounding

--- How many times worse than a float32 run of PyTorch the engine may be where PyTorch itself is far
--- off: ill-conditioned values, and kinks that a rounding error crosses.
local SLACK, STEP_SLACK = 4, 10 -- after steps, one crossed kink decides by how much
--- And at most how many times the stated tolerance that may make it.
local WIDEST = 100

---@param info? table  expected.json
---@return Report
function Report.new(info)
  local measured = info and info.max_abs_error_of_a_float32_pytorch_run
  return setmetatable({ rows = {}, failed = 0, measured = measured or {}, seen = {}, notes = {}, distance = 0 }, Report)
end

--- The stated tolerance, or a few times what a float32 run of PyTorch reaches if that is more: with this
--- tensor, or else with its group.
function Report:tolerance(stated, key, name)
  local m = self.measured[name] or self.measured[key]
  local slack = key and key:find("step", 1, true) and STEP_SLACK or SLACK
  return math.max(stated, type(m) == "number" and math.min(slack * m, WIDEST * stated) or 0)
end

--- Names of the tensors that pass by a widened tolerance, and would not by the stated one.
---@return string[]
function Report:widened()
  local names = {}
  for _, row in ipairs(self.rows) do if row.widened then names[#names + 1] = row.name end end
  return names
end

--- Records one comparison; `ok` decides the exit status. strict: it meets the stated tolerances too.
function Report:add(name, c, ok, limit, strict)
  self.seen[name] = true
  self.rows[#self.rows + 1] = { name = name, relative = c.relative, worst = c.worst, index = c.worst_index,
    ours = c.ours, theirs = c.theirs, ok = ok, limit = limit, unjudged = c.unjudged,
    widened = ok and strict == false }
  if not ok then self.failed = self.failed + 1 end
end

--- In double every tensor has the same limit; true when that settled it.
function Report:exact(name, c)
  if not DOUBLE then return false end
  local limit = EXACT * c.max + TINY
  self:add(name, c, c.beyond <= limit, ("%.3g beyond float32 rounding"):format(limit))
  return true
end

function Report:value(name, c)
  if self:exact(name, c) then return end
  local worst = self:tolerance(FLOAT.value[2], name:match "^[^/]+", name)
  local relative = FLOAT.value[1] * worst / FLOAT.value[2]
  self:add(name, c, c.relative <= relative and c.worst <= worst,
    ("%.3g relative, %.3g worst"):format(relative, worst), c.relative <= FLOAT.value[1] and c.worst <= FLOAT.value[2])
end

local function pair(ours, theirs)
  local d = math.abs(ours - theirs)
  return { relative = d / math.max(math.abs(theirs), 1e-300), worst = d, worst_index = 0, ours = ours, theirs = theirs }
end

--- A row from two numbers of full precision (expected.json).
function Report:number(name, ours, theirs, stated, key)
  local c, limit = pair(ours, theirs), DOUBLE and 1e-11 or self:tolerance(stated, key)
  self:add(name, c, c.relative <= limit or c.worst <= TINY, ("%.3g relative"):format(limit),
    DOUBLE or c.relative <= stated or c.worst <= TINY)
end

--- The norm of all gradients may be off by what the gradients are, each of which was judged itself.
function Report:grad_norm(ours, theirs)
  local c = pair(ours, theirs)
  local limit = DOUBLE and 1e-11 or FLOAT.loss + self.distance / math.max(theirs, TINY)
  self:add("grad_norm", c, c.relative <= limit or c.worst <= TINY, ("%.3g relative"):format(limit))
end

--- Likewise, with an absolute limit.
function Report:absolute(name, ours, theirs, limit)
  local c = pair(ours, theirs)
  self:add(name, c, c.worst <= limit, ("%.3g worst"):format(limit))
end

function Report:loss(name, c)
  if self:exact(name, c) then return end
  local limit = self:tolerance(FLOAT.loss, "loss (relative)", name)
  self:add(name, c, c.relative <= limit or c.worst <= 1e-9, ("%.3g relative"):format(limit),
    c.relative <= FLOAT.loss or c.worst <= 1e-9)
end

--- Near 1e-6 float32 noise in the sums that make a gradient shows, whatever the tensor's size.
function Report:grad(name, c)
  self.distance = math.sqrt(self.distance ^ 2 + c.distance ^ 2)
  if self:exact(name, c) then return end
  local relative = self:tolerance(FLOAT.grad[1], "grad / max|grad of tensor| (tensors with max > 1e-4)", name)
  local worst = FLOAT.grad[2]
  c.unjudged = c.max <= 1e-4
  self:add(name, c, c.max > 1e-4 and c.relative <= relative or c.worst <= worst,
    ("%.3g relative or %.3g worst"):format(relative, worst),
    c.max > 1e-4 and c.relative <= FLOAT.grad[1] or c.worst <= worst)
end

--- Parameters after k optimiser steps; elements whose gradient is noise may move `moved`, the sum of
--- the rates so far.
function Report:step(name, c, k, moved)
  if self:exact(name, c) then return end
  local group = "step" .. k
  local stated = STEP[math.min(k, #STEP)]
  local worst = self:tolerance(stated, group, name)
  local weak = self:tolerance(moved * 1.001, group .. " (|grad| <= floor)")
  c.unjudged = c.worst <= worst
  self:add(name, c, c.worst <= worst and c.weak_worst <= weak,
    ("%.3g worst, %.3g where the gradient is noise"):format(worst, weak),
    c.worst <= stated and c.weak_worst <= moved * 1.001)
end

function Report:statistics(name, c, k, lr)
  if self:exact(name, c) then return end
  local stated = k >= 3 and name:find("running_mean", 1, true) and k * lr or FLOAT.statistics
  local limit = self:tolerance(stated, ("step%d (BN statistics)"):format(k), name)
  self:add(name, c, c.worst <= limit, ("%.3g worst"):format(limit), c.worst <= stated)
end

--- What must not have changed at all.
function Report:unchanged(name, c)
  self:add(name, c, c.worst == 0, "no change: it has no gradient")
end

function Report:part(name, c, ok, limit)
  if self:exact(name, c) then return end
  self:add(name, c, ok, limit)
end

--- Something that could not be compared at all.
function Report:missing(name, why)
  self.seen[name] = true
  self.rows[#self.rows + 1] = { name = name, ok = false, why = why, relative = 0, worst = 0, index = 0, ours = 0,
    theirs = 0, limit = "", unjudged = true }
  self.failed = self.failed + 1
end

--- Every expected tensor must have been compared with something.
---@param shapes table  of expected.safetensors
function Report:close(shapes)
  local names = {}
  for name in pairs(shapes) do
    if not self.seen[name] then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    self:missing(name, "nothing in the model has this name: not compared")
  end
end

--- What of the dump was left aside, for the summary.
function Report:note(text) self.notes[#self.notes + 1] = text end

--- Rows by group (the name up to the first slash): { {group =, count =}, … }.
function Report:groups()
  local counts, order = {}, {}
  for _, row in ipairs(self.rows) do
    local g = row.name:match "^[^/]+"
    if not counts[g] then order[#order + 1] = g end
    counts[g] = (counts[g] or 0) + 1
  end
  table.sort(order)
  local out = {}
  for i, g in ipairs(order) do out[i] = { group = g, count = counts[g] } end
  return out
end

return Report
