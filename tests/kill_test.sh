#!/usr/bin/env bash
# kill -9 at random moments, over runs and over sweeps, and what a kill costs: a summary in one line.
#   kill_test.sh SAK [KILLS [SEED]]       by hand: tests/kill_test.sh build/sak 100
set -eu
sak=$1 kills=${2:-100} seed=${3:-1}
here=$(dirname "$0")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }

bash "$here/kill_runs.sh" "$sak" $((kills * 2 / 3)) "$seed" > "$tmp/runs.txt" || fail "$(cat "$tmp/runs.txt")"
cat "$tmp/runs.txt"
swept=0
for ((s = seed; swept < kills - kills * 2 / 3; s++)); do
    bash "$here/test_sweep_kill.sh" "$sak" $((kills / 3 < 16 ? kills / 3 : 16)) "$s" > "$tmp/sweeps.txt" || fail "$(cat "$tmp/sweeps.txt")"
    cat "$tmp/sweeps.txt"
    swept=$((swept + $(sed -n 's/^[a-z_.]*: \([0-9]*\) kills.*/\1/p' "$tmp/sweeps.txt" | paste -sd+)))
done

# How much of the past a kill takes: from the last metric that is found again to the kill.  The run
# logs at every step, so that a gap is a loss.
RANDOM=$seed longest=0
export SAK_DB=$tmp/loss/sak.db
for ((i = 1; i <= 10; i++)); do
    "$sak" run tests/scripts/mini.lua --quiet --set seed="$i" --set stages[1].iterations=1000000 > /dev/null 2>&1 & pid=$!
    until [ -f "$SAK_DB" ] && [ "$(value "select count(*) > 0 from metrics where run = $i" 2> /dev/null)" = 1 ]; do
        kill -0 $pid 2> /dev/null || fail "the run that was to be killed ended by itself"
        sleep 0.05
    done
    sleep "0.$(printf %03d $((RANDOM % 1000)))"
    at=$(date +%s%N)
    kill -9 $pid
    wait $pid 2> /dev/null || true
    ms=$(value "select ($at / 1000 - started_us - (select max(t_us) from metric_point where run_id = id)) / 1000 from run where id = $i")
    [ "$(value "select state from runs where run = $i")" = lost ] || fail "a killed run is not marked lost"
    [ "$ms" -le "$longest" ] || longest=$ms
done
[ "$longest" -lt 1000 ] || fail "a kill cost $longest ms of metrics"
n=$(sed -n 's/^kill: \([0-9]*\) kills.*/\1/p' "$tmp/runs.txt")
echo "$((n + swept)) kills ($n of runs, $swept of sweeps): 0 committed metrics lost, 0 duplicates, 0 integrity failures," \
    "all that went on bit-identical to its twin; at most $longest ms of metrics lost by a kill"
