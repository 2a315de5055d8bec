#!/usr/bin/env bash
# `sak export` of metrics: which runs a name stands for, CSV and JSON lines exactly, TensorBoard's files
# through a decoder of its own, MLflow's tables through the queries that its UI makes.
#   tests/test_export_tables.sh BUILD/sak
set -u
sak=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failed=0
fail() { echo "FAIL: $*"; failed=1; }
refuse() { # exit status, words expected in the message, then the arguments
    local status=0
    "$sak" export "${@:3}" >out 2>err || status=$?
    [ "$status" = "$1" ] || fail "sak export ${*:3} exited with $status, wanted $1: $(cat err)"
    grep -qF -- "$2" err || fail "sak export ${*:3} said: $(cat err); wanted: $2"
}
same() { cmp -s "$1" "$2" || fail "$3: $(diff "$1" "$2" | head -8)"; }

mkdir db
export SAK_DB=$work/db/sak.db
"$sak" sql --write - <"$here/fixtures/sweep.sql" || fail "fixture"
# a failed trial and a run on its own, with what is hard to write: NaN, quotes, a cell
"$sak" sql --write "insert into experiment(id, name, created_us) values (2, 'probe', 5000);
insert into run(id, uid, experiment_id, name, kind, sweep_id, arm, cell, seed, state, attempts, started_us) values
 (5, 'u5', 1, 'three_teachers', 'sak', 1, 'sum', 'rank=8', 2, 'failed', 1, 1),
 (6, 'u6', 2, 'say \"a,b\"', 'probe', null, null, null, 7, 'done', 1, 1700000000000000),
 (7, 'u7', 2, 'other', 'probe', null, null, null, 7, 'lost', 1, 1700000000000000);
update run set finished_us = 1700000009000000, git_commit = 'abc', script_path = 'x.lua' where id = 6;
insert into metric_point values (5, 2, 0, 1, 2500000, 9.0), (6, 2, 0, 1, 1500000, 0.1), (6, 2, 5, 1, 2500000, null),
 (6, 1, 5, 1, 3000000, 1e-300), (6, 2, 1000000, 1, 4000000, -2);
insert into param values (6, 'seed', 'integer', 7, null, 'script'), (6, 'lr', 'number', 0.001, null, 'set'),
 (6, 'flip', 'boolean', 1, null, 'default'), (6, 'init', 'null', null, null, 'default'), (6, 'kind', 'string', null, 'a|b', 'set');
insert into tag values (6, 'note', 'look here'), (6, 'paper', null);" || fail "more rows"

# --- whatever a verb writes, it is not in the place of the results
cp db/sak.db kept.db
refuse 2 "db/sak.db is a database, which writing would replace" 6 db/sak.db --format csv
"$sak" report router -o db/sak.db 2>err && fail "a report replaced the database"
grep -qF "db/sak.db is a database" err || fail "report said: $(cat err)"
"$sak" data show -n 1 "$here/scripts/mini.lua" -o db/sak.db >out 2>err && fail "a picture replaced the database"
grep -qF "db/sak.db is a database" err || fail "data show said: $(cat err)"
same kept.db db/sak.db "the database changed"

# --- CSV and JSON lines
"$sak" export 6 p.csv >out || fail "csv"
[ "$(cat out)" = "p.csv: 1 run, 4 points" ] || fail "export said: $(cat out)"
printf '%s\r\n' run,uid,experiment,sweep,arm,cell,seed,state,metric,step,seconds,value \
    '6,u6,probe,,,,7,done,multitask/loss,0,1.5,0.1' '6,u6,probe,,,,7,done,multitask/loss,5,2.5,' \
    '6,u6,probe,,,,7,done,multitask/loss,1000000,4,-2' '6,u6,probe,,,,7,done,val/semseg/mIoU,5,3,1e-300' >want
same p.csv want "points as CSV"
"$sak" export 5 6 p.jsonl --metric 'multi*' --quiet || fail "jsonl"
cat >want <<'EOF'
{"run": 5, "uid": "u5", "experiment": "three_teachers", "sweep": "router", "arm": "sum", "cell": "rank=8", "seed": 2, "state": "failed", "metric": "multitask/loss", "step": 0, "seconds": 2.5, "value": 9}
{"run": 6, "uid": "u6", "experiment": "probe", "sweep": null, "arm": null, "cell": null, "seed": 7, "state": "done", "metric": "multitask/loss", "step": 0, "seconds": 1.5, "value": 0.1}
{"run": 6, "uid": "u6", "experiment": "probe", "sweep": null, "arm": null, "cell": null, "seed": 7, "state": "done", "metric": "multitask/loss", "step": 5, "seconds": 2.5, "value": null}
{"run": 6, "uid": "u6", "experiment": "probe", "sweep": null, "arm": null, "cell": null, "seed": 7, "state": "done", "metric": "multitask/loss", "step": 1000000, "seconds": 4, "value": -2}
EOF
same p.jsonl want "points as JSON lines"

