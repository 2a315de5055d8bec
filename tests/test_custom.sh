#!/usr/bin/env bash
# Functions written in an experiment file: what they return is held to its shape, with the place of
# the function; what they get gives them no way to files or to other parts of the engine.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
cp tests/scripts/custom_base.lua "$tmp"

# try STATUS WORDS FILE: the script FILE, whose text comes from stdin and begins in its second line.
try() {
    local status=0
    { echo 'local base = require "custom_base"'; cat; } > "$tmp/$3"
    "$sak" run "$tmp/$3" --quiet > "$tmp/out" 2>&1 || status=$?
    [ "$status" = "$1" ] || fail "$3 exited with $status, wanted $1: $(cat "$tmp/out")"
    grep -qF -- "$2" "$tmp/out" || fail "$3 said: $(cat "$tmp/out"); wanted: $2"
}
refuse() { try 2 "$1" "$2"; }

# --- what they return -------------------------------------------------------------------------------
refuse 'nothing.lua:2: the adapter returned nil, but the path needs tensor (8, 25, 32)' nothing.lua <<'LUA'
return base { adapter = function(x, i, nn) end }
LUA
refuse 'narrow.lua:2: the adapter returned tensor (8, 25, 7)' narrow.lua <<'LUA'
return base { adapter = function(x, i, nn) return nn:linear("l", x, 7) end }
LUA
refuse 'text.lua:2: the adapter returned a string' text.lua <<'LUA'
return base { adapter = function(x, i, nn) return "x" end }
LUA
refuse 'fake.lua:2: the adapter returned a table' fake.lua <<'LUA'
return base { adapter = function(x, i, nn) return setmetatable({ shape = x.shape }, { __tostring = error }) end }
LUA
refuse 'channels.lua:4: the head returned tensor (8, 4, 6, 5), but depth needs (8, any height, any width, 1)' channels.lua <<'LUA'

-- five channels instead of one
local function head(levels, task, nn)
  return nn:linear("out", levels[4], 5):reshape { shape = { 8, 4, 6, 5 } }
end
return base { head = head }
LUA
refuse 'tokens.lua:2: the head returned tensor (8, 24, 1)' tokens.lua <<'LUA'
return base { head = function(levels, task, nn) return nn:linear("out", levels[4], 1) end }
LUA
refuse 'weights.lua:2: the router returned tensor (8, 24, 3) as weights, but (8, 2) or (8, 24, 2) is needed' weights.lua <<'LUA'
return base { router = function(stem, experts, nn) return stem, nn:linear("w", stem, 3) end }
LUA
refuse 'map.lua:2: the distillation loss returned tensor (8, 4, 6, 32), but a loss is a tensor of one element' map.lua <<'LUA'
return base { loss = function(s, t) return s - t end }
LUA
refuse 'number.lua:2: the depth loss returned a number' number.lua <<'LUA'
return base { task_loss = function(y, label) return 3 end }
LUA
refuse 'kept.lua:3' kept.lua <<'LUA'
local first -- a tensor of the rehearsal's graph
return base { adapter = function(x, i, nn) first = first or x return x + first end }
LUA
refuse 'stale.lua:3: the adapter returned tensor (8, 25, 32) of another graph' stale.lua <<'LUA'
local first = {}
return base { adapter = function(x, i, nn) first[i] = first[i] or x return first[i] end }
LUA
try 0 'depth' fine.lua <<'LUA'
return base {
  adapter = function(x, i, nn) return x + nn:linear("up", nn:linear("down", x, 4):gelu(), 32) end,
  head = function(levels, task, nn)
    return nn:linear("out", levels[4], task == "depth" and 1 or 3):reshape { shape = { 8, 4, 6, -1 } }
  end,
  loss = function(s, t) return s:mse(t) end,
  task_loss = function(y, label) return y:l1_masked(label) end,
}
LUA

