#!/usr/bin/env bash
# kill -9 of a sweep and of its workers at random moments: no finished trial is lost, none repeated,
# those that left a checkpoint go on from it, and what comes out is, bit for bit, what an undisturbed
# sweep gives.
#   test_sweep_kill.sh SAK [KILLS [SEED [SWEEP]]]      # without SWEEP: mini_sweep.lua, then mini_halving.lua
set -eu
if [ $# -lt 4 ]; then
    bash "$0" "$1" "${2:-12}" "${3:-1}" tests/scripts/mini_sweep.lua
    exec bash "$0" "$1" "${2:-8}" "${3:-1}" tests/scripts/mini_halving.lua
fi
sak=$1 kills=$2 RANDOM=$3 file=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
results() {
    "$sak" sql --csv "select t.n, t.arm, t.cell, t.seed, t.state, m.metric, m.step, m.value from trial t
        join metrics m on m.run = t.run_id where m.metric not glob '*_s' and m.metric not glob '*gflops'
        order by t.n, m.metric, m.step"
}
sweep() {
    exec "$sak" sweep "$file" --jobs 2 $(case $file in *mini_sweep*) echo --seeds 4 ;; esac) \
        --set stages[1].iterations=500 --set checkpoint.every=70 "$@"
}

(export SAK_DB=$tmp/a/sak.db; sweep) > "$tmp/undisturbed" 2> /dev/null
(export SAK_DB=$tmp/a/sak.db; results) > "$tmp/expected"
export SAK_DB=$tmp/b/sak.db
n=0 parents=0 workers=0
while :; do
    sweep > "$tmp/out" 2> "$tmp/err" & pid=$!
    while [ "$n" -lt "$kills" ] && kill -0 $pid 2> /dev/null; do
        sleep "0.$(printf %03d $((RANDOM % 300 + 20)))"
        if [ $((RANDOM % 2)) = 0 ]; then
            n=$((n + 1)) parents=$((parents + 1))
            kill -9 $pid 2> /dev/null || true
            break
        fi
        children=$(pgrep -P $pid 2> /dev/null || true)
        for child in $children; do # one of them
            [ $((RANDOM % 2)) = 0 ] || continue
            kill -9 "$child" 2> /dev/null && n=$((n + 1)) workers=$((workers + 1))
            break
        done
    done
    status=0
    wait $pid 2> /dev/null || status=$?
    [ "$status" = 0 ] && break
    [ "$status" = 137 ] || fail "the sweep exited with $status: $(cat "$tmp/err")"
done
[ "$n" -gt $((kills / 2)) ] || fail "only $n kills before the end"
repeated=$(value "select count(*) from (select 1 from run where state = 'done' group by trial_id having count(*) > 1)")
[ "$repeated" = 0 ] || fail "$repeated trials were finished twice"
[ "$(value "select count(*) || '/' || count(run_id) from trial where state in ('done', 'pruned')")" = 16/16 ] || fail "trials are missing"
[ "$(value "select count(*) from run where state = 'running'")" = 0 ] || fail "runs are left running"
resumed=$(value "select count(*) from attempt where resumed_step > 0")
if [ "$resumed" = 0 ] && [ "$kills" -ge 10 ]; then # on a busy machine all kills may come before the first one
    [ "$3" -lt 6 ] || fail "no trial went on from a checkpoint"
    rm -rf "$tmp"
    exec bash "$0" "$1" "$2" $(($3 + 1)) "$4"
fi
left=$(find "$tmp/b/runs" -path '*/checkpoints/*' | while read -r f; do
    "$sak" sql --csv "select count(*) from run where (state = 'done' or id in (select run_id from trial where state = 'pruned')) and uid = '$(basename "$(dirname "$(dirname "$f")")")'" |
        tr -d '\r' | tail -1
done | grep -c 1 || true)
[ "$left" = 0 ] || fail "$left checkpoints of finished trials are left"
"$sak" db check > "$tmp/check" 2>&1 || fail "integrity: $(cat "$tmp/check")"
results > "$tmp/got"
cmp "$tmp/expected" "$tmp/got" || fail "the results differ from those of an undisturbed sweep"
cmp "$tmp/undisturbed" "$tmp/out" || fail "the final table differs: $(diff "$tmp/undisturbed" "$tmp/out")"
echo "$(basename "$file"): $n kills ($parents of the sweep, $workers of workers), $(wc -l < "$tmp/got") values as undisturbed," \
    "$(value "select sum(attempts) from trial") attempts at 16 trials, $resumed of them from a checkpoint"
