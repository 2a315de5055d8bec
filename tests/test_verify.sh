#!/usr/bin/env bash
# `sak verify` agrees with the PyTorch dumps, and notices a nudged weight.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

"$sak" verify tests/fixtures/verify/a_s1_two_teachers tests/fixtures/verify/b_s1_aligners \
    tests/fixtures/verify/c_s2_nyud_mor tests/fixtures/verify/optim tests/fixtures/verify/schedules \
    tests/fixtures/resize

cp -r tests/fixtures/verify/a_s1_two_teachers "$tmp/nudged"
# the last four bytes are one float32 weight: set its exponent's low byte
size=$(stat -c %s "$tmp/nudged/model.safetensors")
printf '\x3f' | dd of="$tmp/nudged/model.safetensors" bs=1 seek=$((size - 1)) conv=notrunc status=none
printf '\xc0' | dd of="$tmp/nudged/model.safetensors" bs=1 seek=$((size - 2)) conv=notrunc status=none
status=0
"$sak" verify "$tmp/nudged" > "$tmp/out" 2>&1 || status=$?
if [ "$status" != 1 ] || ! grep -q FAIL "$tmp/out"; then
    echo "verify did not notice a nudged weight (exit $status)"
    exit 1
fi
echo "verify: dumps agree; a nudged weight is noticed"
