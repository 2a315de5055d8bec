#!/usr/bin/env bash
# The command line as a person and as a script meet it: help, suggestions, exit codes, clean pipes.
# Usage: tests/test_cli.sh path/to/sak
set -u
sak=$(realpath "${1:?usage: tests/test_cli.sh path/to/sak}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(cd "$(dirname "$0")" && pwd)
cd "$work" || exit 1
unset SAK_DB SAK_ISA
failed=0
fail() { echo "FAIL: $*"; failed=1; }

# runs STATUS ARGS…: exit status must match; leaves $work/out and $work/err.
runs() {
    local want=$1 got
    shift
    "$sak" "$@" >out 2>err </dev/null
    got=$?
    [ "$got" -eq "$want" ] || fail "sak $*: exit status $got, expected $want: $(head -c 300 err)"
}
says() { grep -qF -- "$2" "$1" || fail "$3: no '$2' in: $(head -c 400 "$1")"; }
empty() { [ ! -s "$1" ] || fail "$2: $1 should be empty, holds: $(head -c 300 "$1")"; }
json() {
    [ -z "$python" ] || $python -m json.tool <out >/dev/null 2>&1 || fail "$1: not JSON: $(head -c 300 out)"
}
python=$(command -v python3 || true)

# --- help: from one table, so every verb has a line, a usage and at least one option
runs 0
says out "sak run FILE" "sak alone"
[ "$(grep -c '^  sak ' out)" -eq 5 ] || fail "sak alone shows $(grep -c '^  sak ' out) verbs, not five"
runs 0 help
sed -n '/^verbs:/,/^$/p' out | tail -n +2 | grep -v '^$' > lines
wrong=$(grep -vE '^  sak .{18} [^ ]|^ {25}[^ ]|^  sak .{19,}$' lines || true)
[ -z "$wrong" ] || fail "sak help: a summary out of its column: $wrong"
wrong=$(awk 'length($0) > 80' lines)
[ -z "$wrong" ] || fail "sak help: longer than a terminal: $wrong"
verbs=$(sed -n 's/^  sak \([a-z]*\).*/\1/p' out)
for v in run check ls show sql ops doctor; do
    grep -qx "$v" <<<"$verbs" || fail "sak help does not list $v"
done
for v in $verbs; do
    runs 0 "$v" --help
    says out "usage: sak $v" "sak $v --help"
    says out "--help" "sak $v --help"
    cp out first
    runs 0 help "$v"
    cmp -s out first || fail "sak help $v differs from sak $v --help"
done
runs 0 --help; says out "usage: sak VERB" "sak --help"
runs 0 --version; says out "sak 0." "sak --version"
runs 0 run --version; says out "sak 0." "a verb's --version"

# --- wrong usage: exit 2, on stderr, with a remedy
while IFS='|' read -r args what remedy; do
    # shellcheck disable=SC2086
    runs 2 $args
    empty out "sak $args"
    says err "error: " "sak $args"
    says err "$what" "sak $args"
    says err "$remedy" "sak $args"
done <<'CASES'
rnu|unknown verb 'rnu'|did you mean 'sak run'?
docter|unknown verb 'docter'|did you mean 'sak doctor'?
zzzzzz|unknown verb 'zzzzzz'|sak help
experiment.lua|unknown verb|sak run experiment.lua
help shwo|unknown verb 'shwo'|did you mean 'sak show'?
ls --jsn|unknown option '--jsn'|did you mean '--json'?
ls -z|unknown option '-z'|sak help
ls --set a=1|takes no --set|sak help ls
ls --json=1|takes no value|--json
show 1 --sweeps|takes no --sweeps|sak help show
ls --json --csv|exclude each other|--json
run|needs FILE|usage: sak run FILE
run a.lua b.lua|takes at most 1 argument|quotes
run a.lua --set|needs a value|--set PATH=VALUE
run a.lua --set nothing|names no value|--set path=value
run a.lua --set =3|names no path|--set path=value
run a.lua --threads none|must be an integer|none
run a.lua --threads 0|from 1 to 1024|'0'
run a.lua -j 2.5|must be an integer|2.5
sql --timeout -1|must be a number|-1
sql --db=|empty|--db
ops sotfmax|no op is named|did you mean 'softmax'?
completion tcsh|no completion for 'tcsh'|bash
CASES

# --- no database: says which, and how to get one
for v in "ls" "show @last" "sql select+1"; do
    # shellcheck disable=SC2086
    runs 2 ${v//+/ } --db missing/none.db 2>/dev/null || true
done
runs 2 ls --db missing/none.db
empty out "ls without a database"
says err "missing/none.db" "ls without a database"
says err "sak run" "ls without a database"
[ ! -e missing ] || fail "ls created the folder of a database that is not there"
SAK_DB=elsewhere.db runs 2 ls; says err "elsewhere.db" "SAK_DB"
SAK_DB=elsewhere.db runs 2 ls --db given.db; says err "given.db" "--db before SAK_DB"

# --- a fresh database
runs 0 sql --write --db fresh.db "insert into metric_key(name) values ('val/x,\"y\"')"
empty out "sql --write"
export SAK_DB=$work/fresh.db
runs 0 sql "select name from metric_key"; says out 'val/x,"y"' "what --write wrote"
runs 0 sql --csv "select name, 1 as one from metric_key"
says out '"val/x,""y""",1' "CSV quotes"
runs 0 sql --json "select name, null as n from metric_key"; json "sql --json"
echo "select 6 * 7 as answer" >query.sql
"$sak" sql <query.sql >out 2>err || fail "sql from standard input"
says out 42 "sql from standard input"
"$sak" sql - --csv <query.sql >out 2>err && says out 42 "sql -"
runs 2 sql "selct 1"; says err "selct" "a query that does not parse"
for q in "delete from metric_key" "insert into metric_key(name) values ('z')" "drop table run" \
         "update metric_key set name = 'z'" "attach 'other.db' as o" "pragma user_version = 9"; do
    "$sak" sql "$q" >out 2>err && fail "read-only sql ran: $q"
done
runs 0 sql --csv "select count(*) from metric_key"; says out 1 "after refused writes"
[ ! -e other.db ] || fail "a read-only query created a file"
runs 0 sql --csv --limit 2 "select 1 union all select 2 union all select 3"
[ "$(grep -c . out)" -eq 3 ] || fail "--limit 2 printed $(($(grep -c . out) - 1)) rows"
says err "first 2 rows" "--limit"
began=$SECONDS
runs 1 sql --timeout 0.2 \
    "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
[ $((SECONDS - began)) -lt 20 ] || fail "--timeout 0.2 took $((SECONDS - began)) s"
runs 0 ls --json; json "ls --json"
runs 0 ls --csv; says out "run,name," "ls --csv"
runs 2 show @last; empty out "show without runs"
echo "this is no database" >text.db
runs 1 ls --db text.db; says err "text.db" "a file that is no database"

# --- runs: what ls and show make of them
"$sak" sql --write --db runs.db - <"$here/fixtures/runs.sql" >out 2>err || fail "fixture: $(cat err)"
export SAK_DB=$work/runs.db TZ=UTC
line() { grep -qE -- "$2" "$1" || fail "$3: no line like '$2' in: $(cat "$1")"; }
runs 2 compare; says err "no sweep" "compare without a sweep"
runs 2 compare 1; says err "at least one more" "compare of one run"
runs 0 compare 1 3; line out '^ *3 +1 +40.000 +-3.2500 +1.000 +1.000 +too few seeds *$' "compare"
says out "n is too small to conclude" "compare of single runs"
runs 0 compare 1 3 --json; json "compare --json"
runs 0 compare 1 3 --csv --metric '*RMSE'
line out '^val/depth/RMSE,min,m,,3,0,1,0\.6.*,too few seeds' "compare --csv"
cp runs.db uneven.db # two arms with twelve seeds leave Holm's last step to one with six
"$sak" sql --write --db uneven.db "insert into sweep(id, name, created_us) values (77, 'uneven', 1);
    insert into metric_key(id, name, goal, task) values (777, 'val/uneven', 'max', 'uneven');
    with recursive seed(s) as (select 0 union all select s + 1 from seed where s < 11)
    insert into run(id, uid, experiment_id, name, kind, sweep_id, arm, arm_index, seed, state, attempts, started_us, group_sha256)
    select 7000 + 100 * a + s, 'uneven' || a || '.' || s, (select min(id) from experiment), 'uneven', 'sak', 77, 'arm' || a, a, s,
        'done', 1, 1, 'uneven' || a from seed join (select 0 as a union select 1 union select 2 union select 3) where a < 3 or s < 6;
    insert into metric_last select id, 777, 1, 1, 1, arm_index * 10 + seed * (arm_index + 1), 0, 0, 0, 0, 0, 1, 0 from run
        where sweep_id = 77" >out 2>err || fail "uneven: $(cat err)"
runs 0 compare uneven --metric val/uneven --db uneven.db
line out '^ *arm3 .* 0\.031 +0\.031 +better *$' "compare of arms with different numbers of seeds"
! grep -q 'too small to conclude' out || fail "every test shows a difference, but: $(cat out)"
runs 0 ls
line out '^ *3 +baseline +0 +done +2023-11-14 22:46 +3 +200 +semseg=40  depth=0.6 *$' "ls"
line out '^ *2 +probe +1 +failed .* multitask/loss=3.5 *$' "ls of a run without task metrics"
line out 'semseg=43.25  depth=0.51  delta_m=\+11.56% *$' "ls with a baseline"
[ "$(sed -n '2p' out | awk '{print $1}')" = 3 ] || fail "ls does not begin with the newest run"
runs 0 ls failed --csv; [ "$(grep -c . out)" -eq 2 ] || fail "ls failed: $(cat out)"
runs 0 ls 'three*' --json; json "ls GLOB --json"
[ "$(grep -c '"uid"' out)" -eq 2 ] || fail "ls 'three*' lists $(grep -c '"uid"' out) runs, not 2"
says out '"val/semseg/mIoU"' "ls --json has one key per task metric"
runs 0 ls --limit 1; [ "$(wc -l <out)" -eq 2 ] || fail "ls --limit 1: $(cat out)"
runs 0 ls --sweeps; says err "has no sweeps" "ls --sweeps without any"
cp runs.db swept.db # a copied script is a sweep of its own; one run of it has a place in a grid
"$sak" sql --write --db swept.db "insert into sweep(id, name, script_name, script_path, state, objective, goal, question, total, created_us) values
        (1, 'router', 'router', 'ablations/router.lua', 'done', 'val/x', 'max', 'Which?', 2, 1700000000000000),
        (2, 'my_router', 'router', 'ablations/my_router.lua', 'running', null, null, null, 5, 1700000060000000);
    insert into trial(sweep_id, n, state, created_us) values (1, 1, 'done', 1), (1, 2, 'done', 1), (2, 1, 'done', 1), (2, 2, 'failed', 1), (2, 3, 'queued', 1);
    update run set sweep_id = id, arm = 'mor' where id < 3;
    update run set cell = 'rank=8' where id = 2" >out 2>err || fail "swept: $(cat err)"
runs 0 ls --db swept.db
line out '^ *1 +router: mor +' "ls of a sweep's run"
line out '^ *2 +my_router: mor · rank=8 +' "ls of a run in a grid"
line out '^ *3 +baseline +0 +' "ls of a run on its own"
for which in my_router my_route? ablations/my_router.lua; do
    runs 0 ls "$which" --csv --db swept.db
    [ "$(grep -c . out)" -eq 2 ] || fail "ls $which: $(cat out)"
    line out '^2,.*,my_router,mor,' "ls $which --csv"
done
runs 0 ls router --json --db swept.db; json "ls of a sweep --json"
says out '"sweep": "router"' "ls of a sweep --json"
! grep -q my_router out || fail "ls router lists my_router: $(cat out)"
runs 0 show 2 --db swept.db; line out '^sweep +my_router$' "show of a sweep's run"
runs 0 show 3 --db swept.db; ! grep -q '^sweep' out || fail "show names a sweep of a run without one"
runs 0 ls --sweeps --db swept.db
[ "$(sed -n '2p' out | awk '{print $1}')" = my_router ] || fail "ls --sweeps does not begin with the newest: $(cat out)"
line out '^my_router +ablations/my_router.lua +running +1/5 +1 +- +2023-11-14 22:14$' "ls --sweeps"
line out '^router +ablations/router.lua +done +2/2 +0 +val/x +2023-11-14 22:13$' "ls --sweeps"
runs 0 ls --sweeps running --csv --db swept.db
[ "$(tr -d '\r' <out)" = "sweep,script,state,done,total,failed,objective,goal,question,started
my_router,ablations/my_router.lua,running,1,5,1,,,,2023-11-14 22:14" ] || fail "ls --sweeps --csv: $(cat out)"
runs 0 ls --sweeps router --json --db swept.db; json "ls --sweeps --json"
says out '"question": "Which?"' "ls --sweeps --json"
runs 0 ls nothing; says err "no runs that match nothing" "ls of no match"
for which in 1 k00000000001 @last-2; do
    runs 0 show "$which"; line out '^uid +k00000000001$' "show $which"
done
says out "sak resume 1" "show: command line"
line out '^student.adapter.rank +8 +set$' "show: overrides"
grep -q '^seed  *0  *default' out && fail "show lists defaults as settings"
line out '^semseg +val/semseg/mIoU +43.25 +% +max +40 +8.125$' "show: task metrics"
line out "^semseg +0 +0.25 +0.75$" "show: router weights"
line out "^task +level +stem +it's$" "show: experts as columns, whatever their names"
line out '^2 +done +2023-11-14 23:14:20 +65.5 +100 ' "show: attempts"
says out "nan_loss" "show: events"
says out "results/runs/k1/sheet.png" "show: artifacts"
says out "the good one" "show: tags"
runs 0 show 1 --json; json "show --json"
says out '"kind": "mor"' "show --json unfolds the configuration"
runs 2 show nope; says err "no run 'nope'" "show of nothing"
runs 2 show k; says err "give more characters" "show of two"

# --- ops: every row of the engine, in every format
runs 0 ops --csv
names=$(tail -n +2 out | cut -d, -f1 | tr -d '\r')
count=$(wc -l <<<"$names")
[ "$count" -ge 40 ] || fail "ops lists $count rows"
for op in linear conv2d softmax gelu layer_norm; do
    grep -qx "$op" <<<"$names" || fail "ops does not list $op"
done
runs 0 ops
[ "$(($(sed '/^$/,$d' out | wc -l) - 1))" -eq "$count" ] || fail "the table of ops has another number of rows"
says out "nn:layer_norm(name, x, eps)" "sak ops ends with nn"
runs 0 ops nn; says out "nn:param(name, shape, init)" "sak ops nn"
runs 0 ops nn --json; json "ops nn --json"
runs 0 ops nn --csv; says out 'linear,"nn:linear(' "ops nn --csv"
runs 0 ops --json; json "ops --json"
[ "$(grep -c '"equation"' out)" -eq "$count" ] || fail "ops --json has another number of rows"
for op in $names; do
    runs 0 ops "$op"; says out "$op:" "sak ops $op"
done
runs 0 ops softmax --json; json "ops NAME --json"

# --- doctor: well on this machine; exit 1 when something is wrong
runs 0 doctor --threads 1
for item in cpu kernels blis threads memory results integrity disk speed sqlite lua libpng; do
    grep -q "^$item " out || fail "doctor says nothing about $item: $(cat out)"
done
runs 0 doctor --json; json "doctor --json"
runs 1 doctor --db text.db; says out "wrong" "doctor with a broken database"
BLIS_ARCH_TYPE=haswell runs 1 doctor; says out "BLIS reads a number" "a named BLIS_ARCH_TYPE"
SAK_ISA=baseline runs 0 doctor; says out "baseline (SAK_ISA is set)" "SAK_ISA"

# --- completion: what bash makes of it
runs 0 completion bash
cat >complete.sh <<'EOS'
source ./out
try() { COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _sak; echo "${COMPREPLY[*]}"; }
[ "$(try sak do)" = doctor ] || echo "do -> $(try sak do)"
[ "$(try sak ls --js)" = --json ] || echo "ls --js -> $(try sak ls --js)"
[ "$(try sak ls --sw)" = --sweeps ] || echo "ls --sw -> $(try sak ls --sw)"
[ "$(try sak ops softm)" = softmax ] || echo "ops softm -> $(try sak ops softm)"
case " $(try sak run fre) " in *" fresh.db "*) ;; *) echo "run fre -> $(try sak run fre)" ;; esac
case " $(try sak ls --db fre) " in *" fresh.db "*) ;; *) echo "--db fre -> $(try sak ls --db fre)" ;; esac
EOS
wrong=$(bash complete.sh 2>&1)
[ -z "$wrong" ] || fail "completion: $wrong"

# --- pipes: what cannot be written is an error, not silence
if [ -e /dev/full ]; then
    "$sak" ops >/dev/full 2>err && fail "a full disk behind stdout goes unnoticed"
    says err "standard output" "a full disk behind stdout"
    "$sak" ops nn >/dev/full 2>err && fail "a full disk behind Lua's output goes unnoticed"
fi

[ $failed -eq 0 ] && echo "command line: all as documented"
exit $failed
