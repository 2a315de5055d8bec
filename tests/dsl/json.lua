local host = require "sak.host"
local encode, decode = host.encode, host.decode

test("keys are sorted and nothing is blank", function()
  equal(encode { b = 1, a = { true, false, "x" }, c = {} }, '{"a":[true,false,"x"],"b":1,"c":{}}')
  equal(encode(host.array {}), "[]")
  equal(encode(host.null), "null")
end)

test("integers stay integers and floats are as short as they can be", function()
  local cases = { [0.1] = "0.1", [1e-3] = "0.001", [1e22] = "1e+22", [100.0] = nil,
    [0.30000000000000004] = "0.30000000000000004", [5e-324] = "5e-324", [1.5] = "1.5",
    [1.7976931348623157e308] = "1.7976931348623157e+308", [1e-7] = "1e-07", [123456.789] = "123456.789" }
  for value, text in pairs(cases) do equal(encode(value), text) end
  equal(encode(100.0), "100.0")
  equal(encode(100), "100")
  equal(encode(math.mininteger), "-9223372036854775808")
  equal(encode(-0.0), "-0.0")
end)

test("numbers survive the round trip exactly", function()
  local x = 1
  for i = 1, 20000 do
    x = (x * 6364136223846793005 + 1442695040888963407)
    local v = string.unpack("d", string.pack("i8", x))
    if v == v and v ~= math.huge and v ~= -math.huge then
      local back = decode(encode(v))
      if back ~= v or math.type(back) ~= "float" then error("round trip of " .. v .. " gave " .. back) end
    end
    equal(decode(encode(x)), x)
  end
end)

test("values survive the round trip", function()
  local text = '{"a":[1,2.5,"x\\"\\\\\\n\\u0001é😀",[],{}],"b":{"c":null,"d":true}}'
  equal(encode(decode(text)), text)
end)

local function fails(value, part)
  local ok, message = pcall(encode, value)
  assert(not ok, "encoded, but should not")
  contains(message, part)
end

test("what JSON cannot hold is refused with its place", function()
  fails({ a = { 1, 0 / 0 } }, "a[2] cannot be written as JSON: it is not a number")
  fails({ a = 1 / 0 }, "a cannot be written as JSON: it is infinite")
  fails({ f = print }, "f cannot be written as JSON: it is a function")
  fails({ 1, 2, x = 3 }, "other keys")
  fails({ [1] = 1, [3] = 3 }, "holes")
  fails({ [1.5] = 1 }, "neither 1, 2, 3")
  fails({ [true] = 1 }, "neither 1, 2, 3")
  fails({ s = "\xff" }, "s cannot be written as JSON: text that is not UTF-8")
  fails({ s = "\xed\xa0\x80" }, "not UTF-8")
  local t = {}
  t.t = t
  fails(t, "contains itself")
end)

test("bad JSON is refused with its line", function()
  for _, text in ipairs { "", "{", '{"a":1,"a":2}', "[1,]", "nul", '"\\u0000"', "1 2", '{"a":NaN}' } do
    local ok, message = pcall(decode, text)
    assert(not ok, text)
    contains(message, "JSON, line 1, column")
  end
end)
