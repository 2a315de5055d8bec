-- What the DSL's tests are written with: sentences, and comparisons that say what differed.
local config = require "sak.config"
local failures, count = {}, 0

--- A test is a sentence and a function.
function test(sentence, f)
  count = count + 1
  local ok, message = xpcall(f, function(m) return type(m) == "string" and debug.traceback(m, 2) or m end)
  if not ok then
    failures[#failures + 1] = sentence .. ": " .. tostring(message)
  end
end

function finish()
  assert(count > 0, "no tests")
  assert(#failures == 0, ("%d of %d failed:\n%s"):format(#failures, count, table.concat(failures, "\n")))
end

function equal(got, wanted)
  if got ~= wanted then
    error(("got\n%s\nwanted\n%s"):format(tostring(got), tostring(wanted)), 2)
  end
end

function contains(text, part)
  if not text:find(part, 1, true) then
    error(("%q\ndoes not contain\n%q"):format(text, part), 2)
  end
end

--- Loads script text under the name "x.lua"; further files by name.
function load_text(text, overrides, options)
  options = options or {}
  options.files = options.files or {}
  options.files["x.lua"] = text
  return config.load("x.lua", overrides, options)
end

--- Loads what must load.
function loads(text, overrides, options)
  local loaded, list = load_text(text, overrides, options)
  if not loaded then
    error("does not load:\n" .. config.format(list), 2)
  end
  return loaded
end

--- The text of all messages about what must not load.
function refused(text, overrides, options)
  local loaded, list = load_text(text, overrides, options)
  if loaded then
    error("loads, but should not", 2)
  end
  return config.format(list), list
end

--- A small valid experiment with its parts replaced: small { student = "…", stages = "…" }.
function small(parts)
  parts = parts or {}
  local text = ([[
local sak = require "sak"
return sak.experiment "small" {
  data = DATA,
  teachers = TEACHERS,
  student = STUDENT,
  stages = STAGES,
  MORE
}
]]):gsub("%u%u+", {
    DATA = parts.data or "sak.data.rooms { size = { 32, 32 } }",
    TEACHERS = parts.teachers or '{ sak.teacher "dinov2" }',
    STUDENT = parts.student or 'sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, tasks = { "depth" } }',
    STAGES = parts.stages or "{ sak.distill { epochs = 3 } }",
    MORE = parts.more or "",
  })
  return text
end
