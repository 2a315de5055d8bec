#!/usr/bin/env bash
# Real photographs and real teachers, where ../shared has them: the main job runs on them, and a
# truncated picture is refused by name. Skips (77) elsewhere.
set -eu
sak=$1
shared=../shared
if [ ! -d $shared/data/nyud-160 ] || [ ! -d $shared/weights ]; then
    echo "skipped: $shared/data and $shared/weights are not here"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }

# a small copy: twelve images to train on, four to score
mkdir -p "$tmp/nyud/gt_sets"
head -12 $shared/data/nyud-160/gt_sets/train.txt > "$tmp/nyud/gt_sets/train.txt"
head -4 $shared/data/nyud-160/gt_sets/val.txt > "$tmp/nyud/gt_sets/val.txt"
for kind in images segmentation depth normals edge; do
    mkdir "$tmp/nyud/$kind"
    while read -r id; do
        cp $shared/data/nyud-160/$kind/"$id".* "$tmp/nyud/$kind/"
    done < <(cat "$tmp/nyud/gt_sets/train.txt" "$tmp/nyud/gt_sets/val.txt")
done
chmod -R u+w "$tmp/nyud"
run() {
    "$sak" run experiments/nyud_two_teachers.lua --quiet --set data.root="$tmp/nyud" --set stages[1].iterations=3 \
        --set stages[1].batch=4 --set stages[2].iterations=3 --set stages[2].batch=4 --set eval.batch=4 \
        --set eval.images=4 "$@"
}
run > "$tmp/table"
grep -q semseg "$tmp/table" || fail "no table: $(cat "$tmp/table")"
value() { "$sak" sql --csv "$1" | tr -d '\r' | tail -1; }
n=$(value "select count(*) from finals where metric glob 'val/*' and value is not null")
[ "$n" -ge 10 ] || fail "only $n validation metrics"
n=$(value "select count(*) from metrics where metric = 'distill/kd/deit_level4'")
[ "$n" = 3 ] || fail "the loss of teacher deit was logged $n times"

id=$(sed -n 3p "$tmp/nyud/gt_sets/train.txt")
head -c 900 "$tmp/nyud/images/$id.png" > "$tmp/cut" && mv "$tmp/cut" "$tmp/nyud/images/$id.png"
status=0
run > "$tmp/out" 2>&1 || status=$?
[ "$status" = 2 ] || fail "a truncated PNG gave exit status $status: $(cat "$tmp/out")"
grep -q "images/$id.png" "$tmp/out" || fail "the truncated PNG is not named: $(cat "$tmp/out")"
rm "$tmp/nyud/depth/$id.npy"
status=0
run > "$tmp/out" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q "$id" "$tmp/out" || fail "a missing file: exit $status, $(cat "$tmp/out")"
[ "$(value "select count(*) from runs where state = 'running'")" = 0 ] || fail "a refused run is still running"
echo "real input: trains, and broken files are refused by name"
