#!/usr/bin/env bash
# shellcheck disable=SC2015
# `sak replay`: a stored run comes out the same, bit for bit, from the database alone; what differs is
# named.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
export SAK_DB=$tmp/sak.db TMPDIR=$tmp/scratch
mkdir "$TMPDIR" "$tmp/parts"
equal() { # the arguments of sak replay
    "$sak" replay "$@" > "$tmp/out" 2> "$tmp/err" || fail "sak replay $*: $(cat "$tmp/out" "$tmp/err")"
    grep -q 'all equal bit for bit' "$tmp/out" || fail "sak replay $*: $(cat "$tmp/out")"
}
differs() { # words, then the arguments of sak replay
    local words=$1 status=0
    shift
    "$sak" replay "$@" > "$tmp/out" 2> "$tmp/err" || status=$?
    [ $status = 1 ] || fail "sak replay $* exited with $status, wanted 1: $(cat "$tmp/out" "$tmp/err")"
    grep -q -- "$words" "$tmp/out" "$tmp/err" || fail "sak replay $* does not say '$words': $(cat "$tmp/out" "$tmp/err")"
}

# The script, what it requires and what was overridden are gone or changed: the database has them.
sed 's/sak.router.mor { noisy = true }/require "parts.router"/' tests/scripts/resume.lua > "$tmp/script.lua"
echo 'local sak = require "sak" return sak.router.mor { noisy = true }' > "$tmp/parts/router.lua"
"$sak" run "$tmp/script.lua" --quiet --set seed=5 --set stages[1].iterations=20 --threads 1 > /dev/null
rm -r "$tmp/parts"
echo 'error "edited"' > "$tmp/script.lua"
equal @last --threads 2
grep -q '^run 1 (resume, seed 5): [0-9]* values of 5[0-9] metrics' "$tmp/out" || fail "$(cat "$tmp/out")"
equal 1 --threads 3 --steps 7
[ "$("$sak" sql --csv 'select count(*) from runs' | tail -1 | tr -d '\r')" = 1 ] || fail "a replay is among the runs"
[ -z "$(ls "$TMPDIR")" ] || fail "a replay leaves files: $(ls "$TMPDIR")"

# Runs that went back over bad batches, that were stopped, that are trials of a sweep.
"$sak" run tests/scripts/nan.lua --quiet --set +on_nan=rewind > /dev/null 2>&1
equal @last
"$sak" run tests/scripts/nan.lua --quiet --set +on_nan=skip > /dev/null 2>&1
equal @last
"$sak" run tests/scripts/nan.lua --quiet > /dev/null 2>&1 && fail "a loss that is not a number went unnoticed"
equal @last
grep -q ' 16 values' "$tmp/out" || fail "a failed run: $(cat "$tmp/out")"
"$sak" sweep tests/scripts/mini_sweep.lua --seeds 1 --quiet > /dev/null 2> "$tmp/err" || fail "$(cat "$tmp/err")"
equal @last

# What was altered is named: the first step of it, what was stored, and what comes out.
alter() { "$sak" sql --write "update metric_point set value = $2 where run_id = 1 and step = $3 and key_id =
    (select id from metric_key where name = '$1')"; }
alter distill/lr 0.25 13
alter multitask/grad_norm 'value * (1 + 1e-12)' 23
alter distill/loss 'value * (1 + 1e-12)' 9
differs '3 of [0-9]* metrics differ; the first one: distill/loss at step 9: stored 1[.0-9]*, now 1[.0-9]*$' 1
equal 1 --steps 9
differs '"step":9,' 1 --json --steps 10
"$sak" sql --write "delete from metric_point where run_id = 1 and step = 3 and key_id =
    (select id from metric_key where name = 'distill/loss')"
differs 'distill/loss at step 3: stored nothing, now' 1
"$sak" sql --write "update attempt set sak_version = '0.0.1' where run_id = 1"
differs 'attempt 1 ran on sak 0.0.1, this is' 1

# On other kernels values may differ by a stated bit, not by more.
"$sak" sql --write "update attempt set isa = 'none' where run_id = 1"
differs 'values may differ by 1 %' 1
"$sak" replay 1 --steps 3 > "$tmp/out" 2> /dev/null && grep -q 'equal up to' "$tmp/out" || fail "$(cat "$tmp/out")"

# Other data, other teachers, no material: refused by name.  Runs of before that was recorded are not.
"$sak" run tests/scripts/mini.lua --quiet --set 'stages[1].data=sak.data.rooms { train = 3, val = 1, size = { 16, 16 } }' > /dev/null
id=$("$sak" sql --csv "select max(id) from run" | tail -1 | tr -d '\r')
for input in 'val/evaluated on other data' 'stage1/trained on other data in stage 1'; do
    tag="run_id = $id and name = 'data:${input%%/*}'"
    "$sak" sql --write "update tag set value = 'elsewhere' where $tag"
    differs "${input#*/} than are there now (elsewhere, now [0-9a-f]*)" "$id"
    "$sak" sql --write "delete from tag where $tag"
done
equal "$id"
"$sak" sql --write "update run set data_id = 'elsewhere' where id = 1"
differs 'other data than are there now (elsewhere, now [0-9a-f]*)' 1
"$sak" sql --write "update run set frozen_sha256 = null where id = 1"
status=0; "$sak" replay 1 > "$tmp/out" 2>&1 || status=$?
[ $status = 2 ] && grep -q 'recorded by an earlier sak' "$tmp/out" || fail "$(cat "$tmp/out")"
echo "replay: runs and trials equal from the database alone; what was altered is named"