# a sweep: all its runs once, points that a resumed attempt replaced are gone, the same as the view's
"$sak" export router 5 1 sweep.csv --json >out || fail "sweep"
[ "$(grep -cE '"points": 401|"runs": 5' out)" = 2 ] || fail "--json said: $(cat out)"
"$sak" sql --csv "select run, step, value from metrics where run <= 5 order by run, metric, step" >want
awk -F, 'BEGIN { OFS = "," } { sub(/\r/, "", $12); printf "%s,%s,%s\r\n", $1, $10, $12 }' sweep.csv >got
same got want "a sweep's points"
grep -qE ',(1000000000|1e.?09)' sweep.csv && fail "a replaced point was exported"
for pick in "router:401" "*:405" "prob?:4" "u6:4" "@last-0:0" "three_teachers:1" "7:0"; do
    "$sak" export "${pick%:*}" - --format csv >got || fail "export ${pick%:*}"
    [ $(($(wc -l <got) - 1)) = "${pick#*:}" ] || fail "'${pick%:*}' gave $(($(wc -l <got) - 1)) points, wanted ${pick#*:}"
done

# --- refusals leave nothing
refuse 2 "no run '99'" 99 x.csv
refuse 2 "matches 'zz*'" 'zz*' x.csv
refuse 2 "never recorded a metric that matches 'nope'" 6 x.csv --metric nope
refuse 2 "none of 2 runs recorded" 5 6 x --metric nope --format tensorboard
refuse 2 "none of 2 runs recorded" 5 6 x.db --metric nope --format mlflow
refuse 2 "its ending names no format" 6 x.parquet
refuse 2 "unknown --format 'wandb'" 6 x --format wandb
refuse 2 "do not apply to metrics" 6 x.csv --stage 1
refuse 2 "does not apply to weights" 6 x.safetensors --metric 'a*'
refuse 2 "weights are taken from one run" 5 6 x.safetensors
refuse 2 "cannot go to standard output" 6 - --format mlflow
refuse 2 "nowhere/x.csv" 6 nowhere/x.csv
[ "$(echo x*)" = 'x*' ] || fail "left behind: $(echo x*)"

# --- TensorBoard
"$sak" export router 6 logs --format tensorboard --quiet || fail "tensorboard"
refuse 2 "logs exists already" router logs --format tensorboard
ls logs >got
printf '%s\n' mor-seed-0-1 mor-seed-1-2 say--a,b--seed-7-6 sum-rank=8-seed-2-5 sum-seed-0-3 sum-seed-1-4 >want
same <(sort got) <(sort want) "folders of runs"
[ "$(echo logs*)" = logs ] || fail "left behind: $(echo logs*)"
if command -v python3 >/dev/null; then
    python3 "$here/decode_events.py" logs/say*/events.out.tfevents.1700000000.u6 >got || fail "event file"
    cat >want <<'EOF'