# --- what they ask for ------------------------------------------------------------------------------
refuse "dims.lua:2: shape (0, 3): every dimension must be at least 1" dims.lua <<'LUA'
return base { adapter = function(x, i, nn) nn:param("w", { 0, 3 }) return x end }
LUA
refuse 'huge.lua:2' huge.lua <<'LUA'
return base { adapter = function(x, i, nn) nn:param("w", { 1 << 31, 1 << 31, 1 << 31 }) return x end }
LUA
refuse 'nan.lua:2: expand: size must be a whole number' nan.lua <<'LUA'
return base { adapter = function(x, i, nn) return nn:param("w", { 1, 25, 32 }):expand { size = 0 / 0 } end }
LUA
refuse 'slice: start must be a whole number, got 1e+300' far.lua <<'LUA'
return base { adapter = function(x, i, nn) return x:slice { axis = 1, start = 1e300, length = 1 } end }
LUA

# router WORDS BODY: a router with this body is refused with these words.
router() { refuse "router.lua:3: $1" router.lua <<< "return base { router = function(stem, experts, nn)
$2
return stem end }"; }
router "mean has no attribute 'keepdims'; did you mean 'keepdim'?" 'stem:mean { axis = 1, keepdims = true }'
router "mean has no attribute 'over'; it has axis, keepdim" 'stem:mean { over = 1 }'
router "mean has no attribute '1'; it has axis, keepdim" 'stem:mean { 1 }'
router 'mean: argument 2 must be a tensor, got number; attributes have names: mean { axis = 1 }' 'stem:mean(1)'
router 'mix takes tensors one by one, got a list of them: use table.unpack(list)' 'stem:mix(stem, experts)'
router 'concat takes tensors one by one, got a list of them' 'stem:concat({ stem, stem }, { axis = 1 })'
router 'mean got no tensor: write x:mean(…), with a colon' 'stem.mean { axis = 1 }'
router "tensors have no operation 'sqaure'; did you mean 'square'?" 'stem:sqaure()'
router "tensors have no operation 'nonsense'; \`sak ops\` lists them" 'stem:nonsense()'
router 'tensor (8, 24, 32) and tensor (8, 24, 32)' 'error(("%s and %s"):format(stem, tostring(stem)))'
router 'nn.linear is a method: write nn:linear(…), with a colon' 'nn.linear("gate", stem, 3)'
router 'nn.dropout is a method: write nn:dropout(…), with a colon' 'nn.dropout(stem, 0.5)'
router "nn has no 'layernorm'; did you mean 'layer_norm'?" 'nn:layernorm("n", stem)'
router "nn has no 'softmax'; it is an operation of tensors: x:softmax(…)" 'nn:softmax(stem)'
router "nn has no 'attend'; it has linear, layer_norm, batch_norm," 'nn:attend(stem)'
router 'nn:linear: the name of its parameters comes first, got tensor (8, 24, 32)' 'nn:linear(stem, 3)'
router 'nn:dropout: the tensor comes first, got 0.5' 'nn:dropout(0.5, stem)'
router "nn:layer_norm: a tensor follows the name, got nil" 'nn:layer_norm("n")'
router "nn:linear: the size of the result's last axis follows the tensor, got nil" 'nn:linear("l", stem)'
router 'nn:param("sharpness", shape, init): shape must be a list of whole numbers, { 1 } for a single one, got nil' \
    'nn:param("sharpness")'
