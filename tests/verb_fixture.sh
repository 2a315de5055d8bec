# shellcheck shell=bash
# A folder and a database of its own for a test of verbs: sourced first, with the program as $1.
set -euo pipefail
sak=$(realpath "$1")
script=$(realpath tests/scripts/tiny.lua)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export SAK_DB=$tmp/sak.db
fail() { echo "FAILED: $*" >&2; exit 1; }
has() { grep -qF -- "$2" "$1" || fail "no '$2' in: $(cat "$1")"; }
refused() { # status, words, arguments of sak
    local want=$1 words=$2 status=0
    shift 2
    "$sak" "$@" >out 2>err || status=$?
    [ "$status" = "$want" ] || fail "sak $* exited with $status, wanted $want: $(cat out err)"
    cat out >>err
    has err "$words"
}
