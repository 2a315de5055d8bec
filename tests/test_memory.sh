#!/usr/bin/env bash
# Memory of a run: buffers kept apart and spoilt while they are not in use give the same bits, evaluation
# in the training graph's slab included; `sak check` names the parts of the peak, and what to do where the
# machine cannot hold it.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }

# folder, then options of sak run
train() {
    local dir=$tmp/$1
    shift
    mkdir "$dir"
    "$sak" run tests/scripts/tiny.lua --quiet --db "$dir/sak.db" --set 'student.tasks=["semseg","depth"]' \
        --set 'stages[1].iterations=3' --set 'stages[2].iterations=4' --set eval.every=2 "$@" > "$dir/table"
    "$sak" sql --db "$dir/sak.db" --csv --limit 0 "select metric, step, printf('%.17g', value) from metrics
        where metric not glob '*_s' and metric not glob '*gflops' order by metric, step" > "$dir/metrics"
}
train slab
[ "$(grep -c semseg "$tmp/slab/metrics")" -gt 4 ] || fail "nothing was evaluated: $(cat "$tmp/slab/metrics")"
! grep -qi nan "$tmp/slab/metrics" || fail "a metric is not a number"
SAK_BUFFERS=apart train apart
cmp "$tmp/slab/metrics" "$tmp/apart/metrics" || fail "buffers apart give other metrics: a lifetime is wrong"
train blocks --set engine.checkpoint=blocks
SAK_BUFFERS=apart train blocks_apart --set engine.checkpoint=blocks
cmp "$tmp/blocks/metrics" "$tmp/blocks_apart/metrics" || fail "buffers apart give other metrics with blocks"
cmp "$tmp/slab/metrics" "$tmp/blocks/metrics" || fail "blocks that are computed again give other metrics"

check() { "$sak" check tests/scripts/tiny.lua --db "$tmp/slab/sak.db" "$@"; }
check --json > "$tmp/json"
ask() { "$sak" sql --db "$tmp/slab/sak.db" --csv "select $1 from json_each('$(cat "$tmp/json")', '\$.stages') s" | tr -d '\r' | tail -n +2 | sort -u; }
get() { echo "json_extract(s.value, '\$.$1')"; }
[ "$(ask "(select sum(m.value ->> 'bytes') = $(get bytes) from json_each(s.value, '\$.memory') m)")" = 1 ] ||
    fail "the parts are not the whole: $(ask "$(get memory)")"
[ "$(ask "$(get blocks_bytes) <= $(get bytes) and $(get slab.least) <= $(get slab.bytes)")" = 1 ] || fail "blocks need more"
check > "$tmp/text"
for words in 'MiB peak: ' 'in use at once' 'moments' 'fullest at'; do
    grep -q -- "$words" "$tmp/text" || fail "no '$words' in $(cat "$tmp/text")"
done
! grep -q warning "$tmp/text" || fail "a tiny run does not fit? $(cat "$tmp/text")"
# planning allocates nothing, so a size that fits nowhere can be checked
check --set 'stages[1].batch=4000000' --set data.train=4000000 > "$tmp/text"
grep -q 'is more than the .* MiB of this machine' "$tmp/text" || fail "no warning: $(cat "$tmp/text")"
grep -q 'with engine = { checkpoint = "blocks" }' "$tmp/text" || fail "no advice: $(cat "$tmp/text")"
echo "memory: $(wc -l < "$tmp/slab/metrics") values, the same with buffers apart and with blocks computed again"
