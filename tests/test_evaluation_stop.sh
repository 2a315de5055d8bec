#!/usr/bin/env bash
# SIGINT, SIGTERM and SIGUSR1 while a run evaluates: it ends at once instead of after the last image,
# with a checkpoint and nothing of the broken-off evaluation, and goes on to the same bits.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
results() {
    "$sak" sql --csv "select metric, step, value from metrics where coalesce(unit, '') not in
        ('s', 'images/s', 'GFLOP/s') order by metric, step"
}
# Long evaluations, each right after a checkpoint: within stage 2 (step 4 + 8 = 12) and at its end (19).
run() {
    exec "$sak" run tests/scripts/resume.lua --quiet --threads 1 --set data.val=250 --set eval.batch=1 --set eval.every=8 \
        --set stages[1].iterations=4 --set stages[2].iterations=15 --set ~checkpoint.best
}
export SAK_DB=$tmp/twin/sak.db
(run) > "$tmp/table" 2> "$tmp/err" || fail "$(cat "$tmp/err")"
results > "$tmp/expected"
weights=$(sha256sum < "$(echo "$tmp"/twin/runs/*/student.safetensors)")

for case in INT/130/12 TERM/130/19 USR1/75/19; do
    IFS=/ read -r signal status step <<< "$case"
    dir=$tmp/$signal
    export SAK_DB=$dir/sak.db
    for _ in 1 2 3 4 5; do # on a busy machine the evaluation may end before the signal is sent: then once more
        rm -rf "$dir"
        mkdir "$dir"
        (trap - INT; run > /dev/null 2> "$dir/err") & pid=$!
        for ((i = 0; i < 3000; i++)); do
            ! compgen -G "$dir/runs/*/checkpoints/s02-0000000$step.safetensors" > /dev/null || break
            sleep 0.01
        done
        kill -s "$signal" $pid 2> /dev/null || true
        got=0
        wait $pid 2> /dev/null || got=$?
        [ $got = 0 ] || break
    done
    [ $got = "$status" ] || fail "SIG$signal: exit status $got, not $status: $(cat "$dir/err")"
    [ "$(value "select state from runs")" = stopped ] || fail "SIG$signal: the run is $(value "select state from runs")"
    [ "$(value "select count(*) from metrics where metric glob 'val/*' and step >= $step")" = 0 ] ||
        fail "SIG$signal: the evaluation went on to its end"
    [ "$(value "select max(step) from metrics where metric = 'multitask/loss'")" = $((step - 1)) ] ||
        fail "SIG$signal: it trained on to $(value "select max(step) from metrics where metric = 'multitask/loss'")"
    "$sak" resume 1 --threads 2 > "$dir/table" 2> "$dir/err" || fail "resume: $(cat "$dir/err")"
    results > "$tmp/got"
    cmp "$tmp/expected" "$tmp/got" || fail "SIG$signal: metrics differ: $(diff "$tmp/expected" "$tmp/got" | head)"
    cmp "$tmp/table" "$dir/table" || fail "SIG$signal: the closing table differs"
    [ "$weights" = "$(sha256sum < "$(echo "$dir"/runs/*/student.safetensors)")" ] || fail "SIG$signal: weights differ"
done
echo "ok: evaluations break off and are done again"
