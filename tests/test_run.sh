#!/usr/bin/env bash
# `sak run` from script to database: metrics, files, routers, equal bits on any number of threads,
# and clear refusals of wrong input that leave the database whole.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }

value() { "$sak" sql --csv "$1" | tr -d '\r' | tail -1; } # one value from the database

finals="select metric, step, value from finals where run = %d and metric not glob '*_s' \
and metric not glob '*gflops' and metric not glob '*images_per_s' order by metric"
for threads in 1 2 4; do
    "$sak" run tests/scripts/tiny.lua --threads $threads --quiet > "$tmp/table.$threads"
    # shellcheck disable=SC2059
    "$sak" sql --csv "$(printf "$finals" "$(("$threads" == 4 ? 3 : threads))")" > "$tmp/finals.$threads"
done
[ "$(wc -l < "$tmp/finals.1")" -gt 60 ] || fail "few metrics: $(cat "$tmp/finals.1")"
cmp "$tmp/finals.1" "$tmp/finals.2" || fail "1 and 2 threads differ"
cmp "$tmp/finals.1" "$tmp/finals.4" || fail "1 and 4 threads differ"
[ "$(sha256sum "$tmp"/runs/*/student.safetensors | cut -d' ' -f1 | sort -u | wc -l)" = 1 ] ||
    fail "weights differ between thread counts"
grep -q semseg "$tmp/table.1" && grep -q delta_m "$tmp/table.1" || fail "no closing table"
[ -s "$(ls "$tmp"/runs/*/predictions.png | head -1)" ] || fail "no prediction sheet"
weights=$(value "select round(sum(weight), 5) from routing where run = 1 and task = 'depth' \
and level = 1 and expert <> 'entropy'")
[ "$weights" = 1 ] || fail "router weights sum to '$weights'"
"$sak" run tests/scripts/tiny.lua --quiet --set seed=1 > /dev/null
"$sak" sql --csv "$(printf "$finals" 4)" > "$tmp/other"
! cmp -s "$tmp/finals.1" "$tmp/other" || fail "another seed gave the same metrics"

# the objective is sum_k w_k L_k + alpha sum_t w_t sum_l L_tl, of the terms as they are logged (tasks weighted)
"$sak" run tests/scripts/tiny.lua --quiet --set name=weighed --set stages[2].alpha=0.25 --set teachers[1].weight=2 \
    --set stages[2].teachers.b=5 > /dev/null 2>&1
off=$(value "select count(*) || ' ' || coalesce(sum(off > 1e-5), 'nothing') from (select abs(sum(m.value * case
    when metric glob '*/loss' then -1.0 when metric glob '*/task/*' then 1
    when metric glob 'distill/kd/a_*' then 2 when metric glob 'distill/kd/b_*' then 1
    when metric glob 'multitask/kd/a_*' then 0.25 * 2 when metric glob 'multitask/kd/b_*' then 0.25 * 5 end))
    / max(case when metric glob '*/loss' then m.value end) as off
  from metrics m join runs r using (run) where r.experiment = 'weighed' and (metric glob '*/kd/*'
    or metric glob 'multitask/task/*' or metric in ('distill/loss', 'multitask/loss')) group by m.step)")
[ "$off" = '8 0' ] || fail "steps, and those whose loss is not the weighted sum of its terms: $off"

# single-task runs of the same configuration give delta_m
for task in semseg depth normals edge sal human_parts; do
    "$sak" run tests/scripts/tiny.lua --quiet --set model=single_task --set "student.tasks=[\"$task\"]" \
        --set '~stages[1]' > /dev/null
done
"$sak" run tests/scripts/tiny.lua --quiet > "$tmp/with_delta"
grep -Eq 'delta_m [+-][0-9.]+%' "$tmp/with_delta" || fail "no delta_m: $(cat "$tmp/with_delta")"

# but not those on other training images, or with edges scored otherwise
for set in seed=0 seed=1 eval.edge_protocol=seism 'stages[1].data=sak.data.rooms { train = 3, val = 1, size = { 16, 16 } }'; do
    "$sak" run tests/scripts/mini.lua --quiet --set "$set" > /dev/null
