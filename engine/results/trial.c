/* The trial table: leases, and the state that follows from a trial's run; see sweep.h. */
#include <inttypes.h>
#include <string.h>

#include "results/lease.h"
#include "results/sweep.h"

/* Runs a statement to its end and releases it; *changed (may be NULL) receives the rows changed. */
static sak_status finish(sak_store *s, sqlite3_stmt *st, const char *doing, int *changed,
                         sak_error *err)
{
    const int rc = sqlite3_step(st);
    const sak_status status = rc == SQLITE_DONE ? SAK_OK : sak_db_fail(s->db, err, doing);
    sqlite3_finalize(st);
    if (changed)
        *changed = status == SAK_OK ? sqlite3_changes(s->db) : 0;
    return status;
}

sak_status sak_trial_lease(sak_store *s, int64_t trial, int64_t pid, bool *got, sak_error *err)
{
    char lease[SAK_LEASE_TEXT];
    sqlite3_stmt *st = NULL;
    int changed = 0;
    *got = false;
    SAK_TRY(sak_lease_of(pid, lease, err));
    SAK_TRY(sak_db_prepare(s->db,
                           "UPDATE trial SET state = 'running', attempts = attempts + 1,"
                           " lease_owner = ?2, error = NULL, updated_us = ?3"
                           " WHERE id = ?1 AND state = 'queued'",
                           &st, err));
    sqlite3_bind_int64(st, 1, trial);
    sak_db_bind_text(st, 2, lease);
    sqlite3_bind_int64(st, 3, sak_now_us());
    SAK_TRY(finish(s, st, "leasing a trial", &changed, err));
    *got = changed > 0;
    return SAK_OK;
}

sak_status sak_trial_fail(sak_store *s, int64_t trial, const char *text, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db,
                           "UPDATE trial SET state = 'failed', lease_owner = NULL, error = ?2,"
                           " updated_us = ?3 WHERE id = ?1 AND state IN ('queued', 'running')",
                           &st, err));
    sqlite3_bind_int64(st, 1, trial);
    sak_db_bind_text(st, 2, text);
    sqlite3_bind_int64(st, 3, sak_now_us());
    return finish(s, st, "failing a trial", NULL, err);
}

/* A trial whose process is gone.  A run that was stopped, or lost with its process, left the trial
 * undone, unless the stopper ended it. */
static sak_status settle(sak_store *s, int64_t trial, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(
        s->db,
        "UPDATE trial SET lease_owner = NULL, updated_us = ?2,"
        " state = coalesce((SELECT CASE WHEN r.state IN ('done', 'failed') THEN r.state"
        "   WHEN r.state = 'stopped' AND EXISTS (SELECT 1 FROM tag g WHERE g.run_id = r.id"
        "    AND g.name = 'pruned') THEN 'pruned' END FROM run r WHERE r.id = run_id), 'queued'),"
        " error = (SELECT e.text FROM run r JOIN event e ON e.run_id = r.id AND e.level = 'error'"
        "   WHERE r.id = trial.run_id AND r.state = 'failed' ORDER BY e.id DESC LIMIT 1)"
        " WHERE id = ?1 AND state = 'running'",
        &st, err));
    sqlite3_bind_int64(st, 1, trial);
    sqlite3_bind_int64(st, 2, sak_now_us());
    return finish(s, st, "settling a trial", NULL, err);
}

sak_status sak_sweep_settle(sak_store *s, int64_t sweep, int *running, sak_error *err)
{
    enum { MANY = 64 };
    int64_t dead[MANY];
    int n;
    do { /* the list ends before anything changes: one statement must not walk what another moves */
        sqlite3_stmt *st = NULL;
        n = 0;
        *running = 0;
        SAK_TRY(sak_db_prepare(s->db,
                               "SELECT id, lease_owner FROM trial WHERE sweep_id = ?1"
                               " AND state = 'running' ORDER BY n",
                               &st, err));
        sqlite3_bind_int64(st, 1, sweep);
        while (n < MANY && sqlite3_step(st) == SQLITE_ROW) {
            if (sak_lease_pid((const char *)sqlite3_column_text(st, 1)))
                ++*running;
            else
                dead[n++] = sqlite3_column_int64(st, 0);
        }
        sqlite3_finalize(st);
        /* In this order: what a process found dead has written is all there. */
        if (n > 0)
            SAK_TRY(sak_store_recover(s, NULL, err));
        for (int i = 0; i < n; i++)
            SAK_TRY(settle(s, dead[i], err));
    } while (n == MANY);
    return SAK_OK;
}

sak_status sak_sweep_retry(sak_store *s, int64_t sweep, int *n, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db,
                           "UPDATE trial SET state = 'queued', run_id = NULL, error = NULL,"
                           " updated_us = ?2 WHERE sweep_id = ?1 AND state = 'failed'",
                           &st, err));
    sqlite3_bind_int64(st, 1, sweep);
    sqlite3_bind_int64(st, 2, sak_now_us());
    return finish(s, st, "queueing failed trials again", n, err);
}
