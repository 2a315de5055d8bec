/* Preloaded into sak (LD_PRELOAD) by tests/test_many_runs.sh: appends to the file SAK_STEPS, for every
 * statement that ends, the rows it stepped over in scans of whole tables, the instructions SQLite's
 * virtual machine ran for it, and its text on one line. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

int sqlite3_finalize(sqlite3_stmt *st)
{
    static int (*finalize)(sqlite3_stmt *);
    if (!finalize)
        *(void **)&finalize = dlsym(RTLD_NEXT, "sqlite3_finalize");
    const char *path = getenv("SAK_STEPS"), *sql = st ? sqlite3_sql(st) : NULL;
    FILE *f = path && sql ? fopen(path, "a") : NULL;
    if (f) {
        fprintf(f, "%d %d ", sqlite3_stmt_status(st, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0),
                sqlite3_stmt_status(st, SQLITE_STMTSTATUS_VM_STEP, 0));
        for (; *sql; sql++)
            fputc(*sql == '\n' ? ' ' : *sql, f);
        fputc('\n', f);
        fclose(f);
    }
    return finalize(st);
}
