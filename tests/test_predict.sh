#!/usr/bin/env bash
# `sak predict`, and what `sak eval --save` writes: predictions of every task in the published layout, images
# of any size, saved edges that score alone, and clear refusals.  $1: the program.
set -euo pipefail
. tests/verb_fixture.sh
cd "$tmp"

"$sak" run "$script" -q --set stages[2].iterations=24 --set stages[2].optim.lr=0.005 >/dev/null
"$sak" eval @last -q --csv >eval.csv
"$sak" eval @last -q --csv -j 1 --save saved >again.csv
cmp eval.csv again.csv || fail "another number of threads, or --save, changes the evaluation"

# every task of every image, named by the sample
for f in segmentation/ID.png depth/ID.npy normals/ID.png edge/ID.png sal/ID.png human_parts/ID.png; do
    [ -s "saved/${f/ID/rooms-0-1000003}" ] || fail "no saved/$f: $(find saved | sort | head -20)"
done
[ -s saved/predictions.png ] || fail "no sheet"
[ "$(find saved/depth -name '*.npy' | wc -l)" -eq 8 ] || fail "$(find saved/depth)"

# What is written is read back as labels, and by them the run is right everywhere: to the 8 bits of a normal
# and the half of a probability.  Images of the size of training, a larger one, and one smaller
# than a patch.
mkdir -p own/images/deep own/gt_sets
cp saved/normals/* own/images/
mv own/images/rooms-0-1000000.png own/images/deep/
base64 -d >own/images/wide.png <<<"iVBORw0KGgoAAAANSUhEUgAAAEsAAAAyCAIAAACbAbG0AAAAvElEQVR42u3TsRHDMAxDUQ2BSTIO68yUSTiEt0LORTrfObKQRIxw90uweAVba1AVulJXs9BCCy200EILlxDeoCp0pa4vC/nqr4Q8q7CQPdUTsr9KQl6thpBjzS6konmFVGVhl/AOUQxduQdJFlq4jpAfENJCC/2HFpYRPiCKoSv3IEkohFQIC38jVCExs3AcifmFGOSVEGKEV0WIy7xCwjedB1e1hIfak6VUuEFV6EpdFlpooYUWWmjhCsInzM8/Dldtd8cAAAAASUVORK5CYII="
base64 -d >own/images/tiny.png <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAAEUlEQVR42mP4z8AARwxI7P8AZ7IH+VvXfJEAAAAASUVORK5CYII="
"$sak" predict 1 own/images -q --save said --json >said.json
has said.json '"problems":[]'
has said.json '"height":2,"id":"tiny"'
[ "$(grep -o '"id":"[^"]*"' said.json | tr '\n' ' ')" = "$(grep -o '"id":"[^"]*"' said.json | LC_ALL=C sort | tr '\n' ' ')" ] ||
    fail "a folder's images are not in order: $(cat said.json)"
[ -s said/segmentation/deep/rooms-0-1000000.png ] || fail "$(find said)"
(cd own/images && find . -name '*.png' | sed 's|^./||; s|\.png$||') >ids
mv said/segmentation said/depth said/normals said/edge said/sal said/human_parts own/
for i in $(seq 1 16); do echo "$i class$i"; done >own/classes.txt
for i in $(seq 0 $((7 - 1))); do echo "$i part$i"; done >own/human_parts.txt
grep -v -e wide -e tiny ids >own/gt_sets/val.txt
cp ids own/gt_sets/train.txt
"$sak" data check own -q >check || fail "what predict wrote is no data set: $(cat check)"
has check 'train: 10 samples, 10 read, 0 problems'
"$sak" eval 1 -q --csv --data own >self.csv
value() { awk -F, -v k="$1" '$1 "/" $2 == k { print $3 }' self.csv; }
holds() { awk "BEGIN { exit !($1) }" || fail "not $1: $(cat self.csv)"; }
holds "$(value semseg/pixel_acc) == 100"
holds "$(value depth/RMSE) < 1e-6"
holds "$(value normals/mErr) < 0.5"
holds "$(value sal/maxF) > 95" # a probability between 0.5 and 128 / 255 is not set in 8 bits

# at the size of training nothing is resampled: one window, padded or not, is the evaluation's
"$sak" predict 1 own/images -q --save tiled --tile --tasks semseg,depth
for id in $(grep -v -e wide -e tiny ids); do
    cmp "own/depth/$id.npy" "tiled/depth/$id.npy" || fail "--tile and --pad differ at the size of training"
done
cmp -s own/depth/wide.npy tiled/depth/wide.npy && fail "a wide picture is not tiled"
"$sak" predict 1 saved/predictions.png --tasks depth -o sheet.png 2>err >/dev/null
has err "is more than 16 times the 32x48 of training: tiled (--pad takes it whole)"
[ ! -e tiled/normals ] || fail "--tasks writes the others too"
"$sak" predict 1 own/images/wide.png own/images/tiny.png -q -j 1 --save one
cmp one/depth/wide.npy own/depth/wide.npy || fail "another number of threads changes a prediction"
[ "$("$sak" predict 1 own/images/tiny.png -o sheet.png)" = "1 image by run 1 (tiny): sheet.png" ] || fail "no summary"
[ -s sheet.png ] || fail "no sheet"

# saved edges scored alone give what eval printed
for id in $(cat own/gt_sets/val.txt); do
    base64 -d >"own/edge/$id.png" <<<"iVBORw0KGgoAAAANSUhEUgAAADAAAAAgCAAAAABxv6TAAAAAIklEQVR42mNgwAL+M5AIRjXQX8N/EsFosI5qGNUwqoE0DQDAz06y8Cf2igAAAABJRU5ErkJggg=="
done
grep -v deep own/gt_sets/val.txt >own/gt_sets/flat.txt
"$sak" eval 1 -q --csv --data own --split flat --save edges >own.csv
for protocol in plain seism; do
    "$sak" eval 1 -q --csv --data own --split flat --edge-protocol $protocol >own.csv
    "$sak" score edge edges/edge --gt own/edge --protocol $protocol --max-dist 0.011 --csv 2>/dev/null >alone.csv
    a=$(awk -F, '$2 == "odsF" { printf "%.2f", $3 }' own.csv)
    b=$(awk -F, '$1 == "odsF" { printf "%.2f", $2 }' alone.csv)
    [ "$a" != 0.00 ] && [ "$a" = "$b" ] || fail "odsF $protocol: eval $a, score $b"
done

# what cannot be predicted is said
"$sak" run "$script" -q --set ~stages[2] --set student.tasks=[] >/dev/null 2>&1 || fail "stage 1 alone"
refused 2 "has no stage with labels" predict @last own/images
refused 2 "--tasks: run 1 (tiny) has no task 'deph'; it has semseg, depth, normals, edge, sal, human_parts (did you mean 'depth'?)" \
    predict 1 own/images --tasks deph
head -c 60 own/images/wide.png >broken.png
: >empty.jpg
refused 1 "missing.png: no such file or folder" predict 1 missing.png broken.png own/images/tiny.png empty.jpg --save some
has err "broken.png: invalid PNG"
has err "empty.jpg: "
has err "1 image by run 1"
[ -s some/depth/tiny.npy ] || fail "the image that can be read was not predicted"
mkfifo pipe
refused 2 "pipe: not a regular file, which writing would replace" predict 1 own/images/tiny.png -o pipe
[ -p pipe ] || fail "a pipe was replaced by a picture"
refused 1 "pipe: not a regular file" predict 1 pipe
rm -rf early
refused 2 "nowhere/x.png: there is no folder nowhere" predict 1 own/images/tiny.png -o nowhere/x.png --save early
refused 2 "that is a folder" predict 1 own/images/tiny.png -o own --save early
[ ! -e early/depth ] || fail "where the sheet goes was looked at after all the work"
refused 2 "would both be saved as 'tiny'" predict 1 own/images/tiny.png own/images
refused 2 "that is a data set" predict 1 own/images --save own
sed -i '$d' own/classes.txt
refused 2 "semseg: run 1 (tiny) was trained with 16 classes, but own/val has" eval 1 --data own
[ "$("$sak" eval 1 -q --csv --data own --tasks depth,sal | tail -n +2 | cut -d, -f1 | sort -u | tr '\n' ' ')" = "depth sal " ] ||
    fail "--tasks does not pick what is scored"

# a run whose data are gone predicts as before, and is evaluated where they lie now
"$sak" run "$script" -q --set ~stages[1] --set model=multi_task --set teachers=[] --set stages[1].iterations=2 \
    --set 'student.tasks=["depth","edge"]' --set 'data=sak.data.folder{root="own",size={32,48}}' >/dev/null
run=$("$sak" sql --csv "select max(run) from runs" | tail -1 | tr -d '\r')
"$sak" eval "$run" -q --csv >here.csv
"$sak" predict "$run" own/images/wide.png -q --save here >/dev/null
mv own moved
"$sak" predict "$run" moved/images/wide.png -q --save gone >/dev/null
cmp here/depth/wide.npy gone/depth/wide.npy || fail "a prediction depends on where the data lie"
refused 2 "own: the run's data are no longer there; --data DIR says where they are" eval "$run"
"$sak" eval "$run" -q --csv --data moved >there.csv
cmp here.csv there.csv || fail "moved data are scored differently"
echo "predict: ok"
