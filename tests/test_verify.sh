#!/usr/bin/env bash
# `sak verify` agrees with the PyTorch dumps, notices a nudged weight, and passes over nothing.
set -eu
sak=$1
dumps=tests/fixtures/verify
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$sak" verify $dumps/a_s1_two_teachers $dumps/b_s1_aligners $dumps/c_s2_nyud_mor $dumps/optim $dumps/schedules \
    tests/fixtures/resize $dumps/g*

# what the reference can be configured to do and the eleven training and teacher dumps do not show:
# no class token, odd sizes, batch 1, SGD, frozen backbone, levels out of order, no qkv bias,
# encoders without windows, tables of another grid with as many entries
"$sak" verify $dumps/s1_shuffled_levels $dumps/s2_odd_size_frozen_backbone $dumps/sam_without_windows \
    $dumps/sam_position_grid $dumps/vit_position_grid

# expects STATUS TEXT COMMAND…: that exit status, and TEXT in what it prints
expects() {
    local want=$1 text=$2 status=0
    shift 2
    "$@" > "$tmp/out" 2>&1 || status=$?
    if [ "$status" != "$want" ] || ! grep -qF -- "$text" "$tmp/out"; then
        echo "expected exit $want and '$text', got exit $status and:"
        cat "$tmp/out"
        exit 1
    fi
}

cp -r $dumps/s1_shuffled_levels "$tmp/dump"
# the last four bytes are one float32 weight: set its exponent's low byte
size=$(stat -c %s "$tmp/dump/model.safetensors")
printf '\x3f' | dd of="$tmp/dump/model.safetensors" bs=1 seek=$((size - 1)) conv=notrunc status=none
printf '\xc0' | dd of="$tmp/dump/model.safetensors" bs=1 seek=$((size - 2)) conv=notrunc status=none
expects 1 FAIL "$sak" verify "$tmp/dump"

# an expected tensor that nothing compares is a failure (same length, so that the offsets stay)
cp $dumps/s1_shuffled_levels/model.safetensors "$tmp/dump/"
sed -i 's|"feat/t_5/level3"|"feat/t_5/level7"|' "$tmp/dump/expected.safetensors"
expects 1 "feat/t_5/level7  FAIL  nothing in the model has this name" "$sak" verify "$tmp/dump"

# the summary says what was compared
cp $dumps/s1_shuffled_levels/expected.safetensors "$tmp/dump/"
expects 0 "compared: feat 12, grad 200, grad_norm 1, loss 14" "$sak" verify "$tmp/dump"

# unknown keys and impossible values are told with their place
with() { sed "$1" $dumps/s1_shuffled_levels/config.json > "$tmp/dump/config.json"; }
with 's|"down_ratio"|"down_ration"|'
expects 2 "unknown key 'down_ration', did you mean 'down_ratio'" "$sak" verify "$tmp/dump"
with 's|"cos+l1"|"cosine"|'
expects 2 "loss_type must be one of cos+l1, cos, l2, got \"cosine\"" "$sak" verify "$tmp/dump"
with 's|"depth": 6|"depth": 4|'
expects 2 "out_indices has 4, but the blocks are 0 to 3" "$sak" verify "$tmp/dump"
# in double a dump agrees to the rounding of what it stores, so that a change shows which float hides
cp $dumps/s1_shuffled_levels/* "$tmp/dump/"
expects 0 "in double: 436 tensors, 0 beyond tolerance" "$sak" verify --cross f64 "$tmp/dump"
with 's|1e-12|1e-08|'
expects 0 "0 beyond tolerance" "$sak" verify "$tmp/dump"
expects 1 "stem/embed  FAIL" "$sak" verify --cross f64 "$tmp/dump"
expects 2 "--cross must be f64" "$sak" verify --cross f16 "$tmp/dump"
cp "$sak" "$tmp/alone"
expects 2 "cmake --build build --target sak-f64" "$tmp/alone" verify --cross f64 "$tmp/dump"
# a folder that is no dump does not keep the others from being compared
expects 2 "no such folder" "$sak" verify "$tmp/nowhere" $dumps/s1_shuffled_levels
grep -q "s1_shuffled_levels: 436 tensors, 0 beyond" "$tmp/out" || { cat "$tmp/out"; exit 1; }
expects 2 '"tensors":436' "$sak" verify --json "$tmp/nowhere" $dumps/s1_shuffled_levels
# what only a widened limit lets pass is said: a larger epsilon, and a PyTorch said to be as far off
with 's|1e-12|1e-05|'
expects 1 "stem/block0  FAIL" "$sak" verify "$tmp/dump"
sed '/max_abs_error/,$ s|: [0-9][0-9.e-]*|: 0.001|' $dumps/s1_shuffled_levels/expected.json > "$tmp/dump/expected.json"
expects 0 "only within limits widened to what a float32 run of PyTorch reaches" "$sak" verify "$tmp/dump"
# infinity is null in JSON
cp $dumps/s1_shuffled_levels/* "$tmp/dump/"
printf '\xc0\x7f' | dd of="$tmp/dump/model.safetensors" bs=1 seek=$((size - 2)) conv=notrunc status=none
expects 1 'null' "$sak" verify --json "$tmp/dump"
echo "verify: dumps agree; a nudged weight, a tensor without counterpart and a wrong configuration are noticed"
