local schema = require "sak.schema"
local types = require "sak.types"

test("every setting has a type that can be put into words, and a meaning", function()
  local count = 0
  for _, family_name in ipairs(schema.order) do
    local family = schema.families[family_name]
    assert(family.doc and #family.order > 0, family_name)
    for _, kind_name in ipairs(family.order) do
      local kind = family.kinds[kind_name]
      assert(kind.doc, kind_name)
      local seen = {}
      for _, field in ipairs(kind.fields) do
        local at = family_name .. "." .. kind_name .. "." .. tostring(field[1])
        assert(not seen[field[1]], at .. " twice")
        seen[field[1]] = true
        assert(#types.describe(field[2]) > 0, at)
        assert(type(field[3]) == "string" and #field[3] > 5, at .. " has no meaning")
        assert(not field.excludes or kind.by_name[field.excludes].excludes == field[1], at)
        for key in pairs(field) do
          assert(math.type(key) or ("default place required excludes runtime shape"):find(key, 1, true), at .. "." .. key)
        end
        count = count + 1
      end
    end
  end
  assert(count > 100)
end)

test("every spec type names a family", function()
  local function check(type)
    if type.family then assert(schema.families[type.family], type.family) end
    if type.of then check(type.of) end
    for _, member in ipairs(type.among or {}) do check(member) end
  end
  for _, family in pairs(schema.families) do
    for _, kind in pairs(family.kinds) do
      for _, field in ipairs(kind.fields) do check(field[2]) end
    end
  end
end)

test("every kind has a constructor", function()
  local sak = require "sak"
  for _, name in ipairs { "rooms", "folder" } do assert(sak.data[name] {}) end
  for _, name in ipairs { "mor", "sum", "token", "joint", "topk", "static" } do assert(sak.router[name] {}) end
  for _, name in ipairs { "student", "vit", "sam", "swin", "adamw", "adam", "sgd", "cosine", "poly",
    "constant", "distill", "multitask", "probe", "pretrain", "eval", "engine", "augment", "lora" } do
    assert(sak[name] {}, name)
  end
  for _, name in ipairs { "experiment", "ablation", "teacher" } do assert(sak[name] "x" {}, name) end
end)

test("the published task weights are those of the paper", function()
  equal(schema.task_weights.edge, 50)
  equal(#schema.tasks, 6)
end)
