#!/usr/bin/env bash
# scripts/lint passes on the engine, and fails on each kind of violation it exists for.
set -u
cd "$(dirname "$0")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

scripts/lint || { echo "FAIL: the engine breaks the layer table"; failed=1; }

# rejects NAME FILE TEXT: lint must fail on a tree with that one file, and name it.
rejects() {
    rm -rf "$work/engine"
    mkdir -p "$work/engine/$(dirname "$2")"
    printf '%s\n' "$3" > "$work/engine/$2"
    if out=$(scripts/lint "$work" 2>&1); then
        echo "FAIL: accepted $1"; failed=1
    elif ! grep -q "^engine/$2:" <<<"$out"; then
        echo "FAIL: $1 is reported without its place: $out"; failed=1
    fi
}
accepts() {
    rm -rf "$work/engine"
    mkdir -p "$work/engine/$(dirname "$2")"
    printf '%s\n' "$3" > "$work/engine/$2"
    out=$(scripts/lint "$work" 2>&1) || { echo "FAIL: rejected $1: $out"; failed=1; }
}

rejects "a folder that includes a higher one"       base/a.c    '#include "ops/op.h"'
rejects "siblings that include one another"         data/a.c    '#include "train/optim.h"'
rejects "an include without its folder"             ops/a.c     '#include "op.h"'
rejects "a folder outside the table"                misc/a.c    'int x;'
rejects "BLIS outside kernels"                      ops/a.c     '#include <blis.h>'
rejects "BLIS by its folder"                        ops/a.c     '#include <blis/blis.h>'
rejects "libpng outside data"                       metrics/a.c '#include <png.h>'
rejects "SQLite outside results"                    cli/a.c     '#include <sqlite3.h>'
rejects "Lua outside bind"                          cli/a.c     '#include <lua.h>'
rejects "exit below cli"                            graph/a.c   'void f(void) { exit(1); }'
rejects "abort below cli"                           kernels/a.c '    abort();'
rejects "printf below cli"                          tensor/a.c  'int f(void) { return printf("x"); }'
rejects "stderr below bind"                         ops/a.c     'int f(void) { return fputs("x", stderr); }'

accepts "a lower folder"                            ops/a.c     '#include "base/pool.h"'
accepts "its own folder"                            data/a.c    '#include "data/dataset.h"'
accepts "an owner's header"                         results/a.c '#include <sqlite3.h>'
accepts "words in comments and strings"             base/a.c    'char *s = "printf(x) stderr"; /* exit(1), abort() */ // stdout'
accepts "snprintf and fprintf to a given file"      ops/a.c     'int f(FILE *o) { char b[2]; return snprintf(b, 2, "x") + fprintf(o, "y"); }'
accepts "printing in cli"                           cli/a.c     'int f(void) { return printf("x"); }'

exit $failed
