/* Spool records other than points → rows; see ingest_rows.h.  Texts are bound where they lie: a copy that found no
 * memory would be NULL, and the record be blamed for it. */
#include "results/ingest_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "results/ingest.h"

static sak_status run_once(sqlite3 *db, sqlite3_stmt *st, const char *doing, sak_error *err)
{
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        ;
    /* A CHECK that fails is the record's fault: retrying would not help. */
    const sak_status status = rc == SQLITE_DONE         ? SAK_OK
                              : rc == SQLITE_CONSTRAINT ? SAK_FAIL(err, SAK_EFORMAT, "%s: %s", doing,
                                                                   sqlite3_errmsg(db))
                                                        : sak_db_fail(db, err, doing);
    sqlite3_finalize(st);
    return status;
}

static void bind_field(sqlite3_stmt *st, int at, sak_fields *f)
{
    size_t n;
    const char *text = sak_take_text(f, &n);
    if (text)
        sqlite3_bind_text(st, at, text, (int)n, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, at);
}

static sak_status bad(sak_error *err, const char *what)
{
    return SAK_FAIL(err, SAK_EFORMAT, "a spool's %s record is not what it should be", what);
}

sak_status sak_rows_put_blob(sqlite3 *db, const char *text, size_t n, const char *kind, char sha[65],
                             sak_error *err)
{
    sha[0] = 0;
    if (!text)
        return SAK_OK;
    sak_hex_sha256(text, n, sha);
    sqlite3_stmt *st = NULL;
    uLongf packed = compressBound((uLong)n);
    Bytef *z = malloc(packed ? packed : 1);
    if (!z)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    const bool smaller = compress2(z, &packed, (const Bytef *)text, (uLong)n, 6) == Z_OK && packed < n;
    sak_status status = sak_db_prepare(
        db,
        "INSERT INTO blob(sha256, kind, size, zbody) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT(sha256) DO NOTHING",
        &st, err);
    if (status == SAK_OK) {
        sak_db_bind_text(st, 1, sha);
        sak_db_bind_text(st, 2, kind);
        sqlite3_bind_int64(st, 3, (sqlite3_int64)n);
        /* A zero-length blob needs a pointer to stay a blob. */
        sqlite3_bind_blob64(st, 4, smaller ? (const void *)z : n ? text : "",
                            smaller ? packed : n, SQLITE_STATIC);
        status = run_once(db, st, "storing a text", err);
    }
    free(z);
    return status;
}

static sak_status name_row(sqlite3 *db, const char *sql, const char *name, size_t n, int64_t time,
                           sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, sql, &st, err));
    sqlite3_bind_text(st, 1, name, (int)n, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, time);
    return run_once(db, st, sql, err);
}

/* Fields: i64 started, experiment, name, kind, sweep, i64 trial, arm, i64 arm_index, cell,
 * i64 seed, script_path, script_text, config_json, config_sha256, group, compare, data_id,
 * git_commit, i64 git_dirty, git_diff, frozen_json (absent in spools of an earlier sak). */
