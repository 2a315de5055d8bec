#!/usr/bin/env bash
# `sak sweep`: trials are stored whole and frozen, run by processes of their own, continued, stopped,
# retried; kill -9 of anything at any moment loses no finished trial, repeats none and changes no bit.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
cp tests/scripts/mini.lua tests/scripts/mini_sweep.lua "$tmp"
cd "$tmp"
case $sak in /*) ;; *) sak=$OLDPWD/$sak ;; esac
export SAK_DB=$tmp/a/sak.db
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
is() { [ "$(value "$1")" = "$2" ] || fail "$1: '$(value "$1")', expected '$2'"; }
# exit status, words expected, then the arguments
gives() {
    local want=$1 words=$2 status=0
    shift 2
    "$sak" "$@" > out 2> err || status=$?
    [ "$status" = "$want" ] || fail "sak $* exited with $status, wanted $want: $(cat out err)"
    grep -qe "$words" out err || fail "sak $* does not say '$words': $(cat out err)"
}
# Everything a sweep computed, in the order of its trials: what must not depend on how it was run.
results() {
    "$sak" sql --csv "select t.n, t.arm, t.cell, t.seed, t.state, m.metric, m.step, m.value from trial t
        join metrics m on m.run = t.run_id where m.metric not glob '*_s' and m.metric not glob '*gflops'
        order by t.n, m.metric, m.step"
}

# arms x grid x seeds, seeds outermost, every arm with the same seeds and grid points
gives 0 'plain lr=0.001' sweep mini_sweep.lua --jobs 2
is "select count(*) from trial where state = 'done' and attempts = 1" 12
is "select group_concat(n) from trial where seed = 0" 1,2,3,4
is "select count(distinct arm || cell) from trial group by seed" 4
is "select count(distinct seed) from trial group by arm, cell" 3
is "select count(distinct config_sha256) from trial" 12
is "select count(*) from runs r join trial t on t.run_id = r.run where r.arm = t.arm and r.seed = t.seed and r.sweep = 'mini'" 12
is "select count(*) from run r join trial t on t.id = r.trial_id where r.config_sha256 <> t.config_sha256" 0
is "select question || objective || goal || state || total from sweep" "Does a higher rate help?val/depth/RMSEmindone12"
is "select count(*) from paired where metric = 'val/depth/RMSE'" 6
[ -z "$(ls a/spool)" ] || fail "spools are left: $(ls a/spool)"

# what a worker that was killed after its run's last record has left goes when the sweep goes on
done_run=a/runs/$("$sak" sql --csv "select max(uid) from run where state = 'done'" | tr -d '\r' | tail -1)
mkdir -p "$done_run/checkpoints"
touch "$done_run/checkpoints/s1-8.safetensors"
gives 0 plain sweep mini_sweep.lua
[ ! -e "$done_run/checkpoints" ] || fail "left: $(ls "$done_run/checkpoints")"

# run again: nothing to do; more seeds: only those; one at a time gives the same bits
gives 0 plain sweep mini_sweep.lua
gives 0 plain sweep mini_sweep.lua --seeds 4 --jobs 3
is "select count(*) || ',' || sum(attempts) || ',' || max(seed) from trial where state = 'done'" 16,16,3
results > expected
SAK_DB=$tmp/b/sak.db gives 0 plain run mini_sweep.lua
SAK_DB=$tmp/b/sak.db gives 0 plain resume mini --seeds 4
(SAK_DB=$tmp/b/sak.db; results) > other
cmp expected other || fail "trials differ between 1 and 3 at a time"
[ "$(wc -l < expected)" -gt 500 ] || fail "few results"

# a stored sweep takes no seeds but its own
sed -i 's/sak.seeds(3)/{ 0, 1, 7 }/' mini_sweep.lua
gives 2 'asks for seed 7, but the 4 seeds .* are 0, 1, 2, 3' sweep mini_sweep.lua
cp "$OLDPWD/tests/scripts/mini_sweep.lua" .

# what is stored is what runs: the script may change or go, and is told apart when it is run again
sed -i 's/1e-2/2e-2/; s/"decay"/"decayed"/' mini_sweep.lua
gives 2 '^+ decayed/stages\[1\].optim.lr=0.02' sweep mini_sweep.lua
gives 2 'sak resume mini' sweep mini_sweep.lua
sed -i 's/iterations = 8/iterations = 9/' mini.lua
cp "$OLDPWD/tests/scripts/mini_sweep.lua" .
gives 2 'stages\[1\].iterations: 8 -> 9' sweep mini_sweep.lua
mv mini.lua gone.lua
gives 0 plain resume mini --seeds 5
is "select count(*) from trial where state = 'done'" 20
mv gone.lua mini.lua
gives 0 plain sweep mini_sweep.lua --new --seeds 1
is "select name from sweep order by id desc limit 1" mini-2
gives 2 "did you mean 'mini-2'" resume mini-3
gives 0 'mini-2 is newer and of the same script' compare mini
# a copy that still has the name inside is a sweep of its own, and known by its file
sed 's/1e-2/3e-2/' mini_sweep.lua > copied.lua
gives 0 'next: sak compare copied' sweep copied.lua --seeds 1
is "select name || '/' || script_name from sweep order by id desc limit 1" copied/mini
gives 0 'plain.*lr=0.03' resume copied --seeds 2
gives 0 'sweep copied' compare copied
mkdir -p elsewhere
cp mini.lua elsewhere
mv copied.lua elsewhere/third.lua
SAK_DB=$tmp/copies/sak.db gives 0 'next: sak compare mini,' sweep elsewhere/third.lua --seeds 1
SAK_DB=$tmp/copies/sak.db gives 0 'sweep mini' compare third
SAK_DB=$tmp/copies/sak.db gives 0 'sweep mini' compare elsewhere/third.lua
SAK_DB=$tmp/copies/sak.db gives 0 'plain.*lr=0.03' resume third
# a copy beside the script whose name it still has is known by its own
mkdir beside
cp mini.lua beside/base.lua
sed 's/mini.lua/base.lua/' mini_sweep.lua > beside/mini.lua
sed 's/1e-2/3e-2/' beside/mini.lua > beside/my_mini.lua
SAK_DB=$tmp/beside.db gives 0 'next: sak compare my_mini,' sweep beside/my_mini.lua --seeds 1
SAK_DB=$tmp/beside.db gives 0 '^sweep my_mini$' compare my_mini
SAK_DB=$tmp/copies/sak.db gives 2 "neither a sweep nor a run 'fourth'; its latest sweeps: mini" compare fourth
gives 2 'not running' stop mini

# a stopper that goes by the objective does not go on by another one
sed 's/grace = 100/grace = 2/; s/metric = "multitask.loss", goal = "min", //; s#val/depth/RMSE#multitask/loss#; s/{ 1e-2, .* } },/{ 1e-2, 1e-3 } },/' \
    "$OLDPWD/tests/scripts/mini_halving.lua" > halving.lua
SAK_DB=$tmp/halving.db gives 0 'next: sak compare halving' sweep halving.lua --seeds 1
sed -i 's#multitask/loss#multitask/lr#' halving.lua
SAK_DB=$tmp/halving.db gives 2 "stops trials by 'multitask/lr' (min), the sweep 'halving' .* by 'multitask/loss'" sweep halving.lua --seeds 2
SAK_DB=$tmp/halving.db gives 0 'next: sak compare' sweep halving.lua --seeds 1 --new

# a trial that cannot be marked as running ends the sweep with the cause; it goes on once it can
export SAK_DB=$tmp/e/sak.db
gives 0 plain sweep mini_sweep.lua --seeds 1 --set stages[1].iterations=2
"$sak" sql --write "create trigger no_lease before update of state on trial when new.state = 'running'
    begin select raise(abort, 'no lease today'); end"
status=0
timeout 20 "$sak" sweep mini_sweep.lua --seeds 2 --set stages[1].iterations=2 > out 2> err || status=$?
[ $status = 1 ] || [ $status = 2 ] || fail "a sweep without leases exited with $status: $(cat out err)"
grep -q 'error: .*no lease today' err || fail "$(cat out err)"
"$sak" sql --write "drop trigger no_lease"
gives 0 plain resume mini --seeds 2
is "select count(*) || ',' || sum(attempts) from trial where state = 'done'" 8,8

# the script's number of threads holds for what goes on, too
export SAK_DB=$tmp/t/sak.db
sed 's/question =/threads = 1, question =/' mini_sweep.lua > one_thread.lua
gives 0 '1 thread each' sweep one_thread.lua --seeds 1 --set stages[1].iterations=2
gives 0 '1 thread each' resume one_thread --seeds 2
gives 0 '3 threads each' resume one_thread --seeds 3 --threads 3

export SAK_DB=$tmp/a/sak.db
gives 2 "no such path; did you mean" sweep mini_sweep.lua --grid stages[1].optim.lrr=1,2
gives 2 'of 3 is not\|must be' sweep mini_sweep.lua --set 'stages[1].batch=0' --new

# --grid of a plain experiment, --set, and a warning where --set fixes what is swept; JSON
export SAK_DB=$tmp/c/sak.db
gives 0 "pins 'stages\[1\].optim.lr', which the grid sweeps" sweep mini.lua --grid 'stages[1].optim.lr=1e-3,1e-2' \
    --set stages[1].optim.lr=0.1 --json
is "select count(distinct group_sha256) from run" 1
gives 0 '"state":"done"' sweep mini.lua --grid student.stem.width=8,16 --seeds 2 --set stages[1].iterations=2 --json --new
is "select group_concat(cell || '/' || seed, ' ') from trial where sweep_id = 2" \
    "student.stem.width=8/0 student.stem.width=16/0 student.stem.width=8/1 student.stem.width=16/1"

# a trial that fails: the others go on, or not; tried again when asked
cat > fails.lua <<'LUA'
local sak = require "sak"
return sak.ablation "fails" {
  base = "mini.lua", seeds = { 0, 1 }, objective = { metric = "val/depth/RMSE", goal = "min" },
  arms = { { name = "good" }, { name = "bad", set = { ["stages[1].optim.lr"] = 1e30 } } },
}
LUA
gives 1 'bad, seed 0: multitask: loss .* at iteration' sweep fails.lua
is "select group_concat(state) from (select t.state from trial t join sweep s on s.id = sweep_id where s.name = 'fails' order by n)" done,failed,done,failed
gives 1 'sak retry fails' retry fails
is "select group_concat(attempts) from (select attempts from trial t join sweep s on s.id = sweep_id where s.name = 'fails' order by n)" 1,2,1,2
gives 1 failed sweep fails.lua --fail-fast --new
is "select group_concat(state) from (select t.state from trial t join sweep s on s.id = sweep_id where s.name = 'fails-2' order by n)" done,failed,queued,queued
gives 1 bad sweep fails.lua # the latest of that script goes on
is "select group_concat(state) from (select t.state from trial t join sweep s on s.id = sweep_id where s.name = 'fails-2' order by n)" done,failed,done,failed

# stopped from elsewhere, interrupted, refused while it runs
export SAK_DB=$tmp/d/sak.db
long() { "$sak" sweep mini_sweep.lua --quiet --set stages[1].iterations=100000000 --jobs 2 > out 2> err & pid=$!; }
running() { until [ "$(value "select count(*) from run where state = 'running'" 2> /dev/null)" = 2 ]; do sleep 0.05; done; }
long
running
gives 2 'is running this sweep already' sweep mini_sweep.lua --set stages[1].iterations=100000000
gives 0 'sak resume mini' stop mini --now
status=0; wait $pid || status=$?
[ "$status" = 130 ] || fail "stopped sweep exited with $status: $(cat err)"
grep -q 'go on with: sak resume mini' err || fail "$(cat err)"
is "select state || (select group_concat(distinct state) from trial) from sweep" stoppedqueued
long
running
kill -INT $pid
status=0; wait $pid || status=$?
[ "$status" = 130 ] || fail "interrupted sweep exited with $status"
is "select count(*) from run where state <> 'stopped'" 0

# paused between the points of a sampler, when no trial waits: there is more to come
export SAK_DB=$tmp/f/sak.db
cat > search.lua <<'LUA'
local sak = require "sak"
return sak.ablation "search" {
  base = "long.lua", objective = { metric = "val/depth/RMSE", goal = "min" },
  space = { ["stages[1].optim.lr"] = sak.log_uniform { 1e-4, 1e-2 } },
  sampler = sak.tpe { trials = 5, startup = 2, batch = 1 },
}
LUA
sed 's/iterations = [0-9]*/iterations = 3000/' mini.lua > long.lua
"$sak" sweep search.lua > search.out 2> search.err & pid=$!
until [ "$(value "select count(*) from trial where n = 3 and state = 'running'" 2> /dev/null)" = 1 ]; do sleep 0.02; done
gives 0 'once its current trials are done' stop search
status=0; wait $pid || status=$?
[ "$status" = 130 ] || fail "a paused search exited with $status: $(cat search.out search.err)"
is "select state || (select count(*) from trial where state = 'done') from sweep" paused3
gives 0 'next: sak compare' resume search
is "select state || (select count(*) from trial where state = 'done') from sweep" done5
# a sweep that was killed before its trials were stored has all the seeds of its script
export SAK_DB=$tmp/z/sak.db
gives 0 plain sweep mini_sweep.lua --seeds 2 --set stages[1].iterations=1
"$sak" sql --write "update trial set run_id = null; delete from run; delete from trial"
gives 0 plain resume mini
is "select count(*) || ',' || count(distinct seed) from trial where state = 'done'" 8,2

echo "sweep: $(wc -l < expected) values equal for 1 and 3 trials at a time"
