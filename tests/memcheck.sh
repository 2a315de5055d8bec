#!/usr/bin/env bash
# A tiny run, its checkpoint taken up again, and a query, under valgrind's memcheck: no invalid access,
# nothing lost (scripts/test valgrind).  One thread, AVX2 kernels: valgrind knows no AVX-512.
set -euo pipefail
sak=$1
command -v valgrind > /dev/null || { echo "SKIP: valgrind is not installed"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset SAK_GEMM SAK_LUA_ROOT SAK_PROFILE
export SAK_DB=$tmp/sak.db SAK_ISA=avx2 BLIS_ARCH_TYPE=7 # BLIS 0.9.0's number of its haswell kernels
check() {
    valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite "$sak" "$@" \
        > "$tmp/out" 2> "$tmp/err" || { cat "$tmp/err"; echo "FAIL: sak $*"; exit 1; }
}
check run tests/scripts/mini.lua --quiet --threads 2
check sql "select metric, value from finals"
check db check --files
check replay 1 --quiet
echo "ok"
