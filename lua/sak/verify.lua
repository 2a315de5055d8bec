--- `sak verify DIR`: holds the engine against a reference dump, tensor by tensor. The format is
--- described at the head of scripts/dump_reference.py.

local core = require "sak.core"
local host = require "sak.host"
local Report = require "sak.verify_report"

local verify = {}

local function read_json(path)
  local text, message = host.read(path)
  if not text then error(message, 0) end
  local ok, value = pcall(host.decode, text)
  if not ok then error(("%s: %s"):format(path, value), 0) end
  return value
end

local function optional_json(path) return host.exists(path) == "file" and read_json(path) or nil end

local function optional_tensors(path) return host.exists(path) == "file" and core.weights(path) or nil end

local function open(dir)
  if host.exists(dir) ~= "folder" then
    error(("%s: no such folder; `sak verify` reads reference dumps"):format(dir), 0)
  end
  local dump = { dir = dir, cfg = optional_json(dir .. "/config.json"), info = optional_json(dir .. "/expected.json") or {} }
  for _, name in ipairs { "model", "inputs", "expected" } do
    dump[name] = optional_tensors(("%s/%s.safetensors"):format(dir, name))
  end
  return dump
end

--- Everything of one dump.
---@param dir string
---@return Report
function verify.dump(dir)
  local dump = open(dir)
  local report = Report.new(dump.info)
  local part = require("sak.verify_parts").find(dump)
  if part then
    part(dump, report)
  else
    local cfg = dump.cfg
    if not cfg then error(("%s: no config.json; `sak verify` reads reference dumps"):format(dir), 0) end
    for _, name in ipairs { "model", "inputs", "expected" } do
      if not dump[name] then error(("%s: no %s.safetensors"):format(dir, name), 0) end
    end
    local models = require "sak.verify_model"
    if cfg.encoder then
      models.encoder(dump, report)
    elseif cfg.stem then
      models.student(dump, report)
    else
      error(dir .. "/config.json describes neither a student (stem) nor an encoder (encoder)", 0)
    end
  end
  if dump.expected then report:close(dump.expected:shapes()) end
  if #report.rows == 0 then error(dir .. ": the dump holds nothing to compare", 0) end
  return report
end

local function print_row(row)
  if row.why then
    print(("%s  FAIL  %s"):format(row.name, row.why))
  else
    print(("%s  %s  relative %.3g, worst %.3g at %d (ours %.8g, theirs %.8g); limit %s"):format(row.name,
      row.ok and "ok" or "FAIL", row.relative, row.worst, row.index, row.ours, row.theirs, row.limit))
  end
end

local function print_report(dir, report, all)
  local worst
  for _, row in ipairs(report.rows) do
    if all or not row.ok then print_row(row) end
    -- noise has large relative errors and small absolute ones
    local judged = row.limit:find("relative", 1, true) and not row.unjudged
    if judged and (not worst or row.relative > worst.relative) then worst = row end
  end
  local groups = {}
  for i, g in ipairs(report:groups()) do groups[i] = ("%s %d"):format(g.group, g.count) end
  print(("%s%s: %d tensors, %d beyond tolerance%s"):format(dir, core.real_bits == 64 and " in double" or "",
    #report.rows, report.failed,
    worst and ("; largest relative error %.3g (%s)"):format(worst.relative, worst.name) or ""))
  print("  compared: " .. table.concat(groups, ", "))
  local widened = report:widened()
  if #widened > 0 then
    print(("  %d only within limits widened to what a float32 run of PyTorch reaches: %s"):format(#widened,
      table.concat(widened, ", ", 1, math.min(#widened, 6)) .. (#widened > 6 and ", …" or "")))
  end
  for _, note in ipairs(report.notes) do print("  " .. note) end
end

--- What JSON has no number for is null.
local function number(v) return v == v and math.abs(v) < math.huge and v or host.null end

local function as_json(dir, report)
  local rows = {}
  for i, row in ipairs(report.rows) do
    rows[i] = { name = row.name, ok = row.ok, relative = number(row.relative), worst = number(row.worst),
      index = row.index, ours = number(row.ours), theirs = number(row.theirs), limit = row.limit, why = row.why,
      widened = row.widened or nil }
  end
  return { dump = dir, tensors = #report.rows, failed = report.failed, widened = #report:widened(), rows = host.array(rows),
    notes = host.array(report.notes), precision = core.real_bits }
end

--- The verb: a line per tensor that fails and a summary; every tensor with --json.  A folder that
--- cannot be read does not keep the others from being compared.
function verify.run(job)
  local status, all = 0, {}
  for i, dir in ipairs(job.args) do
    local ok, report = pcall(verify.dump, (dir:gsub("(.)/+$", "%1")))
    if not ok then
      local message = tostring(report):gsub("\nstack traceback:.*", "")
      io.stderr:write("error: ", message, "\n")
      all[i], status = { dump = dir, error = message }, 2
    else
      if job.json then all[i] = as_json(dir, report) else print_report(dir, report) end
      if report.failed > 0 then status = math.max(status, 1) end
    end
  end
  if job.json then
    print(host.encode(host.array(all)))
  elseif status == 1 and core.real_bits == 32 then
    io.stderr:write("help: `sak verify --cross f64` repeats it in double, where rounding is out of the question\n")
  end
  return status
end

return verify
