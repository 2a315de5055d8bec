#!/usr/bin/env bash
# `sak data check` and `sak data show` on a small folder that is whole, and on one where everything
# is wrong that can be.  $1: the program.
set -euo pipefail
sak=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

fail() { echo "FAILED: $*" >&2; exit 1; }
has() { grep -qF -- "$2" <<<"$1" || fail "no '$2' in: $1"; }
png() { base64 -d >"$1"; }
image() { png "$1" <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAIAAADwyuo0AAAAEUlEQVR42mP4z8AARwxI7P8AZ7IH+VvXfJEAAAAASUVORK5CYII="; }   # 4 x 2: a red row, a blue row
labels() { png "$1" <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAAAAABawyK/AAAAEElEQVR42mNgYGRkYmACAgAAOQANwmsppgAAAABJRU5ErkJggg=="; }  # 0 1 1 2 / 2 2 2 2
narrow() { png "$1" <<<"iVBORw0KGgoAAAANSUhEUgAAAAIAAAAECAAAAACBhLHlAAAADUlEQVR42mP4z8AAQwAZ8gP9OUKRbwAAAABJRU5ErkJggg=="; }  # 2 x 4

mkdir -p set/{images,segmentation,edge,gt_sets}
for id in a b; do
    image set/images/$id.png
    labels set/segmentation/$id.png
    labels set/edge/$id.png
done
printf '1 floor\n2 wall\n3 sky\n' >set/classes.txt
printf 'a\nb\n' >set/gt_sets/train.txt
printf 'b\n' >set/gt_sets/val.txt

text=$("$sak" data check set -q)
has "$text" "train: 2 samples, 2 read, 0 problems"
has "$text" "2 x 4 pixels, mean 0.500 0.000 0.500, std 0.500 0.000 0.500"
has "$text" "3 classes, 12.5% unlabelled: wall 71.4%, floor 28.6%"
has "$text" "semseg: 1 of 3 classes never occur"
has "$text" "edge: not one pixel is set; masks of 0 and 1 need threshold = 1"
has "$text" "val: 1 samples, 1 read, 0 problems"
json=$("$sak" data check set --json --split val -q)
has "$json" '"layout":"nyud"'
has "$json" '"problems":0'

# every file that is broken is named, several of one sample too, and the rest is still read
printf 'a\nA\nb\nc\nd\ne\nf\nghost\nb\n' >set/gt_sets/train.txt
for id in A c d e f; do
    image set/images/$id.png
    labels set/segmentation/$id.png
    labels set/edge/$id.png
done
narrow set/edge/c.png
head -c 60 set/segmentation/a.png >set/segmentation/c.png
rm set/segmentation/d.png set/edge/d.png
: >set/images/e.png
rm set/edge/e.png
head -c 50 set/images/a.png >set/images/f.png
narrow set/edge/f.png
labels set/segmentation/zz.png
mkdir set/edge/night && labels set/edge/night/y.png
code=0
text=$("$sak" data check set -q --split train) || code=$?
[ "$code" -eq 1 ] || fail "a broken set exits with $code"
has "$text" "train: 9 samples, 4 read, 11 problems"
has "$text" "segmentation/c.png: invalid PNG: the file ends too early (truncated)"
has "$text" "edge/c.png: is 4 x 2, but its image is 2 x 4"
has "$text" "segmentation/d.png: cannot open: No such file"
has "$text" "edge/d.png: cannot open: No such file"
has "$text" "images/e.png: the file is empty"
has "$text" "edge/e.png: cannot open: No such file"
has "$text" "edge/f.png: is 4 x 2, but its image is 2 x 4"
for kind in images segmentation edge; do has "$text" "set/$kind/ghost.png: cannot open: No such file"; done
has "$text" "note: semseg: 1 files have no image ('segmentation/zz.png' first)"
has "$text" "note: edge: 1 files have no image ('edge/night/y.png' first)"
has "$text" "images/f.png: invalid PNG: the file ends too early (truncated)"
has "$text" "1 ids are listed twice, 'b' first"
has "$text" "1 ids differ from another in case alone ('a')"

# kinds of files: too wide, 16 bits, a palette, alpha
mkdir -p kinds/{images,segmentation,gt_sets}
for id in wide deep palette alpha; do
    image kinds/images/$id.png
    labels kinds/segmentation/$id.png
    echo $id >>kinds/gt_sets/train.txt
done
png kinds/images/wide.png <<<"iVBORw0KGgoAAAANSUhEUgAAw1AAAAACCAAAAADSd078AAAAeElEQVR42u3BMQEAAADCoPVPbQ0PoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIBfA4axAAHgeAHMAAAAAElFTkSuQmCC"
png kinds/images/deep.png <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACEAAAAAAKU/78AAAADklEQVR42mNgYIRCGAMAAFYACYgXKDAAAAAASUVORK5CYII="
png kinds/images/palette.png <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAMAAABIdo1RAAAACVBMVEUAAAD/AAAAAP9Kpa2BAAAAD0lEQVR42mNgZGJkYgARAABEAA196cn5AAAAAElFTkSuQmCC"
png kinds/images/alpha.png <<<"iVBORw0KGgoAAAANSUhEUgAAAAQAAAACCAQAAADVobXoAAAAD0lEQVR42mNoYIdABhgDACfuBDkntnjnAAAAAElFTkSuQmCC"
text=$("$sak" data check kinds -q) && fail "a picture 50 000 pixels wide is whole"
has "$text" "train: 4 samples, 3 read, 1 problems"
has "$text" "images/wide.png: 2 x 50000 pixels, larger than 16384 on a side"
cp kinds/images/deep.png kinds/segmentation/
cp kinds/images/alpha.png kinds/segmentation/
cp kinds/images/palette.png kinds/segmentation/
text=$("$sak" data check kinds -q) && fail "labels of 16 bits are read"
has "$text" "segmentation/deep.png: "
has "$text" "segmentation/alpha.png: "
grep -q "segmentation/palette.png" <<<"$text" && fail "the indices of a palette are labels: $text"

# pictures without labels, one of them misnamed
text=$("$sak" data check set/images --json -q) && fail "broken pictures exit with 0"
has "$text" '"layout":"images"'
"$sak" data show set --split val -o sheet.png >/dev/null
[ "$(head -c 4 sheet.png | tail -c 3)" = PNG ] || fail "no sheet"
"$sak" data show set --split val --augment -o augmented.png -n 1 >/dev/null
cmp -s sheet.png augmented.png && fail "--augment changes nothing"

# a script's own layout
cat >own.lua <<'S'
local sak = require "sak"
return sak.experiment "own" {
  data = sak.data.folder { root = "set", size = { 16, 16 }, train = "gt_sets/val.txt", val = "gt_sets/val.txt",
    tasks = { semseg = { dir = "segmentation", classes = { "floor", "wall", "sky" } }, edge = { dir = "edge", threshold = 2 } } },
  student = sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8 }, tasks = { "semseg", "edge" } },
  model = "multi_task", stages = { sak.multitask { epochs = 1, batch = 1 } },
}
S
text=$("$sak" data check own.lua -q)
has "$text" "3 classes, 0% unlabelled: sky 62.5%, wall 25%, floor 12.5%"
has "$text" "62.5% of pixels"
"$sak" data show own.lua --augment -o own.png >/dev/null

