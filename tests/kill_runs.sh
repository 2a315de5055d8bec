#!/usr/bin/env bash
# kill -9 of runs at random moments, `sak resume` after each: every metric and every weight is, bit for
# bit, what an undisturbed run gives, on other numbers of threads too, and nothing is counted twice.
#   kill_test.sh SAK [KILLS [SEED [SCRIPT...]]]
# By hand, on a quiet machine: tests/kill_test.sh build/sak 200
set -eu
sak=$1 kills=${2:-20} RANDOM=${3:-1}
shift $(($# < 3 ? $# : 3))
[ $# -gt 0 ] || set -- tests/scripts/resume.lua tests/scripts/resume_dino.lua
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
results() { # of run $1: all that does not depend on the clock
    "$sak" sql --csv "select metric, step, value from metrics where run = $1 and coalesce(unit, '') not in
        ('s', 'images/s', 'GFLOP/s') order by metric, step"
}
committed() { # all that is in the database, whichever attempt it is of
    [ ! -f "$SAK_DB" ] || "$sak" sql --csv "select run_id, key_id, step, attempt, value from metric_point" 2> /dev/null | LC_ALL=C sort
}
weights() { # hashes of the tensors' bytes in folder $1; the headers tell run and time
    local file
    for file in "$1"/*.safetensors "$1"/checkpoints/best.safetensors; do
        [ ! -f "$file" ] || echo "$(basename "$file") $(tail -c "+$(($(od -An -tu8 -N8 "$file") + 9))" "$file" | sha256sum)"
    done
}

n=0 attempts=0 points=0 refused=0 runs=0
for script in "$@"; do
    name=$(basename "$script" .lua)
    export SAK_DB=$tmp/$name/twin/sak.db
    began=$(date +%s%N)
    "$sak" run "$script" --quiet --threads 1 > "$tmp/table" 2> "$tmp/err" || fail "$(cat "$tmp/err")"
    span=$((($(date +%s%N) - began) / 1000000)) # ms
    span=$((span + span / 10))
    results 1 > "$tmp/expected"
    weights "$tmp/$name"/twin/runs/* > "$tmp/expected_weights"
    [ "$(wc -l < "$tmp/expected")" -gt 100 ] || fail "$script logs next to nothing"
    k=0
    for ((run = 1; k * $# < kills; run++)); do
        export SAK_DB=$tmp/$name/$run/sak.db
        verb="run $script"
        while :; do
            # shellcheck disable=SC2086
            "$sak" $verb --quiet --threads $((RANDOM % 3 + 1)) > "$tmp/out" 2> "$tmp/err" & pid=$!
            if [ $((k * $#)) -lt "$kills" ]; then
                ms=$((RANDOM % span))
                sleep "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))"
                committed > "$tmp/before"
                kill -9 $pid 2> /dev/null || true
            fi
            status=0
            wait $pid 2> /dev/null || status=$?
            [ "$status" != 0 ] || break
            k=$((k + 1))
            committed > "$tmp/after"
            gone=$(LC_ALL=C comm -23 "$tmp/before" "$tmp/after" | wc -l)
            [ "$gone" = 0 ] || fail "$gone committed metrics are lost"
            [ "$status" = 137 ] || fail "$script: sak $verb exited with $status: $(cat "$tmp/err")"
            if [ -f "$SAK_DB" ] && [ "$(value "select state from run" 2> /dev/null)" = done ]; then
                cp "$tmp/table" "$tmp/out" # killed while it said so
                break
            fi
            [ -f "$SAK_DB" ] && [ "$(value 'select count(*) from run' 2> /dev/null)" = 1 ] && verb="resume 1"
        done
        results 1 > "$tmp/got"
        cmp "$tmp/expected" "$tmp/got" || fail "$script: metrics differ: $(diff "$tmp/expected" "$tmp/got" | head)"
        weights "$tmp/$name/$run"/runs/* > "$tmp/got_weights"
        cmp "$tmp/expected_weights" "$tmp/got_weights" || fail "$script: weights differ"
        [ -s "$tmp/table" ] && { cmp "$tmp/table" "$tmp/out" || fail "$script: the closing table differs"; }
        [ "$(value "select count(*) from run where state <> 'done'")" = 0 ] || fail "a run is left over"
        [ "$(value "select count(*) from metrics m join metric_last l on l.run_id = m.run join metric_key k on
            k.id = l.key_id and k.name = m.metric group by m.metric having count(*) <> max(l.n)")" != 1 ] || fail "summaries"
        "$sak" db check --files > "$tmp/check" 2>&1 || fail "integrity: $(cat "$tmp/check")"
        runs=$((runs + 1))
        points=$((points + $(wc -l < "$tmp/got") - 1))
        attempts=$((attempts + $(value "select attempts from run")))
        refused=$((refused + $(value "select count(*) from event where kind = 'checkpoint_refused'")))
    done
    n=$((n + k))
done
echo "kill: $n kills of $runs runs, $attempts attempts, $points metric values and all weights as undisturbed," \
    "$refused checkpoints refused"
