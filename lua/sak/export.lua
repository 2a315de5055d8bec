--- `sak export RUN FILE`: a run's student as a file of its own, under the published names.

local core = require "sak.core"
local host = require "sak.host"
local locate = require "sak.locate"

local export = {}

local types = { f32 = true, f16 = true, bf16 = true }

---@param job table
---@return integer status
function export.run(job)
  local what, file, dtype = job.args[1], job.args[2], job.dtype or "f32"
  if not types[dtype] then
    error(("--dtype %s: the element type is f32, f16 or bf16"):format(dtype), 0)
  end
  if not file:match "%.safetensors$" then
    error(("%s: what is written is a safetensors file; call it %s.safetensors"):format(file, file), 0)
  end
  local store <close> = core.store(job.db, "read")
  local stage = job.stage > 0 and job.stage or nil
  local found = locate.student(store, job.db, what, stage)
  if host.same_file(found.path, file) then
    error(("%s: that is the run's own file; export it under another name"):format(file), 0)
  end
  locate.check_destination(store, job.db, file)
  local own <close> = core.weights(found.path)
  local meta = { format = "pt", sak_version = core.machine().sak_version, run = found.uid,
    experiment = found.experiment, config_sha256 = found.config_sha256 }
  for _, key in ipairs { "stage", "image", "encoder", "lora_alpha" } do meta[key] = own:meta(key) end
  local tensors, parameters = core.export(found.path, file, meta, dtype)
  if job.json then
    print(host.encode { file = file, tensors = tensors, parameters = parameters, dtype = dtype, metadata = meta })
  elseif not job.quiet then
    print(("%s: %d tensors, %.2f M values, %s; run %d (%s)%s%s"):format(file, tensors, parameters / 1e6, dtype, found.run,
      found.experiment, meta.stage and ", stage " .. meta.stage or "", meta.image and ", trained at " .. meta.image or ""))
  end
  return 0
end

return export
