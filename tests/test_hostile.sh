#!/usr/bin/env bash
# Hostile scripts: each ends with the message its first line names, exit status 2, and nothing left
# behind, within seconds; --unsafe-lua lifts the sandbox and leaves its mark on the run.
set -eu
sak=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAIL: $*"; exit 1; }

scripts=$PWD/tests/scripts/hostile
limit=${SAK_HOSTILE_SECONDS:-60} # of wall time: the machine may be busy; processor time is asserted
cd "$tmp"
try() {
    local script=$1 wanted status=0
    wanted=$(sed -n '1s/^-- says: //p' "$script")
    [ -n "$wanted" ] || fail "$script does not say what is expected"
    (ulimit -t 25; exec timeout -s KILL "$limit" "$sak" check "$script") > out 2>&1 || status=$?
    [ "$status" = 2 ] || fail "$script: exit status $status: $(head -c 500 out)"
    grep -qE -- "$wanted" out || fail "$script says: $(head -c 500 out)"
    [ "$(wc -c < out)" -lt 1100000 ] || fail "$script floods the terminal"
}
for script in "$scripts"/*.lua; do
    try "$script"
done
[ "$(ls)" = out ] || fail "hostile scripts left: $(ls)"

# nothing is recorded of a script that may not run
status=0
"$sak" run "$scripts/router_goto.lua" --quiet > out 2>&1 || status=$?
[ "$status" = 2 ] || fail "run: exit status $status"
[ ! -e sak.db ] || [ "$("$sak" sql --csv 'select count(*) from runs' | tail -1 | tr -d '\r')" = 0 ] ||
    fail "a refused script left a run"

# without the sandbox a script has the whole library, and the run says so
sed 's/^local sak.*/&\nassert(os.time() > 0 and io.open)/' "$OLDPWD/tests/scripts/mini.lua" > open.lua
status=0
"$sak" run open.lua --quiet > out 2>&1 || status=$?
[ "$status" = 2 ] || fail "the sandbox let os through"
"$sak" run open.lua --quiet --unsafe-lua > out 2>&1 || fail "--unsafe-lua: $(cat out)"
"$sak" show @last | grep -q unsafe_lua || fail "--unsafe-lua is not recorded"
echo "ok: $(ls "$scripts" | wc -l) hostile scripts"
