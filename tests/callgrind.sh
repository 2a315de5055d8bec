#!/usr/bin/env bash
# Instructions of one training step, both stages, counted under callgrind against what is recorded: more
# than 3% above fails.  One thread, AVX2 kernels (valgrind knows no AVX-512), so the count is the same on
# any machine with the same compiler; another compiler, or no valgrind, skips.
#   tests/callgrind.sh build/sak            compare (scripts/test callgrind)
#   tests/callgrind.sh build/sak --record   after a change that is meant to cost, or that saved a lot
set -euo pipefail
sak=$1
recorded=tests/fixtures/callgrind.txt
limit=103 # percent

command -v valgrind > /dev/null || { echo "SKIP: valgrind is not installed"; exit 77; }
compiler=$(readelf -p .comment "$sak" 2> /dev/null | grep -o 'GCC: .*' | head -n 1 || true)
[ -n "$compiler" ] || compiler=unknown
if [ "${2:-}" != --record ] && [ "$(sed -n 's/^compiler //p' "$recorded")" != "$compiler" ]; then
    echo "SKIP: recorded for $(sed -n 's/^compiler //p' "$recorded"), this is $compiler"
    exit 77
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset SAK_GEMM SAK_LUA_ROOT SAK_PROFILE
export SAK_ISA=avx2 BLIS_ARCH_TYPE=7 # BLIS 0.9.0's number of its haswell kernels

# Lines "stage1 total N" and "stage1 FUNCTION N" of every function above 1%.
count() {
    local stage
    for stage in stage1 stage2; do
        # the steps run in a forked process: the file that holds counts is its
        valgrind --tool=callgrind --callgrind-out-file="$tmp/$stage.%p" --toggle-collect=sak_graph_forward \
            --toggle-collect=sak_graph_backward --toggle-collect=sak_optim_step \
            "$sak" bench "tiny_$stage" --steps 1 --threads 1 > "$tmp/$stage.out" 2> "$tmp/$stage.log" ||
            { cat "$tmp/$stage.log" >&2; return 1; }
        for file in "$tmp/$stage".[0-9]*; do
            callgrind_annotate --auto=no --threshold=100 "$file" 2> /dev/null | awk -v stage="$stage" '
                /PROGRAM TOTALS/ { gsub(",", "", $1); if ($1 + 0 == 0) exit; total = $1 + 0; next }
                total && /^ *[0-9][0-9,]* / {
                    n = $1; gsub(",", "", n)
                    name = $0; sub(/ \[[^]]*\]$/, "", name); sub(/.*:/, "", name); sub(/.*[ \/]/, "", name)
                    self[name] += n
                }
                END {
                    if (!total) exit
                    print stage, "total", total
                    for (name in self) if (self[name] > total / 100) print stage, name, self[name]
                }' | sort -k3,3nr
        done
    done
}
count > "$tmp/now"
[ "$(grep -c ' total ' "$tmp/now")" = 2 ] || { echo "FAIL: nothing was counted: $(cat "$tmp/now")"; exit 1; }

if [ "${2:-}" = --record ]; then
    { echo "compiler $compiler"; cat "$tmp/now"; } > "$recorded"
    grep ' total ' "$recorded"
    exit 0
fi
status=0
while read -r stage _ before; do
    now=$(awk -v s="$stage" '$1 == s && $2 == "total" { print $3 }' "$tmp/now")
    echo "$stage: $now instructions in 3 steps, recorded $before: $(awk "BEGIN { printf \"%+.2f%%\", ($now / $before - 1) * 100 }")"
    if [ $((now * 100)) -gt $((before * limit)) ]; then
        status=1
        echo "FAIL: $stage needs more than 3% more instructions. Where (recorded, now):"
        awk -v s="$stage" 'NR == FNR { if ($1 == s) was[$2] = $3; next }
            $1 == s { printf "  %-36s %12d %12d %+12d\n", $2, was[$2], $3, $3 - was[$2] }' "$recorded" "$tmp/now" |
            sort -k4,4gr | head -n 12
        echo "If that is meant: tests/callgrind.sh $sak --record, and say why in the commit."
    elif [ $((now * limit)) -lt $((before * 100)) ]; then
        echo "$stage needs less than recorded; keep the gain: tests/callgrind.sh $sak --record"
    fi
done < <(grep ' total ' "$recorded")
exit $status
