#!/usr/bin/env bash
# shellcheck disable=SC2015
# Checkpoints and `sak resume`: kills, signals, damaged files, edited scripts, and losses that are not
# numbers.  What is resumed equals, bit for bit, what was never disturbed.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
results() { # of run $1: all that does not depend on the clock
    "$sak" sql --csv "select metric, step, value from metrics where run = $1 and coalesce(unit, '') not in
        ('s', 'images/s', 'GFLOP/s') order by metric, step"
}

# Kills at random moments, in both stages.
bash tests/kill_runs.sh "$sak" "${SAK_KILLS:-4}" 1

# Every scenario has a database and a folder of its own, and its run is number 1.
scenario() {
    dir=$tmp/$1
    export SAK_DB=$dir/sak.db
    mkdir "$dir"
    cp "tests/scripts/${2:-resume}.lua" "$dir/script.lua"
}
begin() { exec "$sak" run "$dir/script.lua" --quiet "$@" > /dev/null 2> "$dir/err"; }
wait_for() { # a checkpoint whose name begins with $1
    local i=0
    until compgen -G "$dir/runs/*/checkpoints/$1*.safetensors" > /dev/null; do
        i=$((i + 1))
        [ $i -lt 2000 ] || fail "$dir: no checkpoint $1"
        sleep 0.01
    done
}
same_as_twin() {
    results 1 > "$tmp/got"
    cmp "$tmp/twin/expected" "$tmp/got" || fail "$dir: metrics differ"
    cmp "$tmp"/twin/runs/*/student.safetensors "$dir/runs/$(value "select uid from runs where run = 1")/student.safetensors" ||
        fail "$dir: weights differ"
}
exits() { # wanted status, pid
    local status=0
    wait "$2" 2> /dev/null || status=$?
    [ "$status" = "$1" ] || fail "$dir: wanted exit status $1, got $status: $(cat "$dir/err")"
}
resume() { "$sak" resume 1 "$@" > "$dir/out" 2> "$dir/err" || fail "$dir: resume: $(cat "$dir/err")"; }

scenario twin
"$sak" run "$dir/script.lua" --quiet > "$dir/table"
results 1 > "$dir/expected"
[ -e "$dir"/runs/*/checkpoints/best.safetensors ] || fail "the best checkpoint is gone"
begin --set student.weights="$(echo "$dir"/runs/*/checkpoints/best.safetensors)" --set stages[1].iterations=1 & pid=$!
exits 0 $pid # the best checkpoint as a student to start from
rm -r "$dir/runs/$(value 'select uid from runs where run = 2')"
[ "$(ls "$dir"/runs/*/checkpoints)" = best.safetensors ] || fail "a run that is done keeps its latest checkpoints"
status=0; "$sak" resume 1 > "$dir/out" 2>&1 || status=$?
[ $status = 2 ] && grep -q 'run 1 is done' "$dir/out" || fail "resumed a run that is done: $(cat "$dir/out")"

# Signals end a run after its step, with a checkpoint; several of them do no harm.  What goes on is what
# is stored, not the script as it is now.
for case in TERM/130/s01 USR1/75/s02; do
    IFS=/ read -r signal status place <<< "$case"
    scenario "$signal"
    begin & pid=$!
    wait_for "$place"
    kill -s "$signal" $pid
    kill -s TERM $pid 2> /dev/null || true
    exits "$status" $pid
    [ "$(value "select state from runs")" = stopped ] || fail "SIG$signal: the run is not 'stopped'"
    steps=$(value "select max(step) from metrics where metric glob '*/loss'")
    [ "$steps" -lt 79 ] || fail "SIG$signal came too late"
    echo 'error "edited"' > "$dir/script.lua"
    resume --threads 1
    grep -q "goes on at step $((steps + 1))" "$dir/err" || fail "SIG$signal: stopped after step $steps, but $(cat "$dir/err")"
    cmp "$tmp/twin/table" "$dir/out" || fail "the closing table differs"
    same_as_twin
done

# Damaged, truncated and foreign checkpoints are refused by name, the one before them is used.
scenario damaged
begin --set checkpoint.keep=5 & pid=$!
wait_for s02-00000006
status=0; "$sak" resume 1 > "$dir/out" 2>&1 || status=$?
[ $status = 2 ] && grep -q "still running" "$dir/out" || fail "resumed a run that is running: $(cat "$dir/out")"
kill -9 $pid; wait $pid 2> /dev/null || true
# One of a newer sak is sound: it is not put aside for an earlier one.
latest=$(printf '%s\n' "$dir"/runs/*/checkpoints/s*.safetensors | sort | tail -1)
sed -i 's/"checkpoint_version":"1"/"checkpoint_version":"2"/' "$latest"
status=0; "$sak" resume 1 > "$dir/out" 2>&1 || status=$?
[ $status = 1 ] && grep -q 'go on with the newer sak' "$dir/out" && [ -e "$latest" ] || fail "a newer checkpoint: $status $(cat "$dir/out")"
sed -i 's/"checkpoint_version":"2"/"checkpoint_version":"1"/' "$latest"
k=0
for file in $(printf '%s\n' "$dir"/runs/*/checkpoints/s*.safetensors | sort -r | head -4); do
    case $k in
    0) printf '\x55' | dd of="$file" bs=1 seek=$(($(stat -c %s "$file") - 9)) conv=notrunc 2> /dev/null ;;
    1) truncate -s -100 "$file" ;;
    2) sed -i 's/"checkpoint_version":"1"/"checkpoint_version":"0"/' "$file" ;;
    3) : > "$file" ;;
    esac
    k=$((k + 1))
