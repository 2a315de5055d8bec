#!/usr/bin/env bash
# `sak bench`: the figures it prints hold together, each case has a peak memory of its own, settings
# reach the experiment, and wrong arguments are refused.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
"$sak" sql --write "select 1" > /dev/null # makes the database whose SQL reads the JSON below

# All rows that a query over the printed cases finds; c is one case.
ask() { "$sak" sql --csv "select $1 from json_each('$(cat "$tmp/json")', '\$.cases') c" | tr -d '\r' | tail -n +2; }
get() { echo "json_extract(c.value, '\$.$1')"; }
holds() { [ "$(ask "($1)" | sort -u)" = 1 ] || fail "not so: $1: $(ask "$(get case), $(get step_s), $(get gflops), $(get peak_rss_mb)")"; }

"$sak" bench tiny_stage1 tiny_stage2 --json --steps 3 > "$tmp/json"
[ "$(ask "$(get case)" | tr '\n' ' ')" = "tiny_stage1 tiny_stage2 " ] || fail "cases: $(cat "$tmp/json")"
[ "$("$sak" sql --csv "select key from json_each('$(cat "$tmp/json")')" | tr -d '\r' | tail -n +2)" = cases ] ||
    fail "more than the cases at the top"
holds "$(get min_s) > 0 and $(get min_s) <= $(get step_s) and $(get step_s) <= $(get max_s) and $(get steps) = 3"
holds "abs($(get gflops) * $(get step_s) / $(get gflop) - 1) < 1e-3"
holds "abs($(get gflops) / $(get peak_gflops) - $(get fraction_of_peak)) < 1e-3"
holds "$(get peak_rss_mb) between 4 and 4000 and $(get planned_mb) < $(get peak_rss_mb)"
# the parts of the peak: none larger than the whole, and no plan below what is in use at once
holds "(select count(*) >= 4 and sum(m.value ->> 'bytes') / 1048576.0 < $(get peak_rss_mb) from json_each(c.value, '\$.memory') m)"
holds "$(get slab.least) > 0 and $(get slab.least) <= $(get slab.bytes) and $(get slab.bytes) < 1.2 * $(get slab.least)"
holds "(select sum(p.value) = $(get slab.least) + $(get slab.inputs) from json_each(c.value, '\$.slab.parts') p)"
holds "(select sum(f.value ->> 'share') between 0.95 and 1.05 from json_each(c.value, '\$.families') f)"
holds "(select count(*) = 3 from json_each(c.value, '\$.families') f \
where f.value ->> 'family' in ('linear', 'attention', 'optimiser'))"

# The published count of FLOPs, by hand: stage 1, student width 32, depth 4, 24 patches of 8x8 of a
# 32x48 image, batch 2, teachers of width 32 and 48 in the step, aligners.
vit() { # width -> multiply-adds of the four blocks
    local c=$1 t=25
    echo $((4 * (t * c * 3 * c + 2 * t * t * c + t * c * c + 2 * t * c * 4 * c)))
}
rest=$(($(vit 32) + 2 * 5 * 25 * 2 * 32 * 8 + 4 * 24 * 32 * (32 + 48)))
teachers=$(($(vit 32) + 24 * 192 * 32 + $(vit 48) + 24 * 192 * 48))
flop=$((2 * 2 * (2 * 24 * 192 * 32 + 3 * rest + teachers)))
[ "$(ask "cast(round($(get gflop) * 1e9) as integer)" | head -1)" = "$flop" ] || fail "FLOPs $(ask "$(get gflop)"), by hand $flop"

# settings and threads reach the experiment; a large case does not show in a small one's memory
"$sak" bench tiny_stage1 --json --steps 1 --threads 1 --set student.adapter.down_ratio=2 > "$tmp/json"
[ "$(ask "$(get threads)")" = 1 ] || fail "threads: $(cat "$tmp/json")"
small=$(ask "$(get peak_rss_mb)")
"$sak" bench tiny_stage1 tiny_stage1 --json --steps 1 --set 'student.stem.width=512' > "$tmp/json"
large=$(ask "min($(get peak_rss_mb))")
"$sak" bench tiny_stage1 --json --steps 1 --set 'student.stem.width=32' > "$tmp/json"
awk "BEGIN { exit !($large > 50 + $small) }" || fail "peak memory: width 512 $large MB, width 32 $small MB"

# for people
"$sak" bench tiny_stage2 --steps 1 --profile > "$tmp/text"
for words in 'GFLOP/s' 'of the peak measured beside it' 'MB peak' 'attention backward' '  time  ' 'weights [0-9]' 'in use at once' 'fullest at'; do
    grep -q -- "$words" "$tmp/text" || fail "no '$words' in $(cat "$tmp/text")"
done
# every product, at what rate by which kernels; a share of the peak is the rate that was chosen over it
"$sak" bench kernels --steps 1 --threads 2 --json > "$tmp/json"
rows() { "$sak" sql --csv "select $1 from json_each('$(sed "s/'/''/g" "$tmp/json")', '\$.cases[0].rows') r" | tr -d '\r' | tail -n +2; }
of() { echo "(r.value ->> '\$.\"$1\"')"; }
[ "$(rows "count(*) || ',' || count(distinct $(of product))")" = '"13,13"' ] || fail "kernels: $(cat "$tmp/json")"
[ "$(rows "min($(of own) > 0 and $(of blis) > 0 and $(of chosen) > 0 and $(of 'all threads') > 0 and $(of 'of peak') > 0)")" = 1 ] ||
    fail "a product without a rate: $(cat "$tmp/json")"
[ "$(rows "$(of 'm x n x k')" | tail -1)" = 1024x1024x1024 ] || fail "kernels: $(cat "$tmp/json")"

"$sak" bench overhead --steps 1 --json > "$tmp/json" 2> /dev/null # the real step loop, with a loader that has nothing to do
[ "$(rows "count(*) || ',' || min($(of step_ms) > 0 and $(of metrics) > 5 and $(of routing_dump_us) > 0)")" = '"2,1"' ] ||
    fail "overhead: $(cat "$tmp/json")"
"$sak" bench start > "$tmp/text"
grep -q 'with engine and Lua' "$tmp/text" || fail "$(cat "$tmp/text")"

refuse() { # words expected in the message, then the arguments
    local words=$1 status=0
    shift
    "$sak" bench "$@" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 2 ] || fail "sak bench $* exited with $status, wanted 2: $(cat "$tmp/out")"
    grep -q -- "$words" "$tmp/out" || fail "sak bench $* said: $(cat "$tmp/out")"
}
refuse "did you mean 'proxy'" proxi
refuse 'no such path' tiny_stage1 --set student.adaptor=1
refuse 'steps must be' tiny_stage1 --steps 0
echo "bench: stage 1 takes $(awk "BEGIN { print $small }") MB"