inits='init must be { "zeros" }, { "constant", value }, { "normal", std }, { "trunc_normal", std } or { "uniform", bound }'
router "nn:param(\"s\", shape, init): $inits, got 'zeros'" 'nn:param("s", { 1 }, "zeros")'
router "nn:param(\"s\", shape, init): $inits, got { 'ones' }" 'nn:param("s", { 1 }, { "ones" })'
router "nn:buffer(\"s\", shape, init): $inits, got { 'constant' }" 'nn:buffer("s", { 1 }, { "constant" })'
router 'experts[0]: there are 1, counted from 1' 'experts[0]:gelu()'
router 'experts[sam]: there are 1, counted from 1' 'experts.sam:gelu()'
router 'seen 1 1 1' 'local n = 0 for _ in ipairs(experts) do n = n + 1 end error(("seen %d %d %d"):format(n, #experts, select("#", table.unpack(experts)), experts[9]))'
# a call in the place of the result leaves no line of its own: the function stands for it
refuse 'tail.lua:2: nn:linear: a tensor follows the name, got 4' tail.lua <<'LUA'
return base { router = function(stem, experts, nn) return nn:linear("gate", 4) end }
LUA
# the line is shown, with a caret
try 2 '     3 |   return stem:sqaure()' quote.lua <<'LUA'
return base { router = function(stem, experts, nn)
  return stem:sqaure()
end }
LUA
grep -qxF '       |               ^' "$tmp/out" || fail "no caret below sqaure: $(cat "$tmp/out")"
"$sak" sweep "$tmp/quote.lua" > "$tmp/out" 2>&1 && fail "a sweep of quote.lua began"
grep -qxF '     3 |   return stem:sqaure()' "$tmp/out" || fail "a sweep shows no line: $(cat "$tmp/out")"

# --- what they can reach ----------------------------------------------------------------------------
refuse "save.lua:2: nn has no 'params'" save.lua <<LUA
return base { adapter = function(x, i, nn) nn.params:save("$tmp/stolen") return x end }
LUA
refuse "close.lua:2: nn has no 'graph'" close.lua <<'LUA'
return base { adapter = function(x, i, nn) nn.graph:close() return x end }
LUA
refuse 'reached nothing' look.lua <<'LUA'
local function reach(x, i, nn)
  local found = {}
  for _, key in ipairs { "graph", "params", "prefix", "shared", "__index", "__metatable", "scope" } do
    if rawget(nn, key) ~= nil or pcall(function() return nn[key] end) then found[#found + 1] = key end
  end
  if getmetatable(nn) or next(nn) ~= nil then found[#found + 1] = "metatable" end
  if pcall(setmetatable, nn, {}) then found[#found + 1] = "setmetatable" end
  if pcall(function() nn.linear = nil end) then found[#found + 1] = "assignment" end
  error(#found == 0 and "reached nothing" or "reached " .. table.concat(found, ", "))
end
return base { adapter = reach }
LUA
refuse 'dot.lua:2: nn.param is a method: write nn:param(…)' dot.lua <<'LUA'
return base { adapter = function(x, i, nn) local w = nn.param("w", { 3 }) return w end }
LUA
[ ! -e "$tmp/stolen" ] || fail "a script wrote a file"

# --- teachers and dumps -----------------------------------------------------------------------------
refuse 'pad = "crop" needs' pad.lua <<'LUA'
return base { teacher = { pad = "crop" } }
LUA
verify() { # words, folder
    local status=0
    "$sak" verify "$2" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 2 ] || fail "verify $2 exited with $status: $(cat "$tmp/out")"
    grep -qF -- "$1" "$tmp/out" || fail "verify $2 said: $(cat "$tmp/out")"
}
mkdir "$tmp/empty" "$tmp/bad"
echo '{bad' > "$tmp/bad/config.json"
verify 'MISSING: no such folder' MISSING
verify 'empty: no config.json' "$tmp/empty"
verify 'bad/config.json: JSON, line 1' "$tmp/bad"

# a transposed weight is refused with both shapes
cp -r tests/fixtures/verify/a_s1_two_teachers "$tmp/turned"
sed -i 's/"vit.blocks.0.mlp.fc1.weight":{\([^}]*\)"shape":\[128,32\]/"vit.blocks.0.mlp.fc1.weight":{\1"shape":[32,128]/' \
    "$tmp/turned/model.safetensors"
verify "'vit.blocks.0.mlp.fc1.weight' is (32, 128) but the model's 'vit.blocks.0.mlp.fc1.weight' is (128, 32)" "$tmp/turned"
echo "custom: functions are held to their shapes and reach nothing"
