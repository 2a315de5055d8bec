#!/usr/bin/env bash
# What the verbs and views cost in a database of many runs, counted instead of timed: nothing but a
# look at the points themselves walks through the points or their summaries, and three times the
# points cost nothing anywhere else.
#   tests/test_many_runs.sh BUILD/sak
set -eu
sak=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
libraries=$(ldd "$sak" 2> /dev/null || true)
case $libraries in *libasan* | *libtsan* | *libubsan*) echo "a sanitizer must be the first library"; exit 77 ;; esac
case $libraries in *libsqlite3*) ;; *) echo "SQLite is not a library of this sak"; exit 77 ;; esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
fail() { echo "FAIL: $*"; exit 1; }
cd "$tmp"
cc -shared -fPIC -O1 -o shim.so "$here/plans/shim.c" -ldl

runs=330
for many in 1 3; do
    SAK=$sak "$here/../scripts/fill_db" $runs $((many * runs * 240)) $many.db > filled || fail "fill_db: $(cat filled)"
done
[ "$("$sak" sql --csv --db 1.db "select count(*) from metric_last" | tail -1 | tr -d '\r')" -gt $((runs * 100)) ] || fail "few summaries"
"$sak" db check --db 3.db > said || fail "fill_db makes what db check refuses: $(cat said)"

# Sums over all statements of a command, the database's own counts of points aside.
costs() { # database, words
    rm -f steps
    SAK_STEPS=$tmp/steps SAK_DB=$1.db LD_PRELOAD=$tmp/shim.so "$sak" "${@:2}" > out 2> err || fail "sak ${*:2}: $(cat err)"
    awk '{ scanned += $1; steps += $2 } END { print scanned + 0, steps + 0 }' steps
}
n=0 per=450
check() { # words; per: SQLite's instructions per run of the database
    local scanned steps more_scanned more
    read -r scanned steps < <(costs 1 "$@")
    read -r more_scanned more < <(costs 3 "$@")
    [ "$steps" -gt 20 ] || fail "sak $*: nothing was counted"
    [ "$more_scanned" -le $((20 * runs)) ] || fail "sak $*: scans $more_scanned rows: $(sort -n steps | tail -1)"
    [ "$steps" -le $((per * runs)) ] || fail "sak $*: $steps steps: $(sort -nk2 steps | tail -1)"
    [ "$more" -le $((steps + steps / 50)) ] || fail "sak $*: $steps steps, with more points $more: $(sort -nk2 steps | tail -1)"
    n=$((n + 1))
}
check ls
per=1200 check ls --json
check ls failed
check ls arms-1
check ls --sweeps
check show 21
check show 21 --json
check compare arms-1
check compare search --metric 'val/*'
check compare 21 26
check sql "select * from delta_m where run = 21"
check sql "select arm, seed, delta_m from delta_m where sweep = 'arms-1'"
check sql "select * from seed_stats where sweep = 'arms-1' and metric = 'val/edge/odsF'"
check sql "select * from paired where sweep = 'arms-1' and metric = 'val/edge/odsF'"
per=1500 check sql "select * from paired where sweep = 'search' and metric glob 'val/*'"
check sql "select g.arm, task, level, avg(weight) from routing g join runs using (run) where sweep = 'arms-1' group by 1, 2, 3"
# what a report draws costs what its points cost; the rest of it does not scan either
read -r scanned steps < <(costs 3 report arms-1 -o report.html)
[ "$scanned" -le $((20 * runs)) ] || fail "sak report scans $scanned rows: $(sort -n steps | tail -1)"
[ "$steps" -le $((20 * 720 * 25 + per * runs)) ] || fail "sak report takes $steps steps"
while IFS= read -r query; do
    case $query in
    *"FROM metrics "*) # reads points: those of one run and metric
        read -r scanned steps < <(costs 3 sql "$query")
        [ "$scanned" = 0 ] || fail "$query scans $scanned rows"
        [ "$steps" -lt 5000 ] || fail "$query takes $steps steps" ;;
    *) check sql "$query" ;;
    esac
done < <(script -qec "$sak sql" /dev/null | tr -d '\r' |
    awk 'BEGIN { RS = "" } /^      / { gsub(/[ \n]+/, " "); sub(/^ /, ""); print }')
[ "$n" -ge 20 ] || fail "only $n commands were looked at"
# queries that are written down elsewhere answer too
written=0
while IFS= read -r query; do
    "$sak" sql --csv --db 1.db "$query" > out 2> err || fail "a documented query: $query: $(cat err)"
    written=$((written + 1))
done < <({ cat "$here/../README.md" "$here"/../results/*.md && "$sak" help sql; } |
    sed -n '/--write/d; s/.*sak sql [^"]*"\([^"]*\)".*/\1/p')
[ "$written" -ge 3 ] || fail "only $written documented queries were found"
# the counter can tell: a sum over all points is seen
read -r scanned steps < <(costs 3 sql "select sum(value) from metric_point")
[ "$scanned" -gt $((runs * 500)) ] || fail "a scan of all points was not counted: $scanned"
echo "many runs: $written queries of the documents answer, $n commands at $runs runs walk through no points"
