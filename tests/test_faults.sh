#!/usr/bin/env bash
# Faults: a sample of failing calls (tests/faults/sweep_faults tries them all), a full disk, a folder
# that cannot be written, a clock going backwards, a network file system, a database that another
# program holds, replaced, or deleted with its folder while a run writes.
set -eu
sak=$(realpath "$1")
! grep -q __tsan_init "$sak" || { echo "skipped: the thread sanitizer stands in the shim's place"; exit 77; }
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0
tmp=$(mktemp -d)
mounted=
trap '[ -z "$mounted" ] || umount "$mounted"; chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
unset SAK_DB
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv --db "$1" "$2" | tr -d '\r' | tail -1; }
run() { "$sak" run tests/scripts/mini.lua --quiet --threads 1 "$@"; }

sample() { tests/faults/sweep_faults "$sak" "$@" > "$tmp/said" 2>&1 || fail "$(cat "$tmp/said")"; }
sample rename 1
sample fsync 2 4 8
sample write 3 20 30
sample read 5 30 50
sample open 2 6 8
sample mmap 2 1 2
# (gcov's own end of a program crashes where it finds no memory)
grep -q __gcov_exit "$sak" || sample memory 1500 6500 28000
sample malloc 40 600 1400
grep -q ' 3 faults, [1-9]' "$tmp/said" || fail "failing allocations went unnoticed: $(cat "$tmp/said")"

refused() { # words of the message, then a folder; the run there must fail with them
    local words=$1 status=0
    run --db "$2/sak.db" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 1 ] || [ "$status" = 2 ] || fail "exit status $status: $(cat "$tmp/out")"
    grep -qi -- "$words" "$tmp/out" || fail "wanted '$words': $(cat "$tmp/out")"
}

# a folder that cannot be written (root may write everywhere but on a read-only mount)
mkdir "$tmp/small" "$tmp/closed"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=600k none "$tmp/small" 2> /dev/null; then
    mounted=$tmp/small
    run --db "$tmp/small/sak.db" > /dev/null 2>&1 || true
    head -c 10000000 /dev/zero > "$tmp/small/filler" 2> /dev/null || true
    refused 'full\|No space' "$tmp/small"
    rm "$tmp/small/filler"
    "$sak" db check --db "$tmp/small/sak.db" > "$tmp/out" || fail "after a full disk: $(cat "$tmp/out")"
    mount -o remount,ro "$tmp/small"
    refused 'cannot be written\|Read-only\|unable to open\|readonly' "$tmp/small"
elif [ "$(id -u)" != 0 ]; then
    chmod a-w "$tmp/closed"
    refused 'unable to open\|Permission' "$tmp/closed"
fi

# a file where the folder of all runs would be: said before anything is trained
mkdir "$tmp/blocked"
touch "$tmp/blocked/runs"
refused "error: $tmp/blocked/runs is a file where a folder is needed; move it away" "$tmp/blocked"
"$sak" sweep tests/scripts/mini_sweep.lua --quiet --db "$tmp/blocked/sak.db" > "$tmp/out" 2>&1 && fail "a sweep ran into $tmp/blocked"
grep -q 'runs is a file where' "$tmp/out" || fail "$(cat "$tmp/out")"
[ "$(value "$tmp/blocked/sak.db" 'select (select count(*) from run) + (select count(*) from sweep)')" = 0 ] || fail "something was begun"

# the clock of the day goes backwards, an hour with every look at it
cc -shared -fPIC -O1 -o "$tmp/shim.so" tests/faults/shim.c -ldl
mkdir "$tmp/clock"
SAK_FAULT=clock SAK_FAULT_AT=1 LD_PRELOAD=$tmp/shim.so run --db "$tmp/clock/sak.db" > /dev/null
"$sak" db check --db "$tmp/clock/sak.db" > "$tmp/out" || fail "clock: $(cat "$tmp/out")"
[ "$(value "$tmp/clock/sak.db" "select seconds >= 0 and (select min(seconds) from metrics) >= 0 from runs")" = 1 ] ||
    fail "times before the run's beginning"
all=$(value "$tmp/clock/sak.db" 'select count(*) from metrics')