sak_status sak_rows_run(sqlite3 *db, const char *uid, sak_fields *f, int64_t *run, sak_error *err)
{
    size_t n_experiment, n_name, n_kind, n_sweep, n_script, n_diff, n_frozen = 0;
    char script_sha[65], diff_sha[65], frozen_sha[65];
    sqlite3_stmt *st = NULL;
    const int64_t started = sak_take_i64(f);
    const char *experiment = sak_take_text(f, &n_experiment);
    const char *name = sak_take_text(f, &n_name);
    const char *kind = sak_take_text(f, &n_kind);
    const char *sweep = sak_take_text(f, &n_sweep);
    if (f->bad || !experiment || !name || !kind)
        return bad(err, "run");
    SAK_TRY(name_row(db, "INSERT OR IGNORE INTO experiment(name, created_us) VALUES (?1, ?2)",
                     experiment, n_experiment, started, err));
    if (sweep)
        SAK_TRY(name_row(db, "INSERT OR IGNORE INTO sweep(name, created_us) VALUES (?1, ?2)", sweep,
                         n_sweep, started, err));
    SAK_TRY(sak_db_prepare(
        db,
        "INSERT INTO run(uid, experiment_id, name, kind, sweep_id, trial_id, arm, arm_index, cell,"
        " seed, state, started_us, script_path, script_sha256, config_json, config_sha256,"
        " group_sha256, compare_sha256, data_id, git_commit, git_dirty, git_diff_sha256,"
        " frozen_sha256)"
        " VALUES (?1, (SELECT id FROM experiment WHERE name = ?2), ?3, ?4,"
        " (SELECT id FROM sweep WHERE name = ?5), (SELECT id FROM trial WHERE id = ?6), ?7, ?8, ?9,"
        " ?10, 'running', ?11, ?12, nullif(?13, ''), ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
        " nullif(?21, ''), nullif(?22, ''))"
        " ON CONFLICT(uid) DO NOTHING",
        &st, err));
    sak_db_bind_text(st, 1, uid);
    sqlite3_bind_text(st, 2, experiment, (int)n_experiment, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, name, (int)n_name, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, kind, (int)n_kind, SQLITE_STATIC);
    if (sweep)
        sqlite3_bind_text(st, 5, sweep, (int)n_sweep, SQLITE_STATIC);
    const int64_t trial = sak_take_i64(f);
    sqlite3_bind_int64(st, 6, trial);
    bind_field(st, 7, f);
    sqlite3_bind_int64(st, 8, sak_take_i64(f));
    if (!sweep)
        sqlite3_bind_null(st, 8);
    bind_field(st, 9, f);
    sqlite3_bind_int64(st, 10, sak_take_i64(f));
    sqlite3_bind_int64(st, 11, started);
    bind_field(st, 12, f);
    const char *script = sak_take_text(f, &n_script);
    for (int i = 14; i <= 19; i++) /* config_json … git_commit */
        bind_field(st, i, f);
    sqlite3_bind_int64(st, 20, sak_take_i64(f));
    const char *diff = sak_take_text(f, &n_diff);
    const char *frozen = f->n ? sak_take_text(f, &n_frozen) : NULL;
    sak_status status = f->bad ? bad(err, "run") : SAK_OK;
    if (status == SAK_OK)
        status = sak_rows_put_blob(db, script, n_script, "script", script_sha, err);
    if (status == SAK_OK)
        status = sak_rows_put_blob(db, diff, n_diff, "diff", diff_sha, err);
    if (status == SAK_OK)
        status = sak_rows_put_blob(db, frozen, n_frozen, "frozen", frozen_sha, err);
    if (status != SAK_OK) {
        sqlite3_finalize(st);
        return status;
    }
    sak_db_bind_text(st, 13, script_sha);
    sak_db_bind_text(st, 21, diff_sha);
    sak_db_bind_text(st, 22, frozen_sha);
    SAK_TRY(run_once(db, st, "adding a run", err));
    SAK_TRY(sak_db_prepare(db, "SELECT id FROM run WHERE uid = ?1", &st, err));
    sak_db_bind_text(st, 1, uid);
    *run = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    if (!*run)
        return SAK_FAIL(err, SAK_EDB, "run %s was not added", uid);
    if (trial) {
        SAK_TRY(sak_db_prepare(db, "UPDATE trial SET run_id = ?2 WHERE id = ?1", &st, err));
        sqlite3_bind_int64(st, 1, trial);
        sqlite3_bind_int64(st, 2, *run);
        SAK_TRY(run_once(db, st, "linking a trial", err));
    }
    return SAK_OK;
}

