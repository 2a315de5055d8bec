#!/usr/bin/env bash
# Students leave and come back: `sak export`, student.weights, stages of different image sizes. A stage 2
# that starts from the exported stage 1 computes the same bits as the run that went straight through.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r' | tail -1; }
run() {
    "$sak" run tests/scripts/tiny.lua --quiet --set 'student.tasks=["semseg","depth"]' --set student.router.noisy=false \
        --set eval.images=0 "$@" > "$tmp/table"
}
finals() { # of stage 2 and its evaluation, without what depends on the clock
    "$sak" sql --csv "select metric, value from finals where run = $1 and (metric glob 'multitask/*' or metric glob 'val/*' \
or metric glob 'router*') and metric not glob '*_s' and metric not glob '*gflops' order by metric"
}
refuse() { # words expected in the message, then the arguments
    local words=$1 status=0
    shift
    "$sak" "$@" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 2 ] || fail "sak $* exited with $status, wanted 2: $(cat "$tmp/out")"
    grep -qF -- "$words" "$tmp/out" || fail "sak $* said: $(cat "$tmp/out"); wanted: $words"
}

# stage 1 at 48x48, stage 2 at 32x48: the position table is resampled in between
run --set '+stages[1].size=[48,48]'
"$sak" export @last "$tmp/s1.safetensors" --stage 1 > "$tmp/said"
grep -q 'stage distill, trained at 48x48' "$tmp/said" || fail "export said: $(cat "$tmp/said")"
run --set '~stages[1]' --set "+student.weights=$tmp/s1.safetensors"
finals 1 > "$tmp/straight"
finals 2 > "$tmp/resumed"
[ "$(wc -l < "$tmp/straight")" -gt 25 ] || fail "few metrics: $(cat "$tmp/straight")"
cmp "$tmp/straight" "$tmp/resumed" || fail "stage 2 from the exported stage 1 differs"
tensors() { "$sak" export "$1" "$tmp/t.safetensors" --json --quiet > /dev/null; tail -c "${2:-380000}" "$tmp/t.safetensors" | sha256sum; }
[ "$(tensors 1)" = "$(tensors 2)" ] || fail "the students differ"
said=$(value "select text from event where run_id = 2 and kind = 'weights' and text glob 'student:*'")
case $said in *'new here: head of depth, head of semseg, routers of depth, routers of semseg'*) ;; *) fail "said: $said" ;; esac

# the same from the database, by the run's name; then a whole stage-2 student, and one without aligners
run --set '~stages[1]' --set '+student.weights=run:1'
said=$(value "select text from event where run_id = 3 and kind = 'weights' and text glob 'student:*'")
case $said in *new* | *left*) fail "said: $said" ;; *'206 tensors') ;; *) fail "said: $said" ;; esac
run --set '~stages[1]' --set "+student.weights=$tmp/s1.safetensors" --set stages[1].alpha=0
said=$(value "select text from event where run_id = 4 and kind = 'weights' and text glob 'student:*'")
case $said in *'left behind: aligners'*) ;; *) fail "said: $said" ;; esac
! grep -q ts_aligners "$(ls -d "$tmp"/runs/* -t | head -1)/student.safetensors" || fail "aligners without distillation"

# half the bytes; statistics keep theirs; halves load again
"$sak" export 1 "$tmp/full.safetensors" --quiet
"$sak" export 1 "$tmp/half.safetensors" --dtype bf16 --quiet
full=$(stat -c %s "$tmp/full.safetensors") half=$(stat -c %s "$tmp/half.safetensors")
[ "$half" -lt $((full * 6 / 10)) ] || fail "bf16 takes $half of $full bytes"
grep -q '"heads.depth.linear_fuse.1.running_var":{"dtype":"F32"' "$tmp/half.safetensors" || fail "statistics were rounded"
grep -q '"run":"' "$tmp/half.safetensors" && grep -q '"config_sha256":"' "$tmp/half.safetensors" || fail "no metadata"
"$sak" check tests/scripts/tiny.lua --set '~stages[1]' --set 'student.tasks=["semseg","depth"]' --set student.router.noisy=false \
    --set "+student.weights=$tmp/half.safetensors" | grep -q '206 tensors' || fail "halves are not taken"

