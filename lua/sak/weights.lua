--- Loading weights: every tensor is checked first, then all are loaded.  What does not match is
--- reported by name, never skipped silently.

local core = require "sak.core"
local host = require "sak.host"
local encoder = require "sak.models.encoder"
local Fit = require "sak.fit"
local lora = require "sak.models.lora"
local names = require "sak.names"

local weights = {}

--- "Hugging Face CLIP names, 149 tensors; not needed for features: 3 final norm, …"
local function describe(map, fit, loaded)
  local outside = {}
  for label, n in pairs(map.outside) do outside[#outside + 1] = ("%d %s"):format(n, label) end
  table.sort(outside)
  return ("%s names, %d tensors%s%s"):format(map.source.title, loaded, fit:changes(),
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
  local map, fit, used = names.map(shapes, o.where, o.names), Fit.new(), {}
  local positions = encoder.positions(c, o.image, { source = o.source_grid or weights.grid_of(file), mode = o.pos_mode })
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
        fit:place(p, name, parts[1].name, shapes[parts[1].name], positions)
      else
        fit:place_parts(p, parts, shapes)
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
  return fit, describe(map, fit, loaded)
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
  local shapes, fit, known = file:shapes(), Fit.new(), {}
  for _, p in ipairs(params:list()) do
    known[p.name] = true
    if shapes[p.name] then
      fit:place(p, p.name, p.name, shapes[p.name]) -- as it is
    else
      fit.missing[#fit.missing + 1] = p.name
    end
  end
  for name in pairs(shapes) do
    if not known[name] and not names.is_constant(name) then fit.left_over[#fit.left_over + 1] = name end
  end
  fit:check(o.where)
  fit:load(params, file, Fit.from_file)
end

-- Whole students ------------------------------------------------------------------------------------

--- What training scripts wrap the student in when they save it.
local wrappers = { "", "module.", "model.", "model.module.", "student.", "module.student.", "model.student.",
  "state_dict.", "state_dict.module." }

local function bare(name) return (name:gsub("^backbone%.", "")) end

--- The part of a student that a parameter belongs to: it is there as a whole or not at all. nil for a
--- name that no student has.
---@return string?
local function part_of(name)
  local own = bare(name)
  local routed, head = own:match "^mor%.%d+_([%w_]-)%.", own:match "^heads%.([^.]+)"
  if own:match "^mor%." then return routed and "routers of " .. routed end
  if own:match "^heads%." then return head and "head of " .. head end
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
---@field lora? Lora  updates of the file or the stage before become part of the weights where this stage has none
---@field alpha? number  of this student's LoRA
---@field any_part? boolean  any part may be missing or left behind, not only routers, heads and aligners

--- Holds a whole student (a checkpoint of either stage under the published names) against the
--- parameters of this stage; changes nothing. Position tables of another grid are resampled bicubically
--- without antialias, as the published system carries stage 1 into stage 2.
---@param shapes table<string, integer[]>
---@return Fit, string description, string? fresh  parts that the file does not have
function weights.fit_student(params, shapes, o)
  local all, fit, used = params:list(), Fit.new(), {}
  local theirs, wrapper = student_names(all, shapes)
  local present, wanted = {}, {}
  for own in pairs(theirs) do present[part_of(own) or ""] = true end
  local from = o.from_image
  local positions = encoder.positions(o.stem, o.image, { mode = "bicubic",
    source = from and encoder.grids(o.stem, from)[1] or o.stem.grid })
  local fresh, dropped, updates, weight_of = {}, {}, {}, {}
  for _, p in ipairs(all) do
    local own, part = bare(p.name), part_of(p.name) or ""
    wanted[part], weight_of[own:match "^(.+)%.weight$" or ""] = true, p
    if theirs[own] and lora.owns(own) and o.lora and o.alpha and o.lora.alpha ~= o.alpha then
      error(("%s: its LoRA was trained with alpha = %g, but student.lora.alpha is %g"):format(o.where, o.lora.alpha, o.alpha), 0)
    elseif theirs[own] then
      used[theirs[own]] = true
      fit:place(p, own:gsub("^vit%.", ""), theirs[own], shapes[theirs[own]], positions)
    elseif lora.owns(own) then
      fresh["LoRA"] = true
    elseif not present[part] and (replaceable(part) or o.any_part) then
      fresh[part] = true
    else
      fit.missing[#fit.missing + 1] = wrapper .. own
    end
  end
  for name in pairs(shapes) do
    local own = name:sub(1, #wrapper) == wrapper and bare(name:sub(#wrapper + 1))
    local part, map = own and part_of(own), own and own:match "^(.+)%.lora_[AB]$"
    if used[name] or names.is_constant(name) then -- taken, or nothing learned
    elseif map and o.lora and theirs[map .. ".lora_A"] and theirs[map .. ".lora_B"] and weight_of[map] then
      updates[map] = true
    elseif part and not wanted[part] and (replaceable(part) or o.any_part) then
      dropped[part] = true
    else
      fit.left_over[#fit.left_over + 1] = name
    end
  end
  for map in pairs(updates) do -- after the weights themselves
    local b, a = theirs[map .. ".lora_B"], theirs[map .. ".lora_A"]
    local w, sb, sa = weight_of[map], shapes[b], shapes[a]
    if #sb ~= 2 or #sa ~= 2 or sb[2] ~= sa[1] or sb[1] ~= w.shape[1] or sa[2] ~= w.shape[2] then
      fit:differs(#sb == 2 and sb[1] == w.shape[1] and a or b, #sb == 2 and sb[1] == w.shape[1] and sa or sb, w, "its update")
    else
      fit:add("update", w.name, b, a, o.lora.alpha / sa[1])
    end
  end
  fit:check(o.where)
  if #fit.steps == 0 then error(o.where .. ": nothing in it fits this student", 0) end
  local text = ("%d tensors"):format(#fit.steps) .. fit:changes()
  if next(fresh) then text = text .. "; new here: " .. sorted(fresh) end
  if next(updates) then text = text .. "; LoRA merged into its weights" end
  if next(dropped) then text = text .. "; left behind: " .. sorted(dropped) end
  return fit, text, next(fresh) and sorted(fresh)
end

--- Loads what fit_encoder or fit_student found.
---@param fit Fit
function weights.load(fit, params, file) fit:load(params, file, Fit.from_file) end

--- SHA-256 of the weights' file, or of the hashes of its files where there are several.
---@param path string
---@param key? string  entry of a nested checkpoint
---@return string
function weights.identity(path, key)
  local file <close> = core.weights(path, { key = key })
  local hashes, files = {}, file:files()
  table.sort(files)
  for i, name in ipairs(files) do hashes[i] = assert(host.sha256_file(name)) end
  return #hashes == 1 and hashes[1] or host.sha256(table.concat(hashes, " "))
end

--- Shapes of a weight file's tensors; of a checkpoint, without what the optimiser keeps.
function weights.values_of(file)
  local shapes = file:shapes()
  for name in pairs(file:meta "checkpoint_version" and shapes or {}) do
    if name:find "^optim%." then shapes[name] = nil end
  end
  return shapes
end

--- Image size that a file of ours was trained at.
---@return integer[]?
function weights.image_of(file)
  local h, w = (file:meta "image" or ""):match "^(%d+)x(%d+)$"
  return h and { math.tointeger(h), math.tointeger(w) }
end

--- Patch grid of the position table in an encoder's file of ours.
---@return integer[]?
function weights.grid_of(file)
  local stored = file:meta "encoder"
  return stored and host.decode(stored).grid
end

--- What the stem's updates of a student's file of ours are worth: their alpha.
---@return Lora?
function weights.lora_of(file)
  local alpha = tonumber(file:meta "lora_alpha")
  return alpha and { alpha = alpha }
end

--- Goes on with the parameters of the stage before.
---@return string description
function weights.carry(params, before, o)
  local shapes = {}
  for _, p in ipairs(before:list()) do shapes[p.name] = p.shape end
  local fit, description = weights.fit_student(params, shapes, o)
  fit:load(params, before, Fit.from_params)
  return description
end

return weights