version 1700000000.0 brain.Event:2
text config 0 '| setting | value |\n|---|---|\n| flip | true |\n| init | null |\n| kind | a\\|b |\n| lr | 0.001 |\n| seed | 7 |\n'
scalar multitask/loss 0 1700000001.500000 0.10000000149011612
scalar multitask/loss 5 1700000002.500000 nan
scalar multitask/loss 1000000 1700000004.000000 -2.0
scalar val/semseg/mIoU 5 1700000003.000000 0.0
EOF
    same got want "events"
    python3 "$here/decode_events.py" logs/mor-seed-1-2/* | awk '$1 == "scalar" { print $3, $5 }' >got
    "$sak" sql --csv "select step, value from metrics where run = 2 order by step" | tr -d '\r' | tail -n +2 >want
    # what is stored is float: compare as numbers
    paste -d' ' got <(tr , ' ' <want) | awk '{ d = $2 - $4; if ($1 != $3 || d * d > 1e-12 * $4 * $4) bad = 1 } END { exit bad || NR != 100 }' ||
        fail "scalars of a resumed run"
    # a damaged byte is seen, so the decoder's checksums do check
    file=$(echo logs/sum-seed-0-3/*)
    printf 'X' | dd of="$file" bs=1 seek=60 conv=notrunc 2>dd.err
    python3 "$here/decode_events.py" "$file" >got 2>&1 && fail "a damaged event file passed"
else
    echo "no python3: event files are not decoded here (test_tfevents looks at their bytes)"
fi

# --- MLflow
"$sak" export '*' mlflow.db --format mlflow >out || fail "mlflow"
[ "$(cat out)" = "mlflow.db: 7 runs, 405 points" ] || fail "export said: $(cat out)"
refuse 2 "mlflow.db exists already" '*' mlflow.db --format mlflow
if command -v sqlite3 >/dev/null; then
    ask() { sqlite3 -separator '|' mlflow.db "PRAGMA foreign_keys = ON; $1"; }
    is() { [ "$(ask "$1")" = "$2" ] || fail "MLflow: $1 gave: $(ask "$1"); wanted: $2"; }
    is "PRAGMA integrity_check" ok
    is "PRAGMA foreign_key_check" ""
    is "SELECT version_num FROM alembic_version" acf3f17fdcc7
    # the tables whose absence makes MLflow begin anew
    is "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name)" \
        "alembic_version datasets experiment_tags experiments input_tags inputs latest_metrics metrics model_version_tags model_versions params registered_model_aliases registered_model_tags registered_models runs tags"
    is "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL" 8
    # list of experiments; runs of one, latest first; their metrics, parameters and tags
    is "SELECT experiment_id, name, artifact_location FROM experiments WHERE lifecycle_stage IN ('active')
        ORDER BY creation_time DESC, experiment_id" \
        "2|probe|$work/db/runs
0|Default|$work/db/runs
1|three_teachers|$work/db/runs"
    is "SELECT run_uuid, name, status, start_time, end_time, source_version, artifact_uri FROM runs WHERE experiment_id IN (2)
        AND lifecycle_stage IN ('active') ORDER BY start_time DESC, run_uuid LIMIT 101 OFFSET 0" \
        "u6|say \"a,b\" seed 7|FINISHED|1700000000000|1700000009000|abc|$work/db/runs/u6
u7|other seed 7|KILLED|1700000000000|||$work/db/runs/u7"
    is "SELECT status FROM runs WHERE run_uuid = 'u5'" FAILED
    is "SELECT r.run_uuid, m.value FROM runs r JOIN (SELECT * FROM latest_metrics WHERE key = 'multitask/loss' AND value < 3) m
        ON m.run_uuid = r.run_uuid WHERE r.experiment_id = 1 ORDER BY m.is_nan, m.value, r.start_time DESC, r.run_uuid" \
        "u1|1.5
u3|1.5
u2|2.5
u4|2.5"
    is "SELECT key, value, timestamp, step, is_nan FROM latest_metrics WHERE run_uuid = 'u6' ORDER BY key" \
        "multitask/loss|-2.0|1700000004000|1000000|0
val/semseg/mIoU|1.0e-300|1700000003000|5|0"
    is "SELECT value, timestamp, step, is_nan FROM metrics WHERE run_uuid = 'u6' AND key = 'multitask/loss' ORDER BY timestamp, step" \
        "0.1|1700000001500|0|0
0.0|1700000002500|5|1
-2.0|1700000004000|1000000|0"
    is "SELECT count(*) FROM metrics WHERE run_uuid = 'u2'" 100
    is "SELECT key, value FROM params WHERE run_uuid = 'u6' ORDER BY key" \
        "flip|true
init|null
kind|a|b
lr|0.001
seed|7"
    is "SELECT key, value FROM tags WHERE run_uuid = 'u6' AND key NOT LIKE 'sak.%' ORDER BY key" \
        "mlflow.note.content|look here
mlflow.runName|say \"a,b\" seed 7
mlflow.source.git.commit|abc
mlflow.source.name|x.lua
mlflow.source.type|LOCAL
paper|"
    is "SELECT value FROM tags WHERE run_uuid = 'u5' AND key IN ('sak.arm', 'sak.cell', 'sak.seed', 'sak.state', 'sak.sweep') ORDER BY key" \
        "sum
rank=8
2
failed
router"
    # nothing that MLflow puts into a message may be NULL
    is "SELECT count(*) FROM runs WHERE name IS NULL OR user_id IS NULL OR source_name IS NULL OR start_time IS NULL" 0
    # MLflow can go on writing: a run of its own in the experiment it takes by default
    is "INSERT INTO runs(run_uuid, status, lifecycle_stage, source_type, experiment_id) VALUES ('n1', 'RUNNING', 'active', 'UNKNOWN', 0);
        INSERT INTO metrics VALUES ('loss', 1, 2, 'n1', 0, 0)" ""
    ask "INSERT INTO metrics VALUES ('loss', 1, 2, 'nobody', 0, 0)" >out 2>&1 && fail "foreign keys are not enforced"
else
    echo "no sqlite3 shell: MLflow's tables are not looked at"
fi
[ "$failed" = 0 ] && echo "export_tables: ok"
exit "$failed"