done
kinds=$(value "select group_concat(n) from (select count(*) as n from runs where experiment = 'mini' \
group by compare_sha256 order by min(run))")
[ "$kinds" = '"2,1,1"' ] || fail "runs that a baseline holds for alike: $kinds, wanted 2,1,1"

# a router of one's own learns
"$sak" run tests/scripts/own_router.lua --quiet > /dev/null
spread=$(value "select max(value) - min(value) > 1e-6 from metrics m join runs r using (run) \
where r.experiment = 'own_router' and metric = 'multitask/loss'")
[ "$spread" = 1 ] || fail "own router: the loss does not move"
[ "$(value "select count(*) from routing join runs using (run) where experiment = 'own_router' and expert = 'a'")" = 4 ] ||
    fail "own router: its weights are not in the database"

refuse() { # words expected in the message, then the arguments
    local words=$1 status=0
    shift
    "$sak" "$@" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 2 ] || fail "sak $* exited with $status, wanted 2: $(cat "$tmp/out")"
    grep -q -- "$words" "$tmp/out" || fail "sak $* said: $(cat "$tmp/out")"
}
refuse 'no such path' run tests/scripts/tiny.lua --set student.adaptor.rank=16
refuse "did you mean 'mor'" run tests/scripts/tiny.lua --set student.router.kind=moor
refuse 'nothing.lua' run tests/scripts/nothing.lua
sed 's/return weights:mix(stem, table.unpack(experts)), weights/return nn:linear("narrow", stem, 7), weights/' \
    tests/scripts/own_router.lua > "$tmp/wrong_router.lua"
refuse 'wrong_router.lua:' run "$tmp/wrong_router.lua" --quiet
sed 's/:softmax()/:softmax():mul(nn:linear("odd", stem, 5))/' tests/scripts/own_router.lua > "$tmp/misshapen_router.lua"
refuse 'misshapen_router.lua:5: mul' run "$tmp/misshapen_router.lua" --quiet
head -c 1000 tests/fixtures/verify/a_s1_two_teachers/model.safetensors > "$tmp/cut.safetensors"
refuse 'cut.safetensors' run tests/scripts/tiny.lua --quiet --set "teachers[name=a].weights=$tmp/cut.safetensors"
[ "$(value 'select count(*) from runs where state not in ('"'done', 'failed'"')')" = 0 ] || fail "database damaged"

# Ctrl-C stops after the step and keeps what was recorded; a killed run is lost, its metrics are not
long() { exec "$sak" run tests/scripts/tiny.lua --quiet --set stages[1].iterations=100000 --set seed="$1"; }
logged() { value "select count(*) from metrics join runs using (run) where seed = $1 and metric = 'distill/loss'"; }
long 7 & pid=$!
until [ "$(logged 7)" -gt 5 ]; do sleep 0.2; done
kill -INT $pid
status=0; wait $pid || status=$?
[ "$status" = 130 ] || fail "interrupted run exited with $status"
[ "$(value "select state from runs where seed = 7")" = stopped ] || fail "interrupted run is not 'stopped'"
long 8 & pid=$!
until [ "$(logged 8)" -gt 5 ]; do sleep 0.2; done
kill -9 $pid; wait $pid 2> /dev/null || true
"$sak" run tests/scripts/own_router.lua --quiet > /dev/null
[ "$(value "select state from runs where seed = 8")" = lost ] || fail "killed run is not 'lost'"
[ "$(logged 8)" -gt 5 ] || fail "metrics of the killed run are gone"

# two runs at once
"$sak" run tests/scripts/tiny.lua --quiet --set seed=5 > /dev/null 2> "$tmp/err1" &
"$sak" run tests/scripts/tiny.lua --quiet --set seed=6 > /dev/null 2> "$tmp/err2"
wait $!
[ ! -s "$tmp/err1" ] && [ ! -s "$tmp/err2" ] || fail "$(cat "$tmp/err1" "$tmp/err2")"
[ "$(value "select count(*) from runs where state = 'done' and seed in (5, 6)")" = 2 ] ||
    fail "two runs at once: not both are done"
echo "run: $(wc -l < "$tmp/finals.1") metrics, equal on 1, 2 and 4 threads"
