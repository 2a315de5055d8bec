/* Which runs an export takes, and their points as CSV or JSON lines. */
#include "results/export.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "results/db.h"

/* --- the runs ----------------------------------------------------------------------------------- */

static sak_status add_run(sak_export *e, int64_t id, sak_error *err)
{
    int at = e->n_runs;
    while (at > 0 && e->runs[at - 1] > id)
        at--;
    if (at > 0 && e->runs[at - 1] == id)
        return SAK_OK;
    if ((e->n_runs & (e->n_runs - 1)) == 0) { /* full at 0, 1, 2, 4, … */
        const size_t room = e->n_runs ? 2 * (size_t)e->n_runs : 1;
        int64_t *more = realloc(e->runs, room * sizeof *more);
        if (!more)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        e->runs = more;
    }
    memmove(e->runs + at + 1, e->runs + at, (size_t)(e->n_runs - at) * sizeof *e->runs);
    e->runs[at] = id;
    e->n_runs++;
    return SAK_OK;
}

/* Adds the runs that a query over a name (?1) gives; *n is their number. */
static sak_status add_from(sak_export *e, const char *sql, const char *name, int *n, sak_error *err)
{
    const sak_value v = {.type = SAK_TEXT, .text = name, .bytes = strlen(name)};
    sak_rows *rows = NULL;
    bool more = false;
    *n = 0;
    SAK_TRY(sak_store_query(e->store, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st;
    while ((st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        if ((st = add_run(e, sak_rows_value(rows, 0).i, err)) != SAK_OK)
            break;
        ++*n;
    }
    sak_rows_close(rows);
    return st;
}

static sak_status add_named(sak_export *e, const char *name, sak_error *err)
{
    static const char of_sweep[] =
        "SELECT r.id FROM sweep s JOIN run r ON r.sweep_id = s.id WHERE s.name = ?1 ORDER BY r.id";
    static const char matching[] =
        "SELECT r.id FROM run r JOIN experiment e ON e.id = r.experiment_id"
        " LEFT JOIN sweep s ON s.id = r.sweep_id"
        " WHERE r.name GLOB ?1 OR e.name GLOB ?1 OR s.name GLOB ?1 ORDER BY r.id";
    int n = 0;
    if (strpbrk(name, "*?")) {
        SAK_TRY(add_from(e, matching, name, &n, err));
        return n ? SAK_OK
                 : SAK_FAIL(err, SAK_ENOENT, "no run, experiment or sweep matches '%s'; `sak ls` lists"
                                             " the runs", name);
    }
    SAK_TRY(add_from(e, of_sweep, name, &n, err));
    if (n)
        return SAK_OK;
    int64_t id = 0;
    SAK_TRY(sak_store_find_run(e->store, name, &id, err));
    return add_run(e, id, err);
}

sak_status sak_export_open(sak_export *e, sak_store *s, const char *const *what, int n_what,
                           const char *metric, sak_error *err)
{
    *e = (sak_export){.store = s, .metric = metric};
    sak_status st = SAK_OK;
    for (int i = 0; i < n_what && st == SAK_OK; i++)
        st = add_named(e, what[i], err);
    if (st != SAK_OK)
        sak_export_close(e);
    return st;
}

void sak_export_close(sak_export *e)
{
    free(e->runs);
    *e = (sak_export){0};
}

/* --- shared by the formats ---------------------------------------------------------------------- */

sak_status sak_export_query(sak_export *e, const char *sql, int64_t run, bool with_metric,
                            sak_rows **out, sak_error *err)
{
    const sak_value params[] = {
        {.type = SAK_INT, .i = run},
        {.type = e->metric ? SAK_TEXT : SAK_NULL, .text = e->metric},
    };
    const sak_query q = {.sql = sql, .params = params, .n_params = with_metric ? 2 : 1};
    return sak_store_query(e->store, &q, out, err);
}

sak_status sak_export_found(const sak_export *e, sak_error *err)
{
    if (e->points || !e->metric)
        return SAK_OK;
    return SAK_FAIL(err, SAK_ENOENT, "%s%d run%s recorded a metric that matches '%s'; `sak show RUN`"
                                     " lists a run's metrics", e->n_runs == 1 ? "" : "none of ",
                    e->n_runs, e->n_runs == 1 ? " never" : "s", e->metric);
}

sak_status sak_export_free_path(const char *path, sak_error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        return SAK_FAIL(err, SAK_EINVAL, "%s exists already; remove it or name another", path);
    return SAK_OK;
}

/* --- tables ------------------------------------------------------------------------------------- */

sak_status sak_export_table(sak_export *e, bool json_lines, FILE *out, sak_error *err)
{
    static const char sql[] = SAK_EXPORT_POINTS(
        "r.id AS run, r.uid, e.name AS experiment, s.name AS sweep, r.arm, r.cell, r.seed, r.state,"
        " m.metric, m.step, m.seconds, m.value");
    for (int i = 0; i < e->n_runs; i++) {
        sak_rows *rows = NULL;
        bool more = false;
        SAK_TRY(sak_export_query(e, sql, e->runs[i], true, &rows, err));
        if (i == 0 && !json_lines)
            sak_rows_csv_head(rows, out);
        sak_status st;
        for (; (st = sak_rows_next(rows, &more, err)) == SAK_OK && more && !ferror(out); e->points++) {
            if (json_lines) {
                sak_rows_json_row(rows, out);
                fputc('\n', out);
            } else {
                sak_rows_csv_row(rows, out);
            }
        }
        sak_rows_close(rows);
        SAK_TRY(st);
    }
    if (fflush(out) != 0 || ferror(out))
        return SAK_FAIL(err, SAK_EIO, "cannot write the output");
    return sak_export_found(e, err);
}

sak_status sak_export_table_file(sak_export *e, bool json_lines, const char *path, sak_error *err)
{
    sak_file_out file;
    SAK_TRY(sak_file_out_open(&file, path, err));
    /* A stream of its own over the same file: rows are printed, not assembled. */
    const int fd = dup(file.fd);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    sak_status st = f ? sak_export_table(e, json_lines, f, err)
                      : SAK_FAIL(err, SAK_EIO, "cannot write %s", path);
    if (f && fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_EIO, "cannot write %s", path);
    if (!f && fd >= 0)
        close(fd);
    if (st == SAK_OK)
        st = sak_file_out_commit(&file, err);
    sak_file_out_close(&file);
    return st;
}
