#!/usr/bin/env bash
# Stage 1 shared between trials: what is taken from another run is, bit for bit, what training would have
# given, in weights, in every metric and in what a stopper decides; whatever changes stage 1 changes its key.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset SAK_DB
fail() { echo "FAIL: $*"; exit 1; }
query() { "$sak" sql --csv --db "$tmp/$1/sak.db" "$2" | tr -d '\r' | tail -n +2; }

small=(--quiet --set 'student.tasks=["depth"]' --set eval.images=0 --set data.val=2 --set stages[2].iterations=2)
sweep() { # folder, further arguments
    local where=$1
    shift
    mkdir -p "$tmp/$where"
    "$sak" sweep tests/scripts/share.lua "${small[@]}" --db "$tmp/$where/sak.db" "$@" > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
}
points() { # every metric of every trial but what the clock says, and which weights came of it
    query "$1" "select t.n, t.state, metric, step, printf('%.17g', value) from metrics m join trial t on t.run_id = m.run
 where metric not glob '*_s' and metric not glob '*gflops' order by t.n, metric, step"
    query "$1" "select t.n, kind, sha256 from artifact a join trial t using (run_id) where kind = 'weights' and path glob '*student*' order by 1"
}

# arms that differ in router and alpha share, the one with another adapter does not
sweep plain --set share_stages=false
[ ! -e "$tmp/plain/cache/stages" ] || fail "share_stages=false keeps stages"
sweep shared
points plain > "$tmp/want"
[ "$(wc -l < "$tmp/want")" -gt 400 ] || fail "few metrics"
points shared | cmp -s - "$tmp/want" || fail "shared and trained differ: $(points shared | diff - "$tmp/want" | head -5)"
taken="select group_concat(t.n) from (select distinct run_id from tag where name = 'shared:distill') join trial t using (run_id)"
[ "$(query shared "$taken" | tr -d '"')" = 2,3,6,7 ] || fail "shared by trials $(query shared "$taken")"
query shared "select text from event where kind = 'shared_stage'" | grep -q 'not trained but taken from run' || fail "no word of where it came from"
[ "$(query shared "select count(*) from tag join run on run.uid = tag.value where tag.name = 'shared:distill' and run.seed = (select seed from run r where r.id = tag.run_id)")" = 4 ] ||
    fail "the tag does not name the run"
cached() { sha256sum "$tmp/$1"/runs/*/stage1.safetensors | cut -d' ' -f1 | sort | uniq -c | awk '{ print $1 }' | sort -n | xargs; }
[ "$(cached shared)" = "1 1 3 3" ] && [ "$(cached plain)" = "1 1 3 3" ] || fail "stage-1 weights: $(cached shared), $(cached plain)"
"$sak" cache ls --db "$tmp/shared/sak.db" | grep -c '^[0-9a-f]* *distill' | grep -qx 4 || fail "ls: $("$sak" cache ls --db "$tmp/shared/sak.db")"

# with the feature cache and two at once as well
sweep both_plain --set cache=true --set share_stages=false --seeds 1
sweep both --set cache=true --jobs 2 --seeds 1
points both_plain > "$tmp/want_cached"
points both | cmp -s - "$tmp/want_cached" || fail "with features cached: shared and trained differ"

# two that begin together train it once, and neither differs from one that trained alone
sweep together --jobs 2 --seeds 1
points together | cmp -s - <(grep '^[1-4],' "$tmp/want") || fail "begun together they differ"
[ "$(query together "select count(*) from tag where name = 'shared:distill'")" = 2 ] || fail "begun together they both train"
[ -z "$(find "$tmp/together/cache/stages" -name '*.lock')" ] || fail "a lock is left"

# who waits goes on when the other is killed, and ends when it is told to
long() { "$sak" run tests/scripts/tiny.lua --set share_stages=true --set stages[1].iterations=1000000 --db "$tmp/long/sak.db" > /dev/null 2> "$tmp/$1" & }
wait_for() { # words, file
    for ((i = 0; i < 800; i++)); do ! grep -q "$1" "$2" || return 0; sleep 0.05; done
    fail "no '$1' in $(cat "$2")"
}
mkdir "$tmp/long"
long first; first=$!
wait_for '/1000000' "$tmp/first"
long second; second=$!
long third; third=$!
wait_for 'waiting for it' "$tmp/second"
wait_for 'waiting for it' "$tmp/third"
kill -INT $third
status=0; wait $third || status=$?
[ $status = 130 ] || fail "interrupted while it waits: $status"
kill -9 $first
wait_for '/1000000' "$tmp/second"
kill -INT $second
status=0; wait $second || status=$?
[ $status = 130 ] || fail "interrupted after it waited: $status"

# damaged weights, or a damaged note about them: trained again, and right
damage() { printf 1 | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none; }
mkdir "$tmp/damaged"
cp -r "$tmp/shared/cache" "$tmp/damaged"
n=0
for f in "$tmp"/damaged/cache/stages/*.json; do
    n=$((n + 1))
    [ $((n % 2)) = 0 ] && damage "$f" || damage "${f%.json}.safetensors"
done
sweep damaged
points damaged | cmp -s - "$tmp/want" || fail "a damaged stage was taken"
[ "$(query damaged "$taken" | tr -d '"')" = 2,3,6,7 ] || fail "damage was not replaced: $(query damaged "$taken")"

# what a stopper decides by stage 1
sed "s/seeds = /stopper = sak.median { metric = 'distill\/loss', goal = 'min', grace = 2, startup = 1 },\n  seeds = /
     s/tiny.lua/\/proc\/self\/cwd\/tests\/scripts\/tiny.lua/" tests/scripts/share.lua > "$tmp/stopped.lua"
for where in stopped_plain stopped; do
    mkdir "$tmp/$where"
    "$sak" sweep "$tmp/stopped.lua" "${small[@]}" --seeds 1 --set share_stages="$([ $where = stopped ] && echo true || echo false)" \
        --db "$tmp/$where/sak.db" > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
    query "$where" "select n, state, (select group_concat(metric || value) from finals f where f.run = run_id and metric glob 'sweep/*') from trial order by n" > "$tmp/$where.trials"
done
grep -q pruned "$tmp/stopped.trials" || fail "nothing was pruned: $(cat "$tmp/stopped.trials")"
cmp "$tmp/stopped.trials" "$tmp/stopped_plain.trials" || fail "a stopper decides otherwise"

# a single run shares when asked; the key changes with all that stage 1 depends on, and with nothing else
mkdir "$tmp/keys"
one() { "$sak" run tests/scripts/tiny.lua "${small[@]}" --set share_stages=true --set data.train=8 --set stages[1].iterations=1 \
    --set stages[2].iterations=1 --db "$tmp/keys/sak.db" "$@" > "$tmp/out" 2>&1 || fail "$*: $(cat "$tmp/out")"; }
shares() { query keys "select count(*) from tag where name = 'shared:distill' and run_id = (select max(id) from run)"; }
one
[ "$(shares)" = 0 ] || fail "shared with nothing"
one --set student.router.noisy=false --set stages[2].optim.lr=0.01 --set eval.batch=4 --set 'student.tasks=["normals"]' --threads 1
[ "$(shares)" = 1 ] || fail "not shared though stage 1 is the same"
for change in seed=1 stages[1].optim.lr=0.002 'stages[1].loss=l2' 'teachers[name=a].weight=0.5' 'teachers[name=b].name=c' \
    student.stem.mlp_ratio=2 stages[1].augment.flip=0 data.seed=3 engine.rewrite=false; do
    one --set "$change"
    [ "$(shares)" = 0 ] || fail "$change: shared though stage 1 is another"
done
"$sak" cache gc --max 0 --db "$tmp/keys/sak.db" | grep -q ' 0 B left' && [ -z "$(find "$tmp/keys/cache/stages" -type f)" ] || fail "gc"
