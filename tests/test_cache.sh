#!/usr/bin/env bash
# The teacher-feature cache: the same bits cold, warm, damaged, killed while filling, filled by two at
# once, on any number of threads; teachers in the graph give the same as fp32 entries, bit for bit.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset SAK_DB
fail() { echo "FAIL: $*"; exit 1; }
query() { "$sak" sql --csv --db "$tmp/$1/sak.db" "$2" | tr -d '\r' | tail -n +2; }

small=(tests/scripts/tiny.lua --quiet --set 'student.tasks=["depth"]' --set student.router.noisy=false --set data.val=2
       --set eval.images=0 --set stages[1].iterations=6)
run() { # folder, then further arguments
    local where=$1
    shift
    mkdir -p "$tmp/$where"
    "$sak" run "${small[@]}" --db "$tmp/$where/sak.db" "$@" > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
}
points() { # folder, run: every metric that does not depend on the clock
    query "$1" "select metric, step, printf('%.17g', value) from metrics where run = $2 and metric not glob '*_s'
 and metric not glob '*gflops' order by 1, 2"
}
used() { query "$1" "select group_concat(text, ' ') from event where kind = 'cache' and run_id = $2"; }
same() { # folder, run: equal to the first run, which filled an empty cache
    points "$1" "$2" | cmp -s - "$tmp/first" || fail "$3: other metrics than with an empty cache"
}

run a --set cache=true --threads 2
points a 1 > "$tmp/first"
[ "$(wc -l < "$tmp/first")" -gt 100 ] || fail "few metrics"
used a 1 | grep -q ' 0 images from the cache, 96 computed' || fail "cold: $(used a 1)"

# warm; on another number of threads; replayed with an empty cache
run a --set cache=true --threads 1
same a 2 "warm, 1 thread"
used a 2 | grep -q 'distill: .* 96 images from the cache, 0 computed.*multitask: .* 64 .*, 0 computed' || fail "warm: $(used a 2)"
"$sak" replay 2 --db "$tmp/a/sak.db" --quiet | grep -q 'equal bit for bit' || fail "a warm run is not replayed cold"

# another seed shows other views, of the same few
run a --set cache=true --set seed=1
! points a 3 | cmp -s - "$tmp/first" || fail "seed 1 gave what seed 0 gave"
used a 3 | grep -q 'distill: .* [1-9][0-9]* images from the cache' || fail "no view is shared between seeds: $(used a 3)"

