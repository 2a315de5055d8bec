--- Tensors held against parameters: what each parameter takes from where, and what stands in the
--- way.  Nothing is loaded before all of it fits.

local function list(found)
  table.sort(found)
  local shown = table.concat(found, ", ", 1, math.min(#found, 6))
  return #found > 6 and ("%s and %d more"):format(shown, #found - 6) or shown
end

local function shape_text(s) return "(" .. table.concat(s, ", ") .. ")" end

local function count(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

--- Equal but for dimensions of size 1.
local function same_shape(a, b)
  local function squeezed(s)
    local out = {}
    for _, d in ipairs(s) do if d ~= 1 then out[#out + 1] = d end end
    return table.concat(out, " ")
  end
  return squeezed(a) == squeezed(b)
end

--- What is to be loaded, and what stands in the way.
---@class Fit
---@field steps table[]  each { how, parameter, tensor, … }
---@field missing string[]
---@field misshapen string[]
---@field left_over string[]
---@field relative integer  tables of relative positions that are resampled
---@field bare boolean  the position table has no row for the class token
---@field rows table<string, integer>  of the global blocks' relative tables, by axis
local Fit = {}
Fit.__index = Fit

---@return Fit
function Fit.new()
  return setmetatable({ steps = {}, missing = {}, misshapen = {}, left_over = {}, relative = 0, bare = false, rows = {} },
    Fit)
end

function Fit:add(...) self.steps[#self.steps + 1] = table.pack(...) end

---@param hint? string
function Fit:differs(theirs, s, p, hint)
  self.misshapen[#self.misshapen + 1] = ("'%s' is %s but the model's '%s' is %s%s"):format(theirs, shape_text(s), p.name,
    shape_text(p.shape), hint and " (" .. hint .. ")" or "")
end

--- What was not taken as it is: "" or "; …".
---@return string
function Fit:changes()
  return (self.bare and "; the position table has no row for the class token, which gets none" or "")
    .. (self.relative > 0 and ("; %d tables of relative positions resampled"):format(self.relative) or "")
end

--- Raises when anything stands in the way.
function Fit:check(where)
  local lines = {}
  if #self.missing > 0 then lines[#lines + 1] = "missing in the file: " .. list(self.missing) end
  if #self.misshapen > 0 then lines[#lines + 1] = "shapes differ: " .. list(self.misshapen) end
  if #self.left_over > 0 then lines[#lines + 1] = "in the file but not in the model: " .. list(self.left_over) end
  if #lines > 0 then error(("%s: weights do not fit the model; %s"):format(where, table.concat(lines, "; ")), 0) end
end

--- How values come from a weight file, and from another set of parameters.
Fit.from_file = { whole = "load", part = "load", table = "load_resized", update = "add_product" }
Fit.from_params = { whole = "copy", table = "copy_resized", update = "add_product" }

---@param source userdata  a weight file or parameters
---@param methods table<string, string>  Fit.from_file or Fit.from_params
function Fit:load(params, source, methods)
  for _, step in ipairs(self.steps) do
    params[methods[step[1]]](params, step[2], source, table.unpack(step, 3, step.n))
  end
end

---@class Positions  how position tables of another grid are resampled
---@field grid integer[]   {h, w} of the model
---@field source? integer[] {h, w} of the file, if it is not square
---@field tokens integer   rows before the grid's
---@field bare boolean  the file may leave these rows out: they are 0 then
---@field mode string
---@field global? fun(block: integer): boolean  blocks whose relative positions span the grid, not a window

--- The grid of a position table with `rows` rows. A square one explains itself; another must be said,
--- since h * w + 1 may be a square too.
---@return integer[]? grid, boolean? bare  nil when no grid explains the rows
local function grid_of(rows, positions)
  local known = positions.source
  for _, bare in ipairs { false, positions.bare and positions.tokens > 0 or nil } do
    local n = bare and rows or rows - positions.tokens
    local side = math.floor(math.sqrt(math.max(n, 0)) + 0.5)
    if known and known[1] * known[2] == n then return known, bare end
    if not known and side * side == n and n > 0 then return { side, side }, bare end
  end
end

local function same_grid(a, b) return a[1] == b[1] and a[2] == b[2] end

--- A table of absolute positions.
local function place_positions(fit, p, theirs, s, positions)
  local rows = count(s) // math.max(s[#s], 1)
  local from, bare
  if #s == 4 then from = { s[2], s[3] } else from, bare = grid_of(rows, positions) end
  local same, here = same_shape(s, p.shape), positions.grid
  if not from and not (same and not positions.source) then
    local n = rows - positions.tokens
    local hint = positions.source and ("%d positions are not the grid of %d x %d that was given"):format(n,
      table.unpack(positions.source)) or ("%d positions are no square grid: give grid = { h, w }, the one it was trained on"):format(n)
    if not positions.bare and grid_of(rows + positions.tokens, positions) then
      hint = hint .. "; or class_position = false, if it has no row for the class token"
    end
    return fit:differs(theirs, s, p, hint)
  end
  fit.bare = fit.bare or bare or false
  if same and not bare and (not from or same_grid(from, here)) then -- (1, 6, 1, C) is another grid than (1, 1, 6, C)
    fit:add("whole", p.name, theirs)
  elseif same and not bare and not positions.source and #s < 4 then
    fit:differs(theirs, s, p, ("of a grid of %d x %d or of %d x %d? Give grid = { h, w }, the one it was trained on"):format(
      from[1], from[2], here[1], here[2]))
  else
    fit:add("table", p.name, theirs, from, here, positions.tokens, positions.mode)
  end
end

--- A table of relative positions along one axis. Those within windows do not depend on the image.
local function place_relative(fit, p, block, axis, theirs, s, positions)
  local global = positions and positions.global and positions.global(block)
  local C = p.shape[#p.shape]
  if not global then
    if same_shape(s, p.shape) then return fit:add("whole", p.name, theirs) end
    return fit:differs(theirs, s, p, positions and positions.global
      and ("block %d has windows here, so the table 2 * window - 1 rows; see `window` and `global`"):format(block) or nil)
  end
  fit.rows[axis] = fit.rows[axis] or s[1]
  if #s ~= 2 or s[2] ~= C or s[1] ~= fit.rows[axis] then
    fit:differs(theirs, s, p, s[1] ~= fit.rows[axis]
      and ("another global block's has %d rows; see `global`"):format(fit.rows[axis]) or nil)
  elseif s[1] == p.shape[1] then
    fit:add("whole", p.name, theirs)
  else
    fit.relative = fit.relative + 1
    fit:add("table", p.name, theirs, { s[1], 1 }, { p.shape[1], 1 }, 0, "bilinear")
  end
end

--- Adds the step that gives p the tensor's values; resamples tables of another grid.
---@param name string  the parameter below its prefix
---@param s integer[]  the tensor's shape
---@param positions? Positions  nil: nothing is resampled
function Fit:place(p, name, theirs, s, positions)
  local block, axis = name:match "^blocks%.(%d+)%.attn%.rel_pos_([hw])$"
  if block then
    place_relative(self, p, tonumber(block), axis, theirs, s, positions)
  elseif name == "pos_embed" and positions and s[#s] == p.shape[#p.shape] then
    place_positions(self, p, theirs, s, positions)
  elseif same_shape(s, p.shape) then
    self:add("whole", p.name, theirs)
  elseif name == "patch_embed.proj.weight" and #s == 2 and s[1] == p.shape[1] and count(s) == p.count then
    self:add("part", p.name, theirs, 0) -- over patches unfolded by channel, row, column: the same order
  else
    self:differs(theirs, s, p)
  end
end

--- The n tensors that lie below one another in p, all of one height.
function Fit:place_parts(p, parts, shapes)
  local n = parts[1].n
  local height = count(p.shape) // n
  for k, part in ipairs(parts) do
    local s = shapes[part.name]
    local want = table.move(p.shape, 1, #p.shape, 1, {})
    want[1] = want[1] // n
    if p.shape[1] % n ~= 0 or not same_shape(s, want) then
      self:differs(part.name, s, { name = ("%s [%d/%d]"):format(p.name, k, n), shape = want })
    else
      self:add("part", p.name, part.name, (part.k - 1) * height)
    end
  end
end

return Fit
