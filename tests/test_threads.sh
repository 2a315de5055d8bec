#!/usr/bin/env bash
# Threads change nothing: every metric of every step and the final weights have the same bits on 1, 2 and
# 4 threads (more than there are cores) and with another number of loader threads, 50 steps per stage.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
unset SAK_ISA

# folder, then options of sak run
train() {
    local dir=$tmp/$1
    shift
    mkdir "$dir"
    "$sak" run tests/scripts/tiny.lua --quiet --db "$dir/sak.db" --set 'student.tasks=["semseg","normals"]' \
        --set 'stages[1].iterations=50' --set 'stages[2].iterations=50' --set 'stages[1].batch=4' \
        --set 'stages[2].batch=4' --set data.train=12 --set data.val=4 --set eval.batch=4 "$@" > "$dir/table"
    "$sak" sql --db "$dir/sak.db" --csv --limit 0 "select metric, step, printf('%.17g', value) from metrics
        where metric not glob '*_s' and metric not glob '*gflops' order by metric, step" > "$dir/metrics"
    sha256sum "$dir"/runs/*/student.safetensors | cut -d' ' -f1 > "$dir/weights"
}
train one --threads 1
train two --threads 2
train four --threads 4
train loaders --threads 2 --set loader_threads=3
[ "$(wc -l < "$tmp/one/metrics")" -gt 1200 ] || fail "only $(wc -l < "$tmp/one/metrics") values"
[ -s "$tmp/one/weights" ] || fail "no weights"
for other in two four loaders; do
    cmp "$tmp/one/metrics" "$tmp/$other/metrics" || fail "metrics of 'one' and '$other' differ"
    cmp "$tmp/one/weights" "$tmp/$other/weights" || fail "weights of 'one' and '$other' differ"
done
train seed --threads 2 --set seed=1
! cmp -s "$tmp/one/metrics" "$tmp/seed/metrics" || fail "another seed gave the same metrics"
echo "threads: $(wc -l < "$tmp/one/metrics") values, the same on 1, 2 and 4 threads and with 3 loaders"
