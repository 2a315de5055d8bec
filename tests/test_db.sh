#!/usr/bin/env bash
# `sak db check|backup|repair`: every kind of damage is found and named, repair mends it after a
# backup, and what the file still held is there afterwards.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r' | tail -1; }
write() { "$sak" sql --write "$1"; }
found() { # words that check must say, then its options
    local words=$1 status=0
    shift
    "$sak" db check "$@" > "$tmp/out" 2>&1 || status=$?
    [ "$status" = 1 ] || fail "check exited with $status, wanted 1 for: $words: $(cat "$tmp/out")"
    grep -q -- "$words" "$tmp/out" || fail "check does not say '$words': $(cat "$tmp/out")"
}
healthy() { "$sak" db check "$@" > "$tmp/out" 2>&1 || fail "check: $(cat "$tmp/out")"; }
repair() { "$sak" db repair > "$tmp/out" 2>&1 || fail "repair: $(cat "$tmp/out")"; }

for seed in 1 2; do
    "$sak" run tests/scripts/mini.lua --quiet --set seed=$seed > /dev/null
done
healthy --files
runs=$(value 'select count(*) from runs')
points=$(value 'select count(*) from metrics')
finals=$(value "select group_concat(metric || value || best || n) from (select * from finals order by run, metric)")

# backups are whole and never overwrite
"$sak" db backup "$tmp/copy.db" > /dev/null
[ "$("$sak" sql --csv --db "$tmp/copy.db" 'select count(*) from metrics' | tr -d '\r' | tail -1)" = "$points" ] || fail "the backup lacks points"
status=0
"$sak" db backup "$tmp/copy.db" > "$tmp/out" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q 'exists already' "$tmp/out" || fail "a backup was overwritten"

# what must agree
write "update metric_last set vmax = vmax + 1 where key_id = (select min(key_id) from metric_last)"
found 'disagrees with its points'
repair
ls "$tmp"/sak.db.repair-1.bak > /dev/null || fail "repair made no backup"
healthy
write "delete from metric_last where key_id = (select max(key_id) from metric_last)"
found 'is missing'
repair
write "drop view finals; drop index run_group"
found 'view finals is missing'
found 'index run_group is missing'
repair
write "update run set finished_us = null where id = 1"
found 'run 1 is done but has no end'
repair
write "update run set attempts = 3 where id = 2"
found 'run 2 counts 3 attempts'
repair
write "pragma foreign_keys = off" && sqlite3 "$SAK_DB" "delete from metric_key where id = (select min(key_id) from metric_point)" 2> /dev/null &&
    { found 'names a missing row of metric_key'; repair; [ "$(value 'select count(*) from metrics')" = "$points" ] || fail "points of a lost name are gone"
      cp "$tmp/copy.db" "$SAK_DB"; rm -f "$SAK_DB"-wal "$SAK_DB"-shm; }
healthy
[ "$(value "select group_concat(metric || value || best || n) from (select * from finals order by run, metric)")" = "$finals" ] || fail "repair changed the summaries"

# files of runs
picture=$(find "$tmp/runs" -name '*.safetensors' | head -1)
cp "$picture" "$tmp/kept"
printf x | dd of="$picture" bs=1 seek=100 conv=notrunc 2> /dev/null
healthy
found 'another content' --files
printf x >> "$picture"
found 'another size' --files
rm "$picture"
found 'No such file' --files
cp "$tmp/kept" "$picture"
healthy --files

# a spool of a killed run is taken in
"$sak" run tests/scripts/mini.lua --quiet --set seed=3 --set stages[1].iterations=100000 > /dev/null 2>&1 & pid=$!
until [ "$(value "select count(*) from metrics join runs using (run) where seed = 3")" -gt 5 ]; do sleep 0.1; done
status=0
"$sak" db repair > "$tmp/out" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q 'a run is writing' "$tmp/out" || fail "repair beside a living run: $status $(cat "$tmp/out")"
kill -9 $pid
wait $pid 2> /dev/null || true
repair
[ "$(value "select state from runs where seed = 3")" = lost ] || fail "the killed run is not lost"
healthy

# damaged pages: the rest is saved into a new file, the old one is kept
"$sak" sql --write "delete from run where seed = 3" # what is left is known
points=$(value 'select count(*) from metrics')
write "pragma wal_checkpoint" 2> /dev/null || true
"$sak" db backup "$tmp/whole.db" > /dev/null
damage() { # a page number
    cp "$tmp/whole.db" "$SAK_DB"
    rm -f "$SAK_DB"-wal "$SAK_DB"-shm
    yes damaged | head -c 4096 | dd of="$SAK_DB" bs=4096 seek="$1" conv=notrunc 2> /dev/null
}
pages=$(($(stat -c %s "$tmp/whole.db") / 4096))
salvaged=0 nothing=0 poor=0
for page in $(seq 1 $((pages / 7 + 1)) $((pages - 1))); do
    damage "$page"
    "$sak" db check > "$tmp/out" 2>&1 && continue # a free page
    repair
    if grep -q 'nothing could be read' "$tmp/out"; then # the page that names the tables
        nothing=$((nothing + 1))
        continue
    fi
    healthy
    ls "$SAK_DB".damaged-* > /dev/null 2>&1 && salvaged=$((salvaged + 1))
    rm -f "$SAK_DB".damaged-* "$SAK_DB".repair-*
    left=$(value 'select count(*) from metrics')
    # a page that leads to others, such as a small table's first, takes their rows along
    [ "$left" -gt $((points / 2)) ] || poor=$((poor + 1))
done
[ "$nothing" -le 2 ] || fail "$nothing damaged pages lost everything"
[ "$poor" -le 2 ] || fail "$poor damaged pages lost more than half of the points"
[ "$salvaged" -ge 1 ] || fail "no damaged page led to a salvage"
damage 0
repair
[ "$(value 'select count(*) from runs')" = 0 ] || fail "runs from nothing"
cmp -s "$SAK_DB".damaged-1 "$SAK_DB" && fail "the damaged file is not kept"

status=0
"$sak" db mend > "$tmp/out" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q 'db takes check, backup or repair' "$tmp/out" || fail "db mend: $(cat "$tmp/out")"
echo "ok: $runs runs, $points points, $salvaged salvages"