# a checkpoint to go back to that could not be written: the run goes back to the one before it
mkdir "$tmp/back" "$tmp/back_further"
rewind() { "$sak" run tests/scripts/nan.lua --quiet --set +on_nan=rewind --db "$tmp/$1/sak.db" > "$tmp/out" 2>&1; }
back_to() { value "$tmp/$1/sak.db" "select min(replace(substr(text, instr(text, 'back to step ') + 13), ',', ' ') + 0) from event where kind = 'not_finite'"; }
rewind back || fail "$(cat "$tmp/out")"
SAK_FAULT=rename SAK_FAULT_BELOW="$tmp/back_further/runs" SAK_FAULT_AT=$(($(back_to back) / 4 + 1)) LD_PRELOAD=$tmp/shim.so \
    rewind back_further || fail "a rewind point that was not written: $(cat "$tmp/out")"
[ "$(value "$tmp/back_further/sak.db" "select count(*) from event where kind = 'checkpoint' and text glob 'no checkpoint: *'")" = 1 ] ||
    fail "every rewind point was written"
[ "$(back_to back_further)" = $(($(back_to back) - 4)) ] || fail "back to $(back_to back_further), not before $(back_to back)"

# but not into the stage before: of four files the last one is the first of stage 2
mkdir "$tmp/stage"
sed 's/every = 4/every = 100/; s/  stages = {/&\n    sak.multitask { name = "one", iterations = 4, batch = 2, augment = sak.augment {} },/' \
    tests/scripts/nan.lua > "$tmp/two_stages.lua"
SAK_FAULT=rename SAK_FAULT_BELOW="$tmp/stage/runs" SAK_FAULT_AT=4 LD_PRELOAD=$tmp/shim.so \
    "$sak" run "$tmp/two_stages.lua" --quiet --set +on_nan=rewind --db "$tmp/stage/sak.db" > "$tmp/out" 2>&1 &&
    fail "went back to another stage"
grep -q 'no checkpoint of this stage to go back to' "$tmp/out" || fail "a stage without a checkpoint: $(cat "$tmp/out")"

# on a network file system nothing is begun, and the message says where to put the database instead
mkdir "$tmp/network"
status=0
SAK_FAULT=network LD_PRELOAD=$tmp/shim.so run --db "$tmp/network/sak.db" > "$tmp/out" 2>&1 || status=$?
[ $status != 0 ] && grep -q 'network file system (NFS).*local' "$tmp/out" || fail "NFS: status $status: $(cat "$tmp/out")"
[ -z "$(ls "$tmp/network")" ] || fail "NFS: something was left: $(ls "$tmp/network")"

# another program holds the database for seconds: the run waits at its end and loses nothing
mkdir "$tmp/held"
run --db "$tmp/held/sak.db" > /dev/null
"$sak" sql --write --db "$tmp/held/sak.db" "insert into t_quantile with recursive c(i) as (select 1001 union all
 select i + 1 from c where i < 3000000) select i, 0 from c" & holder=$!
sleep 0.3
run --set seed=1 --db "$tmp/held/sak.db" > "$tmp/out" 2>&1 || fail "a held database: $(cat "$tmp/out")"
wait $holder
[ "$(value "$tmp/held/sak.db" "select count(*) from metrics join runs using (run) where seed = 1")" = "$all" ] ||
    fail "a held database cost metrics"

# the folder is deleted, or the file replaced, while a run writes: a message, no crash, no hang
cp -r "$tmp/clock" "$tmp/other"
for what in deleted replaced; do
    mkdir "$tmp/$what"
    run --set stages[1].iterations=100000 --db "$tmp/$what/sak.db" > "$tmp/out" 2>&1 & pid=$!
    for ((i = 0; i < 200; i++)); do
        [ ! -e "$tmp/$what/sak.db" ] || [ "$(value "$tmp/$what/sak.db" 'select count(*) > 0 from metrics' 2> /dev/null)" != 1 ] || break
        sleep 0.05
    done
    if [ $what = deleted ]; then rm -r "${tmp:?}/$what"; else cp "$tmp/other/sak.db" "$tmp/$what/new" && mv "$tmp/$what/new" "$tmp/$what/sak.db"; fi
    status=0
    wait $pid || status=$?
    [ "$status" = 1 ] || [ "$status" = 2 ] || fail "$what: exit status $status: $(cat "$tmp/out")"
    grep -q 'error: ' "$tmp/out" || fail "$what: no message: $(cat "$tmp/out")"
done
"$sak" db check --db "$tmp/replaced/sak.db" > "$tmp/out" 2>&1 || fail "replaced: $(cat "$tmp/out")"
echo "ok"