done
"$sak" run "$dir/script.lua" --set stages[1].iterations=1 --set stages[2].iterations=1 > /dev/null 2> "$dir/err"
! grep -q 'was interrupted' "$dir/err" || fail "another configuration was taken for the interrupted one"
"$sak" run "$dir/script.lua" > /dev/null 2> "$dir/err"
grep -q "run 1 of the same configuration was interrupted.*sak resume 1" "$dir/err" || fail "$(cat "$dir/err")"
resume
same_as_twin
[ "$(value "select count(*) from event where kind = 'checkpoint_refused'")" = 4 ] || fail "not all are refused"
for words in 'its checksum is' 'truncated' 'version 0; this sak reads version 1'; do
    grep -q "s0[0-9]*-[0-9]*.safetensors.*$words" "$dir/err" || fail "no word of '$words': $(cat "$dir/err")"
done
[ "$(value "select group_concat(state, ' ') from attempt where run_id = 1")" = 'lost done' ] || fail "attempts of a killed run"

# A second Ctrl-C exits at once, in the middle of a step.
scenario twice
(trap - INT; begin --set stages[1].batch=20 --set stages[1].iterations=100000 --set eval.every=0) & pid=$!
wait_for s01
kill -STOP $pid
kill -INT $pid; kill -CONT $pid
sleep 0.001
kill -INT $pid 2> /dev/null || true
exits 130 $pid

# A teacher whose training was interrupted goes on with the next run that needs it.
for scenario in taught taught.killed; do
    scenario $scenario
    mkdir "$dir/teachers"
    sed 's/sak.teacher "a" {[^}]*}/sak.teacher "dinov2"/' tests/scripts/resume.lua > "$dir/script.lua"
    cp tests/scripts/resume_dino.lua "$dir/teachers/dinov2.lua"
done
begin & pid=$!
wait_for s01
kill -9 $pid; wait $pid 2> /dev/null || true
for scenario in taught taught.killed; do
    dir=$tmp/$scenario SAK_DB=$tmp/$scenario/sak.db
    begin --set stages[1].iterations=2 --set stages[2].iterations=2 & pid=$!
    exits 0 $pid
done
[ "$(value "select group_concat(kind || ' ' || attempts, ', ') from runs")" = 'teacher 2, sak 1' ] ||
    fail "an interrupted teacher: $(value "select group_concat(kind || ' ' || attempts, ', ') from runs")"
cmp "$tmp"/taught/cache/teachers/*.safetensors "$dir"/cache/teachers/*.safetensors || fail "the teachers differ"

# Where no checkpoint can be written the run goes on, and says so.
scenario full
begin & pid=$!
wait_for s01
folder=$(echo "$dir"/runs/*)/checkpoints
until rm -rf "$folder" && : > "$folder"; do :; done 2> /dev/null # a file where the folder is to be
exits 0 $pid
same_as_twin
[ "$(value "select count(*) > 0 from event where kind = 'checkpoint' and level = 'warn'")" = 1 ] ||
    fail "no word of the checkpoints that could not be written"

# A loss that is not a number: the batch is left out, or the run goes back, also when it is resumed.
scenario nan nan
begin & pid=$!
exits 1 $pid
grep -q 'loss nan' "$dir/err" || fail "NaN: $(cat "$dir/err")"
begin --set +on_nan=rewind --set checkpoint.every=0 & pid=$!
exits 2 $pid
grep -q 'multiples of checkpoint.every' "$dir/err" || fail "rewind without steps: $(cat "$dir/err")"
for policy in skip/30/2 rewind/30/0; do
    IFS=/ read -r policy counts bad <<< "$policy"
    scenario "$policy" nan
    begin --set +on_nan="$policy" & pid=$!
    exits 0 $pid
    [ "$(value "select count(*) from event where kind = 'not_finite' and level = 'warn'")" = 2 ] || fail "$policy: events"
    [ "$(value "select n || '/' || n_nonfinite from finals where metric = 'multitask/loss'")" = "$counts/$bad" ] ||
        fail "$policy: $(value "select n || '/' || n_nonfinite from finals where metric = 'multitask/loss'")"
    results 1 > "$tmp/expected"
    weights=$(sha256sum < "$(echo "$dir"/runs/*/student.safetensors)")
    scenario "$policy.killed" nan
    begin --set +on_nan="$policy" --set checkpoint.every_s=0.001 & pid=$!
    wait_for s01-00000002
    kill -9 $pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
    [ "$(value "select state from runs")" = done ] || resume
    results 1 > "$tmp/got"
    cmp "$tmp/expected" "$tmp/got" || fail "$policy: resumed otherwise than undisturbed"
    [ "$weights" = "$(sha256sum < "$(echo "$dir"/runs/*/student.safetensors)")" ] || fail "$policy: weights differ"
done
[ "$(value "select group_concat(integrity_check) from pragma_integrity_check")" = ok ] || fail "database damaged"
echo "resume: signals, damaged files, edited scripts and NaN end as the undisturbed run does"