/* A resumed attempt takes points back: every summary of the run is made anew. */
static sak_status recompute_run(sqlite3 *db, int64_t run, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    int64_t *keys = NULL;
    size_t n = 0;
    int rc;
    SAK_TRY(sak_db_prepare(db, "SELECT key_id, count(*) OVER () FROM metric_last WHERE run_id = ?1",
                           &st, err));
    sqlite3_bind_int64(st, 1, run);
    sak_status status = SAK_OK;
    while (status == SAK_OK && (rc = sqlite3_step(st)) != SQLITE_DONE) {
        if (rc == SQLITE_ROW && !keys)
            keys = malloc((size_t)sqlite3_column_int64(st, 1) * sizeof *keys);
        if (rc != SQLITE_ROW)
            status = sak_db_fail(db, err, "summing up a run");
        else if (!keys)
            status = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        else
            keys[n++] = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    if (status == SAK_OK)
        status = sak_db_prepare(db, "DELETE FROM metric_last WHERE run_id = ?1", &st, err);
    if (status == SAK_OK) {
        sqlite3_bind_int64(st, 1, run);
        status = run_once(db, st, "summing up a run", err);
    }
    for (size_t i = 0; status == SAK_OK && i < n; i++)
        status = sak_ingest_recompute(db, run, keys[i], err);
    free(keys);
    return status;
}

/* Fields: i64 has_resumed_step, i64 resumed_step, i64 started, i64 pid, i64 pid_start, host,
 * boot_id, argv, env, sak_version, i64 threads, cpu, blis_kernel, isa. */
sak_status sak_rows_attempt(sqlite3 *db, int64_t run, int attempt, sak_fields *f, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(
        db,
        "INSERT INTO attempt(run_id, n, resumed_step, state, started_us, heartbeat_us, pid,"
        " pid_start, host, boot_id, argv, env, sak_version, threads, cpu, blis_kernel, isa)"
        " VALUES (?1, ?2, ?3, 'running', ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
        " ON CONFLICT DO NOTHING",
        &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int(st, 2, attempt);
    const bool resumed = sak_take_i64(f) != 0;
    const int64_t step = sak_take_i64(f);
    if (resumed)
        sqlite3_bind_int64(st, 3, step);
    sqlite3_bind_int64(st, 4, sak_take_i64(f));
    sqlite3_bind_int64(st, 5, sak_take_i64(f));
    sqlite3_bind_int64(st, 6, sak_take_i64(f));
    for (int i = 7; i <= 11; i++) /* host … sak_version */
        bind_field(st, i, f);
    sqlite3_bind_int64(st, 12, sak_take_i64(f));
    for (int i = 13; i <= 15; i++)
        bind_field(st, i, f);
    if (f->bad) {
        sqlite3_finalize(st);
        return bad(err, "attempt");
    }
    SAK_TRY(run_once(db, st, "adding an attempt", err));
    SAK_TRY(sak_db_prepare(db,
                           "UPDATE run SET attempts = ?2, state = 'running', finished_us = NULL"
                           " WHERE id = ?1 AND attempts < ?2",
                           &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int(st, 2, attempt);
    SAK_TRY(run_once(db, st, "adding an attempt", err));
    return resumed ? recompute_run(db, run, err) : SAK_OK;
}

/* Fields: goal, unit, task. */
sak_status sak_rows_describe(sqlite3 *db, int64_t key, sak_fields *f, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(
        db,
        "UPDATE metric_key SET goal = coalesce(CASE WHEN ?2 IN ('min', 'max') THEN ?2 END, goal),"
        " unit = coalesce(?3, unit), task = coalesce(?4, task) WHERE id = ?1"
        " AND (goal IS NOT coalesce(?2, goal) OR unit IS NOT coalesce(?3, unit)"
        "  OR task IS NOT coalesce(?4, task))",
        &st, err));
    sqlite3_bind_int64(st, 1, key);
    for (int i = 2; i <= 4; i++)
        bind_field(st, i, f);
    if (f->bad) {
        sqlite3_finalize(st);
        return bad(err, "metric description");
    }
    return run_once(db, st, "describing a metric", err);
}

/* Fields: state, i64 time. */
sak_status sak_rows_finish(sqlite3 *db, int64_t run, int attempt, sak_fields *f, sak_error *err)
{
    size_t n;
    const char *state = sak_take_text(f, &n);
    const int64_t time = sak_take_i64(f);
    if (f->bad || !state)
        return bad(err, "finish");
    static const char *const sql[] = {
        "UPDATE run SET state = ?3, finished_us = ?4 WHERE id = ?1 AND attempts = ?2",
        "UPDATE attempt SET state = ?3, ended_us = ?4, heartbeat_us = ?4 WHERE run_id = ?1 AND n = ?2",
    };
    for (int i = 0; i < 2; i++) {
        sqlite3_stmt *st = NULL;
        SAK_TRY(sak_db_prepare(db, sql[i], &st, err));
        sqlite3_bind_int64(st, 1, run);
        sqlite3_bind_int(st, 2, attempt);
        sqlite3_bind_text(st, 3, state, (int)n, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, time);
        SAK_TRY(run_once(db, st, "finishing a run", err));
    }
    return SAK_OK;
}

static sak_status other_sql(uint32_t type, const char **sql, const char **layout)
{
    /* Layout: s a text, i an integer, n one that is NULL below 0, d a number that is NULL when it is
     * not finite. */
    switch (type) {
    case SAK_RECORD_PARAM:
        *sql = "INSERT OR REPLACE INTO param(run_id, path, type, num, txt, origin)"
               " SELECT ?1, ?3, ?4, ?5, ?6, ?7 WHERE ?2";
        *layout = "ssdss";
        return SAK_OK;
    case SAK_RECORD_TAG:
        *sql = "INSERT OR REPLACE INTO tag(run_id, name, value) SELECT ?1, ?3, ?4 WHERE ?2";
        *layout = "ss";
        return SAK_OK;
    case SAK_RECORD_EVENT:
        *sql = "INSERT INTO event(run_id, attempt, time_us, level, kind, step, text)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        *layout = "issns";
        return SAK_OK;
    case SAK_RECORD_ARTIFACT:
        *sql = "INSERT INTO artifact(run_id, attempt, time_us, kind, path, sha256, bytes)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(run_id, path) DO UPDATE SET"
               " attempt = excluded.attempt, time_us = excluded.time_us, kind = excluded.kind,"
               " sha256 = excluded.sha256, bytes = excluded.bytes";
        *layout = "isssn";
        return SAK_OK;
    default:
        return SAK_EFORMAT;
    }
}

sak_status sak_rows_other(sqlite3 *db, int64_t run, int attempt, uint32_t type, sak_fields *f,
                          sak_error *err)
{
    const char *sql, *layout;
    sqlite3_stmt *st = NULL;
    if (other_sql(type, &sql, &layout) != SAK_OK)
        return bad(err, "unknown");
    SAK_TRY(sak_db_prepare(db, sql, &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int(st, 2, attempt);
    for (int i = 0; layout[i]; i++) {
        double v;
        int64_t whole;
        switch (layout[i]) {
        case 's':
            bind_field(st, 3 + i, f);
            break;
        case 'i':
            sqlite3_bind_int64(st, 3 + i, sak_take_i64(f));
            break;
        case 'n':
            whole = sak_take_i64(f);
            if (whole >= 0)
                sqlite3_bind_int64(st, 3 + i, whole);
            break;
        default:
            v = sak_take_f64(f);
            if (isfinite(v))
                sqlite3_bind_double(st, 3 + i, v);
        }
    }
    if (f->bad) {
        sqlite3_finalize(st);
        return bad(err, "short");
    }
    return run_once(db, st, "adding a row", err);
}
