#!/usr/bin/env bash
# Eight processes on one database, for as long as an ordinary test may take; see crowd_test.sh.
set -eu
! grep -q __tsan_init "$1" || { echo "skipped: takes too long under the thread sanitizer"; exit 77; }
exec bash tests/crowd_test.sh "$1" 20
