--- Loading weights: every tensor is checked first, then all are loaded.  What does not match is
--- reported by name, never skipped silently.

local core = require "sak.core"
local host = require "sak.host"
local encoder = require "sak.models.encoder"
local lora = require "sak.models.lora"
local names = require "sak.names"

local weights = {}

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
local Fit = {}
Fit.__index = Fit

local function new_fit()
  return setmetatable({ steps = {}, missing = {}, misshapen = {}, left_over = {} }, Fit)
end

function Fit:add(...) self.steps[#self.steps + 1] = table.pack(...) end

function Fit:differs(theirs, s, p)
  self.misshapen[#self.misshapen + 1] = ("'%s' is %s but the model's '%s' is %s"):format(theirs, shape_text(s), p.name,
    shape_text(p.shape))
end

--- Raises when anything stands in the way.
function Fit:check(where)
  local lines = {}
  if #self.missing > 0 then lines[#lines + 1] = "missing in the file: " .. list(self.missing) end
  if #self.misshapen > 0 then lines[#lines + 1] = "shapes differ: " .. list(self.misshapen) end
  if #self.left_over > 0 then lines[#lines + 1] = "in the file but not in the model: " .. list(self.left_over) end
  if #lines > 0 then error(("%s: weights do not fit the model; %s"):format(where, table.concat(lines, "; ")), 0) end
end

--- Values from a weight file, or from another set of parameters.
local from_file = { whole = "load", part = "load", table = "load_resized" }
local from_params = { whole = "copy", table = "copy_resized", update = "add_product" }

function Fit:load(params, source, methods)
  for _, step in ipairs(self.steps) do
    params[methods[step[1]]](params, step[2], source, table.unpack(step, 3, step.n))
  end
end

--- The grid of a position table with `rows` rows, of which the first `tokens` are not positions of the
--- image (some files leave these rows out: they are 0). nil when no grid explains the rows.
local function grid_of(rows, tokens, known)
  for _, n in ipairs { rows - tokens, rows } do
    local side = math.floor(math.sqrt(math.max(n, 0)) + 0.5)
    if known and known[1] * known[2] == n then return known end
    if side * side == n and n > 0 then return { side, side } end
  end
end

---@class Positions  how position tables of another grid are resampled
---@field grid integer[]   {h, w} of the model
---@field source? integer[] {h, w} of the file, if it is not square
---@field tokens integer   rows before the grid's
---@field mode string

--- Adds the step that gives p the tensor's values; resamples tables of another grid.
---@param name string  the parameter below its prefix
---@param positions Positions
local function place(fit, p, name, theirs, s, positions)
  local rows = #s > 0 and count(s) // math.max(s[#s], 1) or 0
  local C = p.shape[#p.shape]
  local other_grid = #s == 4 and name == "pos_embed" and (s[2] ~= p.shape[2] or s[3] ~= p.shape[3])
  if same_shape(s, p.shape) and not other_grid then -- (1, 6, 1, C) is another grid than (1, 1, 6, C)
    fit:add("whole", p.name, theirs)
  elseif name == "patch_embed.proj.weight" and #s == 2 and s[1] == p.shape[1] and count(s) == p.count then
    fit:add("part", p.name, theirs, 0) -- over patches unfolded by channel, row, column: the same order
  elseif name == "pos_embed" and s[#s] == C then
    local from = #s == 4 and { s[2], s[3] } or grid_of(rows, positions.tokens, positions.source)
    if not from then return fit:differs(theirs, s, p) end
    fit:add("table", p.name, theirs, from, positions.grid, positions.tokens, positions.mode)
  elseif name:match "rel_pos_[hw]$" and #s == 2 and s[2] == C then
    fit:add("table", p.name, theirs, { s[1], 1 }, { p.shape[1], 1 }, 0, "bilinear")
  else
    fit:differs(theirs, s, p)
  end
end

--- The n tensors that lie below one another in p, all of one height.
local function place_parts(fit, p, parts, shapes)
  local n = parts[1].n
  local height = count(p.shape) // n
  for k, part in ipairs(parts) do
    local s = shapes[part.name]
    local want = table.move(p.shape, 1, #p.shape, 1, {})
    want[1] = want[1] // n
    if p.shape[1] % n ~= 0 or not same_shape(s, want) then
      fit:differs(part.name, s, { name = ("%s [%d/%d]"):format(p.name, k, n), shape = want })
    else
      fit:add("part", p.name, part.name, (part.k - 1) * height)
    end
  end
end

--- "Hugging Face CLIP names, 149 tensors; not needed for features: 3 final norm, …"
local function describe(map, loaded)
  local outside = {}
  for label, n in pairs(map.outside) do outside[#outside + 1] = ("%d %s"):format(n, label) end
  table.sort(outside)
  return ("%s names, %d tensors%s"):format(map.source.title, loaded,
    #outside > 0 and "; not needed for features: " .. table.concat(outside, ", ") or "")
end

---@class EncoderOptions
---@field where string  the file, for messages
---@field image integer[]  {H, W} pixels
---@field prefix? string  of the parameters
---@field pos_mode? string  how the position table is resampled; as the encoder says if not given
---@field source_grid? integer[]  grid of the file's position table; square if not given
---@field names? string  whose names the file has; detected if not given

--- Holds an encoder's file against the parameters below `prefix`; changes nothing.
---@param params userdata
---@param file userdata  core.weights
---@param c VitSpec
---@param o EncoderOptions
---@return Fit, string description  raises when they do not fit
function weights.fit_encoder(params, file, c, o)
  local prefix, shapes = o.prefix or "", file:shapes()
  local map, fit, used = names.map(shapes, o.where, o.names), new_fit(), {}
  local positions = { grid = { o.image[1] // c.patch, o.image[2] // c.patch }, source = o.source_grid,
    tokens = c.kind ~= "sam" and c.class_token and 1 or 0, mode = o.pos_mode or encoder.resample(c) }
  local loaded = 0
  for _, p in ipairs(params:list()) do
    local name = p.name:sub(1, #prefix) == prefix and p.name:sub(#prefix + 1)
    local parts = name and map.parts[name]
    if parts then
      used[name], loaded = true, loaded + #parts
      local have = {}
      for _, part in ipairs(parts) do have[part.k] = true end
      local all = names.theirs(map, name)
      for k = 1, parts[1].n do
        if not have[k] then fit.missing[#fit.missing + 1] = all[k] or name end
      end
      if parts[1].n == 1 then
        place(fit, p, name, parts[1].name, shapes[parts[1].name], positions)
      else
        place_parts(fit, p, parts, shapes)
      end
    elseif name and not names.is_constant(name) and not lora.owns(name) then
      for _, theirs in ipairs(names.theirs(map, name)) do fit.missing[#fit.missing + 1] = theirs end
    end
  end
  table.move(map.unknown, 1, #map.unknown, 1, fit.left_over)
  for name, parts in pairs(map.parts) do
    for _, part in ipairs(used[name] and {} or parts) do fit.left_over[#fit.left_over + 1] = part.name end
  end
  fit:check(o.where)
  return fit, describe(map, loaded)
end

--- Loads an encoder of any known source; what is not part of the features stays in the file.
---@return string description  whose names, how many tensors
function weights.load_encoder(params, file, c, o)
  local fit, description = weights.fit_encoder(params, file, c, o)
  weights.load(fit, params, file)
  return description
end

--- Every parameter from the tensor of the same name, none left over.
---@param o {where: string}
function weights.load_all(params, file, o)
  local shapes, fit, known = file:shapes(), new_fit(), {}
  for _, p in ipairs(params:list()) do
    known[p.name] = true
    if shapes[p.name] then
      place(fit, p, p.name, p.name, shapes[p.name])
    else
      fit.missing[#fit.missing + 1] = p.name
    end
  end
  for name in pairs(shapes) do
    if not known[name] and not names.is_constant(name) then fit.left_over[#fit.left_over + 1] = name end
  end
  fit:check(o.where)
  fit:load(params, file, from_file)
end

-- Whole students ------------------------------------------------------------------------------------

--- What training scripts wrap the student in when they save it.
local wrappers = { "", "module.", "model.", "model.module.", "student.", "module.student.", "model.student.",
  "state_dict.", "state_dict.module." }

local function bare(name) return (name:gsub("^backbone%.", "")) end

--- The part of a student that a parameter belongs to: it is there as a whole or not at all.
local function part_of(name)
  local own = bare(name)
  local task = own:match "^mor%.%d+_([%w_]-)%." or own:match "^heads%.([^.]+)"
  if own:match "^mor%." then return "routers of " .. (task or "?") end
  if own:match "^heads%." then return "head of " .. task end
  if own:match "^ts_aligners%." then return "aligners" end
  if own:match "^fuse%." then return "fusion of the teachers" end
  return own:match "^tsap%.[^.]+" or own:match "^[^.]+"
end

--- Parts that a stage may start anew, or leave behind.
local function replaceable(part)
  return part:match "^routers" or part:match "^head" or part == "aligners" or part:match "^fusion"
end

local function sorted(set)
  local keys = {}
  for k in pairs(set) do keys[#keys + 1] = k end
  table.sort(keys)
  return table.concat(keys, ", ")
end

--- The file's names by ours without "backbone.", which stage 1 does not have.
local function student_names(params_list, shapes)
  local wanted = {}
  for _, p in ipairs(params_list) do wanted[bare(p.name)] = true end
  local best, best_n, best_wrapper
  for _, w in ipairs(wrappers) do
    local found, n = {}, 0
    for name in pairs(shapes) do
      if name:sub(1, #w) == w then
        local own = bare(name:sub(#w + 1))
        found[own] = name
        if wanted[own] then n = n + 1 end
      end
    end
    if not best or n > best_n then best, best_n, best_wrapper = found, n, w end
  end
  return best, best_wrapper
end

---@class StudentOptions
---@field where string
---@field stem VitSpec
---@field image integer[]  {H, W} pixels of this stage
---@field from_image? integer[]  of the stage before
---@field lora? Lora  updates of the stage before become part of the weights where this stage has none
---@field any_part? boolean  any part may be missing or left behind, not only routers, heads and aligners

--- Holds a whole student (a checkpoint of either stage under the published names) against the
--- parameters of this stage; changes nothing. Position tables of another grid are resampled bicubically
--- without antialias, as the published system carries stage 1 into stage 2.
---@param shapes table<string, integer[]>
---@return Fit, string description
function weights.fit_student(params, shapes, o)
  local all, fit, used = params:list(), new_fit(), {}
  local theirs, wrapper = student_names(all, shapes)
  local present, wanted = {}, {}
  for own in pairs(theirs) do present[part_of(own)] = true end
  local patch, from = o.stem.patch, o.from_image
  local positions = { grid = { o.image[1] // patch, o.image[2] // patch }, tokens = o.stem.class_token and 1 or 0,
    source = from and { from[1] // patch, from[2] // patch }, mode = "bicubic" }
  local fresh, dropped, updates = {}, {}, {}
  for _, p in ipairs(all) do
    local own, part = bare(p.name), part_of(p.name)
    wanted[part] = true
    if theirs[own] then
      used[theirs[own]] = true
      place(fit, p, own:gsub("^vit%.", ""), theirs[own], shapes[theirs[own]], positions)
    elseif lora.owns(own) then
      fresh["LoRA"] = true
    elseif not present[part] and (replaceable(part) or o.any_part) then
      fresh[part] = true
    else
      fit.missing[#fit.missing + 1] = wrapper .. own
    end
  end
  for name in pairs(shapes) do
    local part = name:sub(1, #wrapper) == wrapper and part_of(name:sub(#wrapper + 1))
    if used[name] or names.is_constant(name) then -- taken, or nothing learned
    elseif part and o.lora and lora.owns(name) then
      updates[bare(name:sub(#wrapper + 1)):gsub("%.lora_[AB]$", "")] = true
    elseif part and not wanted[part] and (replaceable(part) or o.any_part) then
      dropped[part] = true
    else
      fit.left_over[#fit.left_over + 1] = name
    end
  end
  for _, p in ipairs(all) do -- after the weights themselves
    local map = bare(p.name):match "^(.+)%.weight$"
    if map and updates[map] then
      fit:add("update", p.name, theirs[map .. ".lora_B"], theirs[map .. ".lora_A"], o.lora.alpha / o.lora.rank)
    end
  end
  fit:check(o.where)
  if #fit.steps == 0 then error(o.where .. ": nothing in it fits this student", 0) end
  local text = ("%d tensors"):format(#fit.steps)
  if next(fresh) then text = text .. "; new here: " .. sorted(fresh) end
  if next(updates) then text = text .. "; LoRA merged into its weights" end
  if next(dropped) then text = text .. "; left behind: " .. sorted(dropped) end
  return fit, text
end

--- Loads what fit_encoder or fit_student found.
---@param fit Fit
function weights.load(fit, params, file) fit:load(params, file, from_file) end

--- SHA-256 of the weights' file, or of the hashes of its files where there are several.
---@param path string
---@return string
function weights.identity(path)
  local file <close> = core.weights(path)
  local hashes, files = {}, file:files()
  table.sort(files)
  for i, name in ipairs(files) do hashes[i] = assert(host.sha256_file(name)) end
  return #hashes == 1 and hashes[1] or host.sha256(table.concat(hashes, " "))
end

--- Image size that a file of ours was trained at.
---@return integer[]?
function weights.image_of(file)
  local h, w = (file:meta "image" or ""):match "^(%d+)x(%d+)$"
  return h and { math.tointeger(h), math.tointeger(w) }
end

--- Goes on with the parameters of the stage before.
---@return string description
function weights.carry(params, before, o)
  local shapes = {}
  for _, p in ipairs(before:list()) do shapes[p.name] = p.shape end
  local fit, description = weights.fit_student(params, shapes, o)
  fit:load(params, before, from_params)
  return description
end

return weights
