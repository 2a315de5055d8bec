#!/usr/bin/env bash
# precision = "bf16": reaches the products, changes the training by no more than rounding, has the same
# bits on any number of threads, is recorded, and is refused where nothing can run it.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
unset SAK_ISA SAK_GEMM

# --- refused or warned of at check time ---------------------------------------------------------------
if SAK_ISA=baseline "$sak" check tests/scripts/tiny.lua --set precision=bf16 > "$tmp/out" 2>&1; then
    fail "bf16 was taken where nothing multiplies it"
fi
grep -qF 'precision = "fp32"' "$tmp/out" || fail "no remedy: $(cat "$tmp/out")"
"$sak" check tests/scripts/tiny.lua --set precision=bf16 > "$tmp/out" 2>&1 ||
    { grep -qF 'bf16 needs a CPU with AVX2' "$tmp/out" && exit 77; fail "$(cat "$tmp/out")"; }
SAK_ISA=avx2 "$sak" check tests/scripts/tiny.lua --set precision=bf16 > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
grep -qF 'warning: --set precision=bf16: this CPU has no AVX512-BF16' "$tmp/out" || fail "no warning: $(cat "$tmp/out")"

# --- what it does to a run ----------------------------------------------------------------------------
# run PRECISION THREADS: the losses of both stages, one line
run() {
    "$sak" run tests/scripts/tiny.lua --quiet --set precision="$1" --threads "$2" \
        --set stages[1].iterations=12 --set stages[2].iterations=12 > /dev/null 2>&1 || fail "$1 run"
    "$sak" sql --csv "select value from metrics where run = (select max(run) from metrics)
        and metric in ('distill/loss', 'multitask/loss') order by step" | tail -n +2 | tr '\n' ' '
}
fp32=$(run fp32 2) one=$(run bf16 1) two=$(run bf16 3)
[ "$(wc -w <<< "$one")" = 24 ] || fail "losses: $one"
[ "$one" = "$two" ] || fail "bf16 with 1 and 3 threads: $one / $two"
[ "$one" != "$fp32" ] || fail "bf16 changed nothing"
paste <(tr ' ' '\n' <<< "$one") <(tr ' ' '\n' <<< "$fp32") | awk '
    NF == 2 { d = $1 / $2 - 1; if (d < 0) d = -d; n++; if (d > 0.02) { print "FAIL: losses " $1 " and " $2; exit 1 } }
    END { if (n != 24) exit 1 }' || fail "bf16: $one; fp32: $fp32"
"$sak" sql "select json_extract(config_json, '$.precision') from run order by id desc limit 1" | grep -q bf16 ||
    fail "not recorded"

# A baseline of the one is none of the other.
[ "$("$sak" sql --csv 'select count(distinct compare_sha256) from run' | tail -1 | tr -d '\r')" = 2 ] ||
    fail "runs of either precision are compared"

# Products by the CPU's own instruction have other bits than rounded floats: what is kept of them, and a
# replay, tell these CPUs apart.
! "$sak" check tests/scripts/tiny.lua --set precision=bf16 2>&1 | grep -q 'no AVX512-BF16' || exit 0
[ "$("$sak" sql --csv "select group_concat(isa, ' ') from attempt" | tail -1 | tr -d '"\r')" = \
    'avx512 avx512_bf16 avx512_bf16' ] || fail "$("$sak" sql --csv 'select isa from attempt')"
"$sak" run tests/scripts/tiny.lua --quiet --set precision=bf16 --set cache=true --set share_stages=true > /dev/null 2>&1
for kept in "$tmp"/cache/features/*/about.json "$tmp"/cache/stages/*.json; do
    grep -q '"isa":"avx512_bf16"' "$kept" || fail "$kept: $(head -c 2000 "$kept")"
done
"$sak" replay 2 --steps 3 2> "$tmp/err" | grep -q 'equal bit for bit' || fail "replay: $(cat "$tmp/err")"
"$sak" sql --write "update attempt set isa = 'avx512' where run_id = 2"
"$sak" replay 2 --steps 3 > /dev/null 2> "$tmp/err" || fail "replay: $(cat "$tmp/err")"
grep -q 'other kernels (avx512, .*; here: avx512_bf16,' "$tmp/err" || fail "replay: $(cat "$tmp/err")"