# a batch that the listed images do not fill is refused where it stands
sed 's/batch = 1/batch = 3/' own.lua >much.lua
printf 'b\n\n  \na\n' >set/gt_sets/val.txt
code=0
"$sak" check much.lua 2>err.txt || code=$?
[ "$code" = 2 ] && grep -q "^much.lua:6:.*: error: 2 images do not fill one batch of 3" err.txt || fail "$code: $(cat err.txt)"
printf 'b\n' >set/gt_sets/val.txt

# a file that cannot be read stops a run, or is skipped and counted
printf 'a\ne\n' >set/gt_sets/two.txt
cat >bad.lua <<'S'
local sak = require "sak"
return sak.experiment "bad" {
  data = sak.data.images { root = "set/images", size = { 16, 16 }, on_bad = "stop" },
  teachers = { sak.teacher "t" { weights = "random", width = 32, depth = 4, heads = 2, patch = 8 } },
  student = sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8, depth = 4 } },
  stages = { sak.distill { iterations = 8, batch = 2, schedule = sak.constant {} } },
}
S
code=0
"$sak" run bad.lua --db bad.db --set stages[1].batch=50 -q 2>err.txt || code=$?
[ "$code" = 2 ] && grep -q "error: batch: the [0-9]* images of .* do not fill one batch of 50" err.txt || fail "$code: $(cat err.txt)"
[ "$("$sak" sql --db bad.db --csv 'select count(*) from run' | tail -1 | tr -d '\r')" = 0 ] || fail "a run was begun"
code=0
"$sak" run bad.lua --db bad.db -q 2>err.txt || code=$?
[ "$code" -ne 0 ] || fail "broken pictures do not stop a run"
grep -qE "images/(e.png: the file is empty|f.png: invalid PNG)" err.txt || fail "$(cat err.txt)"
"$sak" run bad.lua --db bad.db --set data.on_bad=skip 2>err.txt || fail "$(cat err.txt)"
grep -q "2 images could not be read and were skipped" err.txt || fail "$(cat err.txt)"
bad_images() { "$sak" sql --db "${2:-bad.db}" --csv "select value from finals where metric = '$1' order by run desc limit 1" | tail -1 | tr -d '\r'; }
[ "$(bad_images distill/loader_bad)" = 2 ] || fail "$(bad_images distill/loader_bad) are bad"

