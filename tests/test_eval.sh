#!/usr/bin/env bash
# `sak eval`: the numbers of the run's own last evaluation, bit for bit, for every model; other images, other
# weights, and clear refusals.  $1: the program.
set -euo pipefail
. tests/verb_fixture.sh
resume=$(realpath tests/scripts/resume.lua)
mini=$(realpath tests/scripts/mini.lua)
cd "$tmp"
stored() { # a run's validation metrics, as text that holds every bit
    "$sak" sql --csv "select substr(metric, 5) as name, printf('%!.17g', value) as v from finals
        where run = $1 and metric glob 'val/*' order by name" | tr -d '\r' | tail -n +2 | tr , ' '
}
computed() { tail -n +2 "$1" | awk -F, '{ print $1 "/" $2, $3 }' | LC_ALL=C sort; }
same_metrics() { # run, CSV of sak eval

    stored "$1" | LC_ALL=C sort >was
    computed "$2" >is
    awk 'NR == FNR { was[$1] = $2; next }
        !($1 in was) || was[$1] + 0 != $2 + 0 { print $1, was[$1], $2; bad = 1 } { n++ }
        END { exit bad || n != length(was) }' was is || fail "eval differs from run $1: $(cat was is)"
}

# every model, and a trial of a sweep
at=0
for change in "--set eval.batch=8" "--set model=teacher_heads --set ~stages[1] --set ~teachers[2]" "--set model=distill_heads" \
    "--set +student.lora.rank=4" "--set engine.checkpoint=blocks --set student.router=sak.router.sum{}"; do
    # shellcheck disable=SC2086
    "$sak" run "$script" -q $change >/dev/null 2>err || fail "$change: $(cat err)"
    at=$((at + 1))
    "$sak" eval $at -q --csv >eval.csv
    same_metrics $at eval.csv
done
[ "$(wc -l <eval.csv)" -eq 22 ] || fail "$(cat eval.csv)"
"$sak" sweep "$mini" -q --grid stages[1].optim.lr=0.001 >/dev/null 2>err || fail "$(cat err)"
"$sak" eval 6 -q --csv >eval.csv
same_metrics 6 eval.csv

# other images, another protocol; neither is recorded
before=$("$sak" sql --csv 'select count(*) from metric_point')
"$sak" eval 1 -q --csv >eval.csv
"$sak" eval 1 -q --json --edge-protocol seism >seism.json
has seism.json '"edge_protocol":"seism"'
"$sak" eval 1 -q --csv --split train >train.csv
cmp -s eval.csv train.csv && fail "--split train scores the same images"
"$sak" eval 1 -q --csv --set data.val=3 >three.csv
cmp -s eval.csv three.csv && fail "--set data.val=3 scores all images"
[ "$("$sak" sql --csv 'select count(*) from metric_point')" = "$before" ] || fail "eval changed the database"
refused 2 "--split night: these data have no lists" eval 1 --split night
refused 2 "no such folder" eval 1 --data nowhere
refused 2 "only data.* and eval.* can change" eval 1 --set student.stem.depth=6

# checkpoints: the best one, the last, one by its step; and a run that was stopped
"$sak" run "$resume" -q --set checkpoint.keep_every=20 >/dev/null 2>&1
"$sak" eval 7 -q --csv >last.csv
same_metrics 7 last.csv
"$sak" eval 7 -q --csv --checkpoint best >best.csv
best=$("$sak" sql --csv "select min(value) from metrics where run = 7 and metric = 'val/depth/RMSE'" | tail -1 | tr -d '\r')
awk -F, -v best="$best" '$2 == "RMSE" { exit !(($3 - best) ^ 2 < 1e-20) }' best.csv || fail "best: $best, $(cat best.csv)"
"$sak" eval 7 -q --csv --checkpoint 60 >step.csv
refused 2 "it has checkpoints at step 60" eval 7 --checkpoint 61
refused 2 "--checkpoint must be best, last or a step, got 'first'" eval 7 --checkpoint first
refused 2 "run 1 (tiny) kept no best checkpoint" eval 1 --checkpoint best
"$sak" sql --write "update run set state = 'stopped' where id = 7; delete from artifact where run_id = 7 and kind = 'weights'"
refused 2 "is stopped and left no student; it has checkpoints at step 60, 80: --checkpoint last" eval 7
"$sak" eval 7 -q --csv --checkpoint last >still.csv
cmp last.csv still.csv || fail "the last checkpoint is not the end of the run"

"$sak" run "$script" -q --set ~stages[2] --set student.tasks=[] >/dev/null 2>&1 || fail "stage 1 alone"
refused 2 "has no stage with labels" eval @last
echo "eval: ok"