# a student with LoRA leaves after stage 1: stage 2 merges the updates as the run that went straight through
lora=(--set 'student.lora=sak.lora { rank = 2, alpha = 6, stage2 = "merge" }' --set 'student.tasks=["depth"]')
run "${lora[@]}"
id=$(value "select max(run) from runs")
"$sak" export @last "$tmp/lora.safetensors" --stage 1 --quiet
run "${lora[@]}" --set '~stages[1]' --set "+student.weights=$tmp/lora.safetensors"
[ "$(tensors "$id" 200000)" = "$(tensors $((id + 1)) 200000)" ] || fail "a stage 2 from an exported LoRA stage 1 differs"
value "select text from event where run_id = $((id + 1)) and kind = 'weights' and text glob 'student:*'" | grep -q 'LoRA merged' ||
    fail "nothing was merged"
run "${lora[@]}" --set student.lora=false --set '~stages[1]' --set "+student.weights=$tmp/lora.safetensors"
[ "$(tensors "$id" 200000)" = "$(tensors $((id + 2)) 200000)" ] || fail "alpha in the file's metadata was not used"

# what a run left is not exported over, under whatever name
own=$(ls "$tmp"/runs/*/student.safetensors | head -1)
ln "$own" "$tmp/link.safetensors"
before=$(sha256sum < "$own")
for to in "$own" "$tmp/link.safetensors" "$tmp/runs/x.safetensors" "$(dirname "$own")/half.safetensors"; do
    refuse "$to: " export 1 "$to" --dtype bf16
done
[ "$(sha256sum < "$own")" = "$before" ] || fail "export changed a run's file"

# which entry of a nested checkpoint
nested=(check tests/scripts/tiny.lua --set "teachers[name=a].weights=tests/fixtures/weights/ambiguous.pth")
refuse 'Give key = "…", one of: ' "${nested[@]}"
refuse 'no image encoder under names known here' "${nested[@]}" --set '+teachers[name=a].key=encoder'
refuse 'Give key = "…", one of: ' check tests/scripts/tiny.lua --set +student.weights=tests/fixtures/weights/ambiguous.pth
refuse 'missing in the file' check tests/scripts/tiny.lua --set +student.weights=tests/fixtures/weights/ambiguous.pth --set +student.key=encoder
refuse 'no image encoder under names known here' check tests/scripts/tiny.lua --set +student.stem.key=encoder \
    --set +student.stem.weights=tests/fixtures/weights/ambiguous.pth
refuse 'but there is no file' check tests/scripts/tiny.lua --set +student.stem.key=ema

refuse 'has 2 stages, not 3' export 1 "$tmp/x.safetensors" --stage 3
refuse "no run '77'" export 77 "$tmp/x.safetensors"
refuse 'f32, f16 or bf16' export 1 "$tmp/x.safetensors" --dtype int8
refuse 'call it' export 1 "$tmp/x.pth"
tiny=(check tests/scripts/tiny.lua)
refuse 'no such file' "${tiny[@]}" --set +student.weights=nowhere.safetensors
refuse 'a whole student has its stem' "${tiny[@]}" --set "+student.weights=$tmp/s1.safetensors" \
    --set "+student.stem.weights=$tmp/s1.safetensors"
refuse "'tsap.a.0.down.bias' is (8) but the model's 'tsap.a.0.down.bias' is (4)" "${tiny[@]}" --set student.adapter.down_ratio=8 \
    --set "+student.weights=$tmp/s1.safetensors"
refuse 'missing in the file: out_norms.4_a.bias' "${tiny[@]}" --set student.stem.depth=5 --set "+student.weights=$tmp/s1.safetensors"
refuse 'in the file but not in the model: out_norms.0_b.bias' "${tiny[@]}" --set '~teachers[name=b]' \
    --set "+student.weights=$tmp/s1.safetensors"
refuse "a multitask stage has the experiment's image size, 32x48, on which it is scored, not 64x64" \
    "${tiny[@]}" --set '+stages[2].size=[64,64]'
refuse 'smaller than a patch' "${tiny[@]}" --set '+stages[1].size=[4,64]'

rm "$tmp"/runs/*/stage1.safetensors
refuse 'its weights are gone' export 1 "$tmp/x.safetensors" --stage 1
for file in "$tmp"/runs/*/student.safetensors; do echo tail >> "$file"; done
refuse 'is not the file that the run wrote' export 1 "$tmp/x.safetensors"
echo "export: $(wc -l < "$tmp/straight") metrics of a stage 2 from an exported stage 1 are the same bits"