# which are no more when a run that was stopped meets them again
mkdir stopped
"$sak" run bad.lua --db stopped/bad.db -q --set data.on_bad=skip --set stages[1].iterations=1000 --set checkpoint.every=5 2>err.txt & pid=$!
until compgen -G "stopped/runs/*/checkpoints/s*.safetensors" >/dev/null; do
    kill -0 $pid || fail "no checkpoint: $(cat err.txt)"
    sleep 0.01
done
kill -TERM $pid
wait $pid || true
"$sak" resume @last --db stopped/bad.db -q 2>err.txt || fail "$(cat err.txt)"
bad=$(bad_images distill/loader_bad stopped/bad.db)
[ "$bad" = 2 ] || fail "$bad images are bad after resuming"

# with labels too, in every pass over the data, and what was not evaluated is said
mkdir -p mix/{images,segmentation,edge,gt_sets}
for id in a b c d; do
    image mix/images/$id.png
    labels mix/segmentation/$id.png
    labels mix/edge/$id.png
done
head -c 50 set/images/a.png >mix/images/c.png
head -c 60 set/segmentation/a.png >mix/segmentation/d.png
printf 'a\nb\nc\nd\n' >mix/gt_sets/train.txt
printf 'a\nc\n' >mix/gt_sets/val.txt
sed 's/root = "set"/root = "mix", on_bad = "skip"/; s/train = "gt_sets\/val/train = "gt_sets\/train/
    s/patch = 8/patch = 8, depth = 4/; s/batch = 1/batch = 2/' own.lua >mix.lua
"$sak" run mix.lua --db bad.db --set eval.batch=2 2>err.txt >/dev/null || fail "$(cat err.txt)"
has "$(cat err.txt)" "multitask: 2 images could not be read and were skipped"
has "$(cat err.txt)" "val: 1 images could not be read and were skipped"
[ "$(bad_images multitask/loader_bad)/$(bad_images val/loader_bad)" = 2/1 ] || fail "labelled: $(bad_images multitask/loader_bad)/$(bad_images val/loader_bad)"
[ -n "$(bad_images trivial/semseg/mIoU)" ] || fail "no trivial predictor"

# a stage's epochs are of its own data
cat >epochs.lua <<'S'
local sak = require "sak"
return sak.experiment "epochs" {
  data = sak.data.rooms { train = 40, val = 4, size = { 16, 16 } },
  teachers = { sak.teacher "t" { weights = "random", width = 32, depth = 4, heads = 2, patch = 8 } },
  student = sak.student { stem = sak.vit { width = 32, heads = 2, patch = 8, depth = 4 } },
  stages = { sak.distill { epochs = 3, batch = 2, data = sak.data.images { root = "kinds/segmentation", size = { 16, 16 } } } },
}
S
has "$("$sak" check epochs.lua -q)" "6 iterations of 2 images"
has "$("$sak" check epochs.lua -q --set stages[1].data.fraction=0.5)" "3 iterations of 2 images"
has "$("$sak" check epochs.lua -q --set '~stages[1].data')" "60 iterations of 2 images"

code=0
"$sak" data look set 2>err.txt || code=$?
[ "$code" -eq 2 ] || fail "an unknown command exits with $code"
grep -q "it has check and show" err.txt || fail "$(cat err.txt)"
echo ok