# damage in the middle of every pack: found, computed again, crossed out
for pack in "$tmp"/a/cache/features/*/*.pack; do
    printf x | dd of="$pack" bs=1 seek=$(($(stat -c %s "$pack") / 2)) conv=notrunc status=none
done
cp -r "$tmp/a" "$tmp/checked"
run a --set cache=true
same a 4 "damaged"
query a "select text from event where run_id = 4 and level = 'warn'" | grep -q damaged || fail "damage went unnoticed"
status=0
"$sak" cache check --db "$tmp/checked/sak.db" > "$tmp/out" || status=$?
[ $status = 1 ] && grep -q 'damaged, crossed out' "$tmp/out" || fail "check, status $status: $(cat "$tmp/out")"
"$sak" cache check --db "$tmp/checked/sak.db" | grep -q 'every checksum is right' || fail "damage is not crossed out"

# what is wrong under a right checksum is found by computing it again
"$sak" cache check "${small[0]}" --set cache=true --db "$tmp/a/sak.db" -n 32 > "$tmp/out" || fail "$(cat "$tmp/out")"
grep -q 'stage 1, distill: 64 computed again, 0 of them differ, 0 damaged, 0 were not there' "$tmp/out" || fail "$(cat "$tmp/out")"
run b --set cache=true --set 'teachers[name=a].name=c'
key() { "$sak" cache ls --json --db "$tmp/$1/sak.db" | tr '{' '\n' | grep "\"teacher\":\"$2\"" | sed 's/.*"key":"\([0-9a-f]*\)".*/\1/'; }
right=$tmp/a/cache/features/$(key a a) wrong=$tmp/b/cache/features/$(key b c)
for pack in "$wrong"/*.pack; do
    dd if="$(ls "$right"/*.pack | head -1)" of="$pack" bs=64 count=1 conv=notrunc status=none
done
rm "$right"/*.pack
mv "$wrong"/*.pack "$right"
run a --set cache=true --set cache.verify=1
same a 5 "entries of another teacher, verified"
query a "select text from event where run_id = 5 and level = 'warn'" | grep -q '48 of 96 cached features are not what' ||
    fail "wrong entries: $(query a 'select text from event where run_id = 5')"

# two processes fill one cache; a third is killed in the middle, and what it left is of use
mkdir "$tmp/c"
"$sak" run "${small[@]}" --set cache=true --db "$tmp/c/sak.db" > /dev/null & one=$!
"$sak" run "${small[@]}" --set cache=true --db "$tmp/c/sak.db" > /dev/null
wait $one
same c 1 "two at once"
same c 2 "two at once"
mkdir "$tmp/d"
"$sak" run "${small[@]}" --set cache=true --set stages[1].iterations=100000 --db "$tmp/d/sak.db" > /dev/null 2>&1 & one=$!
until [ -n "$(find "$tmp/d/cache" -name '*.pack' -size +30k 2> /dev/null)" ]; do sleep 0.02; done
kill -9 $one
wait $one 2> /dev/null || true
run d --set cache=true
same d 2 "after kill -9"
used d 2 | grep -q ' [1-9][0-9]* images from the cache' || fail "nothing of the killed run was used: $(used d 2)"
: > "$(find "$tmp/d/cache" -name '*.pack' | head -1 | xargs dirname)/00000000-1-0.pack" # killed before the first byte
"$sak" cache check --db "$tmp/d/sak.db" > "$tmp/out" || fail "after kill -9: $(cat "$tmp/out")"

# stopped in stage 1 with a cold cache, resumed with a warm one
mkdir -p "$tmp/e"
"$sak" run "${small[@]}" --set cache=true --set stages[1].iterations=250 --db "$tmp/e/sak.db" > /dev/null
"$sak" run "${small[@]}" --set cache=true --set stages[1].iterations=250 --set checkpoint.every=5 --db "$tmp/e/sak.db" \
    > /dev/null 2>&1 & one=$!
until [ -n "$(find "$tmp/e/runs" -name 's01-*.safetensors')" ]; do sleep 0.01; done
kill -9 $one
wait $one 2> /dev/null || true
"$sak" resume 2 --quiet --db "$tmp/e/sak.db" > /dev/null
points e 1 > "$tmp/whole"
points e 2 | cmp -s - "$tmp/whole" || fail "resumed: other metrics"

# a cache that cannot be written to, or has no room: the same, with a word about it
mkdir -p "$tmp/f/cache"
: > "$tmp/f/cache/features"
run f --set cache=true
same f 1 "no folder"
run g --set cache.gigabytes=0.0001
same g 1 "no room"
query g "select text from event where level = 'warn'" | grep -q 'not kept: the cache may take 0.0001 GB' || fail "no word of a full cache"
run g --set cache.gigabytes=1e30
[ "$(query g "select count(*) from event where level = 'warn' and run_id = 2")" = 0 ] || fail "more room than any disk has is too little"

# fp32 entries are what teachers in the graph give for the same views, bit for bit; fp16 is close
run h --set cache.dtype=fp32
run h --set stages[1].augment.views=4 --set stages[2].augment.views=4
points h 1 > "$tmp/fp32"
points h 2 | cmp -s - "$tmp/fp32" || fail "fp32 entries and teachers in the graph differ"
join -t , <(points h 1 | sed 's/,/:/') <(sed 's/,/:/' "$tmp/first") | awk -F, '
    $1 ~ /^distill\/kd|^multitask\/kd/ { n++; d = ($2 - $3) / $2; if (d < 0) d = -d; if (d > worst) worst = d }
    END { exit !(n > 50 && worst > 0 && worst < 2e-3) }' || fail "fp16 entries are far from fp32"

# another build takes nothing over, even where the linker has left no hash in either
if command -v objcopy > /dev/null; then
    objcopy --remove-section .note.gnu.build-id "$sak" "$tmp/one"
    cp "$tmp/one" "$tmp/two"
    printf x >> "$tmp/two"
    for build in one two; do
        [ "$("$tmp/$build" --version)" = "$("$sak" --version)" ] || fail "$build: $("$tmp/$build" --version)"
        mkdir -p "$tmp/i"
        "$tmp/$build" run "${small[@]}" --set cache=true --db "$tmp/i/sak.db" > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
    done
    used i 2 | grep -q ' 0 images from the cache' || fail "another build: $(used i 2)"
fi

# ls and gc
"$sak" cache ls --db "$tmp/a/sak.db" | grep -q '^[0-9a-f]* *b .* 32x48 ' || fail "ls: $("$sak" cache ls --db "$tmp/a/sak.db")"
"$sak" cache gc --max 100000000T --db "$tmp/a/sak.db" | grep -q '^0 B removed' || fail "gc without a limit to speak of removed something"
"$sak" cache gc --max 0 --db "$tmp/a/sak.db" | grep -q ' 0 B left' || fail "gc left something"
[ -z "$(find "$tmp/a/cache/features" -type f)" ] || fail "gc left $(find "$tmp/a/cache/features" -type f)"
for wrong in "gc --max 3x" "lss" "ls extra"; do
    status=0
    # shellcheck disable=SC2086
    "$sak" cache $wrong --db "$tmp/a/sak.db" > "$tmp/out" 2>&1 || status=$?
    [ $status = 2 ] || fail "cache $wrong: status $status"
done
