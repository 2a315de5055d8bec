#!/usr/bin/env bash
# Eight processes at once on one database: two run experiments, one sweeps, two query, one compares,
# one reports and exports, one checks and backs up.  No error is shown, and nothing is missing.
#   crowd_test.sh SAK [SECONDS]       by hand: tests/crowd_test.sh build/sak 600
set -u
sak=$(realpath "$1") seconds=${2:-600}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }
value() { "$sak" sql --csv "$1" | tr -d '\r"' | tail -1; }
script=$PWD/tests/scripts/mini.lua sweep=$PWD/tests/scripts/mini_sweep.lua

"$sak" sweep "$sweep" --seeds 1 --threads 1 > /dev/null 2> "$tmp/err" || fail "$(cat "$tmp/err")"
"$sak" run "$script" --quiet --threads 1 --set seed=100000 > /dev/null 2> "$tmp/err" || fail "$(cat "$tmp/err")"
per_run=$(value "select count(*) from metrics join runs using (run) where seed = 100000")
per_trial=$(value "select count(*) from metrics where run = 1") # the first trial, undisturbed
until=$((SECONDS + seconds))

# Runs commands until the time is over; what fails, or says so, is kept in $tmp/complaint.<name>.
worker() {
    local name=$1 n=0
    while [ $SECONDS -lt $until ]; do
        n=$((n + 1))
        if ! "$name" "$n" > "$tmp/out.$name.$2" 2> "$tmp/err.$name.$2" ||
            grep -qi 'error\|locked\|busy\|warning\|malformed' "$tmp/err.$name.$2"; then
            { echo "$name, call $n:"; tail -qn 5 "$tmp/out.$name.$2" "$tmp/err.$name.$2"; } >> "$tmp/complaint.$name.$2"
        fi
        echo "$n" > "$tmp/calls.$name.$2"
    done
}
runs() { "$sak" run "$script" --quiet --threads 1 --set seed=$((who * 1000 + $1)); }
sweeps() { "$sak" sweep "$sweep" --quiet --threads 1 --seeds $((1 + $1)); }
queries() { # the number of points must never fall
    local before now
    before=$(cat "$tmp/points.$who" 2> /dev/null || echo 0)
    now=$("$sak" sql --csv "select count(*) from metrics" | tr -d '\r' | tail -1) && echo "$now" > "$tmp/points.$who"
    [ "$now" -ge "$before" ] || { echo "error: $before points, then $now" >&2; return 1; }
    "$sak" sql --csv "select run, metric, value from finals where metric glob 'val/*'" && "$sak" ls --json && "$sak" show @last
}
compares() { "$sak" compare mini --json && "$sak" compare mini --csv --metric "val/*"; }
reports() { "$sak" report mini -o "$tmp/report.html" && "$sak" export mini "$tmp/points.$1.csv" && rm "$tmp/points.$1.csv"; }
checks() { "$sak" db check && "$sak" db backup "$tmp/backup.db" && rm -f "$tmp/backup.db"; }

who=0
for name in runs runs sweeps queries queries compares reports checks; do
    who=$((who + 1))
    (worker $name $who) &
done
wait
cat "$tmp"/complaint.* 2> /dev/null && fail "errors were shown"

calls() { cat "$tmp"/calls."$1".* | paste -sd+ | bc; }
made=$(calls runs) trials=$((4 * (1 + $(calls sweeps))))
"$sak" db check --files > "$tmp/out" 2>&1 || fail "$(cat "$tmp/out")"
[ "$(value "select count(*) from runs where state = 'done' and sweep is null")" = $((made + 1)) ] || fail "runs are missing"
[ "$(value "select count(*) from trial where state = 'done'")" = $trials ] || fail "trials are missing"
[ "$(value "select count(*) from runs where state <> 'done'")" = 0 ] || fail "unfinished runs"
short=$(value "select count(*) from (select run, sweep from metrics join runs using (run) group by run having count(*) <> iif(sweep is null, $per_run, $per_trial))")
[ "$short" = 0 ] || fail "$short runs have not all their metrics"
[ -z "$(ls "$tmp/spool" 2> /dev/null)" ] || fail "spools are left: $(ls "$tmp/spool")"
echo "crowd: 8 processes for $seconds s: $made runs, $trials trials, $(calls queries) rounds of queries, $(calls compares)" \
    "comparisons, $(calls reports) reports, $(calls checks) checks and backups; $(value "select count(*) from metrics") points," \
    "no error, nothing missing"
