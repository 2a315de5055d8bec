--- Loading weights by name. What does not match is reported by name, never skipped silently.

local weights = {}

local function list(names)
  table.sort(names)
  local shown = table.concat(names, ", ", 1, math.min(#names, 6))
  return #names > 6 and ("%s and %d more"):format(shown, #names - 6) or shown
end

--- Raises when anything is missing in the file, or left over in it.
local function report(where, missing, left_over)
  local lines = {}
  if #missing > 0 then lines[#lines + 1] = ("missing in the file: %s"):format(list(missing)) end
  if #left_over > 0 then lines[#lines + 1] = ("in the file but not in the model: %s"):format(list(left_over)) end
  if #lines > 0 then error(("%s: weights do not fit the model; %s"):format(where, table.concat(lines, "; ")), 0) end
end

local function ignorable(name) return name:match("num_batches_tracked$") ~= nil end

--- Every parameter from the tensor of the same name.
---@param params userdata
---@param file userdata  core.weights
---@param o {where: string, allow_left_over: boolean?, allow_missing: (fun(name: string): boolean)?}
function weights.load_all(params, file, o)
  local shapes, missing, left_over, used = file:shapes(), {}, {}, {}
  for _, p in ipairs(params:list()) do
    if shapes[p.name] then
      params:load(p.name, file, p.name)
      used[p.name] = true
    elseif not (o.allow_missing and o.allow_missing(p.name)) then
      missing[#missing + 1] = p.name
    end
  end
  for name in pairs(shapes) do
    if not used[name] and not ignorable(name) then left_over[#left_over + 1] = name end
  end
  report(o.where, missing, o.allow_left_over and {} or left_over)
end

local function count(shape)
  local n = 1
  for _, d in ipairs(shape) do n = n * d end
  return n
end

--- Loads a ViT or SAM encoder (timm names) into the parameters below `prefix`, resampling position
--- tables of another grid. Classifier, final norm and neck in the file are not part of the features.
---@param c VitSpec
---@param o {where: string, image: integer[], prefix: string?, pos_mode: string?, source_grid: integer[]?}
function weights.load_encoder(params, file, c, o)
  local prefix = o.prefix or ""
  local shapes, missing, left_over, used = file:shapes(), {}, {}, {}
  local grid = { o.image[1] // c.patch, o.image[2] // c.patch }
  for _, p in ipairs(params:list()) do
    local name = p.name:sub(1, #prefix) == prefix and p.name:sub(#prefix + 1)
    local s = name and shapes[name]
    if name and not s then
      missing[#missing + 1] = name
    elseif s then
      used[name] = true
      if count(s) ~= p.count and name == "pos_embed" then
        local tokens = c.kind == "sam" and 0 or (c.class_token and 1 or 0)
        local n = count(s) // s[#s] - tokens
        local side = math.floor(math.sqrt(n) + 0.5)
        local from = o.source_grid or (#s == 4 and { s[2], s[3] }) or { side, side }
        params:load_resized(p.name, file, name, from, grid, tokens, o.pos_mode or "bicubic_antialias")
      elseif count(s) ~= p.count and name:match("rel_pos_[hw]$") then
        params:load_resized(p.name, file, name, { s[1], 1 }, { p.shape[1], 1 }, 0, "bilinear")
      else
        params:load(p.name, file, name)
      end
    end
  end
  for name in pairs(shapes) do
    if not used[name] and not ignorable(name) and not name:match("^norm%.") and not name:match("^head%.")
      and not name:match("^neck%.") and not name:match("^fc_norm%.") then
      left_over[#left_over + 1] = name
    end
  end
  report(o.where, missing, left_over)
end

return weights
