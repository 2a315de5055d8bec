--- What decides about the bits of a result besides its configuration: this very program, and the
--- kernels that run on this CPU.

local core = require "sak.core"
local host = require "sak.host"

local identity = {}

--- Texts of all modules below a folder, in order.
local function texts(folder, list)
  for _, name in ipairs(core.files(folder)) do
    local path = folder .. "/" .. name
    if name:find "%.lua$" then
      list[#list + 1] = name .. "\0" .. (host.read(path) or "")
    elseif host.exists(path) == "folder" then
      texts(path, list)
    end
  end
  return list
end

local code

--- The program: its build, and the Lua modules where they are read from a folder.
---@return string
function identity.code()
  if not code then
    local root, version = os.getenv "SAK_LUA_ROOT", core.version()
    if not version:find "+" then -- not every linker leaves its hash of the program in it
      version = version .. "+" .. assert(host.sha256_file "/proc/self/exe")
    end
    code = version .. (root and "+" .. host.sha256(table.concat(texts(root, {}), "\0")) or "")
  end
  return code
end

--- The instruction set of the products: where the run's are of bfloat16 and the CPU has an instruction
--- for those, that.
---@param precision string  of the configuration
---@return string
function identity.isa(precision)
  local own = precision == "bf16" and host.bf16_kernel()
  return own == "avx512_bf16" and own or core.machine().isa
end

--- The kernels: instruction set, BLIS's own, and what the environment says about either.
---@param precision string  of the configuration
---@return table
function identity.kernels(precision)
  local m = core.machine()
  return { isa = identity.isa(precision), blis = m.blis_kernel .. " " .. m.blis_version, gemm = os.getenv "SAK_GEMM",
    rewrite = os.getenv "SAK_REWRITE" }
end

return identity
