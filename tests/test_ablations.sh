#!/usr/bin/env bash
# Every file in ablations/ has a question, a reference arm, an objective and an explanation, passes
# `sak check`, and each of its arms trains a step at a tiny size.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
case $sak in /*) ;; *) sak=$PWD/$sak ;; esac
root=$PWD
cp -r ablations experiments "$tmp"
cd "$tmp"
# teachers of one step on a few small images
sed -i 's/train = [0-9]*, val = [0-9]*/train = 4, val = 1/; s/iterations = [0-9]*, batch = [0-9]*/iterations = 1, batch = 2/
        s/width = 128, depth = 4, heads = 4/width = 16, depth = 4, heads = 4/; s/warmup = [0-9.]*/warmup = 0/' experiments/teachers/*.lua
export SAK_DB=$tmp/results/sak.db
tiny="--set data.train=4 --set data.val=1 --set data.size=[32,48] --set student.stem.depth=4 --set eval.batch=1
    --set eval.images=0 --set stages[1].iterations=1 --set stages[1].batch=2 --set stages[kind=multitask].iterations=1
    --set stages[kind=multitask].batch=2 --set student.tasks=[\"semseg\"]"
n=0
for file in ablations/*.lua; do
    name=$(basename "$file" .lua)
    head -1 "$file" | grep -q '^-- .*[?.]' || fail "$file does not begin by asking"
    if [ "$name" = nyud ]; then # photographs and weights from outside: checked where they are
        if [ -d "$root/../shared/data/nyud-160" ]; then
            (cd "$root" && "$sak" check "$file") > out 2>&1 || fail "sak check $file: $(cat out)"
        else
            echo "skipped: no ../shared/data/nyud-160 for $file"
        fi
        continue
    fi
    (cd "$root" && "$sak" check "$file") > out 2>&1 || fail "sak check $file: $(cat out)"
    more=
    # widths that differ from the tiny teachers' need aligners; a width of its own is the arm's point
    case $name in capacity) ;; *) more="--set student.stem.width=16" ;; esac
    grid=
    case $name in
    adapter) more="--set student.stem.width=32" ;;
    student_size) more= grid="--grid student.stem.width=16,32" ;;
    rank) grid="--grid student.adapter.rank=2,4,8,16" ;;
    data_fraction | stage1_data) sed -i 's/train = 2000, size = { 64, 96 }/train = 8, size = { 32, 48 }/' ablations/shared/part.lua ;;
    esac
    # shellcheck disable=SC2086
    "$sak" sweep "$file" --seeds 1 --jobs 2 --quiet $tiny $more $grid > out 2> err || fail "$file: $(cat out err)"
    n=$((n + 1))
    [ -n "$("$sak" sql --csv "select question from sweep where name = '$name' and length(question) > 20" | tail -n +2)" ] ||
        fail "$file has no question"
    [ "$("$sak" sql --csv "select count(*) > 0 and min(t.state) = 'done' and max(t.state) = 'done' from trial t join sweep s
        on s.id = sweep_id where s.name = '$name'" | tr -d '\r' | tail -1)" = 1 ] || fail "$file: trials are not done"
    [ "$("$sak" sql --csv "select count(*) = (select count(*) from trial where sweep_id = s.id) from sweep s join trial t on
        t.sweep_id = s.id join metric_last l on l.run_id = t.run_id join metric_key k on k.id = l.key_id and k.name = s.objective
        where s.name = '$name'" | tr -d '\r' | tail -1)" = 1 ] || fail "$file: its objective is not measured"
done
echo "ablations: $n files, $("$sak" sql --csv 'select count(*) from trial' | tail -1) trials of a step each"
