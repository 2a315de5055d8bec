/* Dead runs: ingests what their spools hold and marks them lost. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/db.h"
#include "results/ingest.h"

#define FOREIGN_SILENCE_US INT64_C(900000000) /* another machine's run without a heartbeat: lost */

/* Says whether the process of a run's latest attempt is gone.  lock_free: nobody holds its spool,
 * or it has none. */
static sak_status is_dead(sqlite3 *db, int64_t run, int attempt, bool lock_free, bool *dead,
                          sak_error *err)
{
    *dead = false;
    char boot[96], host[256];
    sak_host_boot_id(boot);
    sak_host_name(host);
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db,
                           "SELECT boot_id = ?3, host = ?4, pid, pid_start, heartbeat_us"
                           " FROM attempt WHERE run_id = ?1 AND n = ?2",
                           &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int(st, 2, attempt);
    sak_db_bind_text(st, 3, boot);
    sak_db_bind_text(st, 4, host);
    if (sqlite3_step(st) == SQLITE_ROW) {
        const bool same_boot = sqlite3_column_int(st, 0), same_host = sqlite3_column_int(st, 1);
        const int64_t start = sak_host_pid_start(sqlite3_column_int64(st, 2));
        if (same_boot) /* a process of that number may be a later one */
            *dead = start == 0 || start != sqlite3_column_int64(st, 3);
        else if (lock_free && same_host)
            *dead = true;
        else if (lock_free)
            *dead = sak_now_us() - sqlite3_column_int64(st, 4) > FOREIGN_SILENCE_US;
    } else {
        *dead = lock_free;
    }
    sqlite3_finalize(st);
    return SAK_OK;
}

static sak_status add_event(sqlite3 *db, int64_t run, int attempt, const char *level,
                            const char *kind, const char *text, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db,
                           "INSERT INTO event(run_id, attempt, time_us, level, kind, text)"
                           " SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS (SELECT 1 FROM event"
                           "  WHERE run_id = ?1 AND attempt = ?2 AND kind = ?5)",
                           &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int(st, 2, attempt);
    sqlite3_bind_int64(st, 3, sak_now_us());
    sak_db_bind_text(st, 4, level);
    sak_db_bind_text(st, 5, kind);
    sak_db_bind_text(st, 6, text);
    const sak_status status =
        sqlite3_step(st) == SQLITE_DONE ? SAK_OK : sak_db_fail(db, err, "adding an event");
    sqlite3_finalize(st);
    return status;
}

/* In one transaction, and only while the run still counts as running in that attempt. */
static sak_status mark_lost(sqlite3 *db, int64_t run, int attempt, int *lost, sak_error *err)
{
    char sql[512];
    SAK_TRY(sak_db_exec(db, "BEGIN IMMEDIATE", err));
    snprintf(sql, sizeof sql,
             "UPDATE run SET state = 'lost', finished_us = max(started_us,"
             "  coalesce((SELECT heartbeat_us FROM attempt a WHERE a.run_id = run.id"
             "   AND a.n = run.attempts), 0),"
             "  started_us + coalesce((SELECT max(t_us) FROM metric_last l"
             "   WHERE l.run_id = run.id), 0))"
             " WHERE id = %" PRId64 " AND attempts = %d AND state = 'running'",
             run, attempt);
    sak_status status = sak_db_exec(db, sql, err);
    const bool marked = status == SAK_OK && sqlite3_changes(db) > 0;
    if (marked) {
        snprintf(sql, sizeof sql,
                 "UPDATE attempt SET state = 'lost',"
                 " ended_us = (SELECT finished_us FROM run WHERE id = run_id)"
                 " WHERE run_id = %" PRId64 " AND n = %d",
                 run, attempt);
        status = sak_db_exec(db, sql, err);
        if (status == SAK_OK)
            status = add_event(db, run, attempt, "error", "lost",
                               "the process ended without finishing the run", err);
    }
    if (status == SAK_OK)
        status = sak_db_exec(db, "COMMIT", err);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    if (status == SAK_OK && marked)
        (*lost)++;
    return status;
}

/* What lies behind a damaged record stays on disk under another name, and the run says so. */
static sak_status settle(sqlite3 *db, const sak_ingest *g, int fd, const char *path, sak_error *err)
{
    struct stat st = {0};
    fstat(fd, &st);
    const int64_t left = st.st_size - (int64_t)sak_ingest_offset(g);
    if (left <= 0) {
        unlink(path);
        return SAK_OK;
    }
    char text[160];
    const bool damaged = sak_ingest_tail(g) == SAK_TAIL_DAMAGED;
    snprintf(text, sizeof text,
             "the spool's record at byte %" PRIu64 " is %s; %" PRId64 " bytes were not read",
             sak_ingest_offset(g), damaged ? "damaged" : "incomplete", left);
    if (sak_ingest_run(g))
        SAK_TRY(add_event(db, sak_ingest_run(g), sak_ingest_attempt(g), "warn",
                          damaged ? "spool_damaged" : "spool_truncated", text, err));
    char *kept = sqlite3_mprintf("%s.%s", path, damaged ? "damaged" : "truncated");
    if (!kept)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    const bool done = rename(path, kept) == 0 || errno == ENOENT; /* somebody else was faster */
    sqlite3_free(kept);
    return done ? SAK_OK : SAK_FAIL(err, SAK_EIO, "cannot rename %s: %s", path, strerror(errno));
}

static sak_status recover_spool(sak_store *s, sqlite3 *db, const char *path, int *lost,
                                sak_error *err)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? SAK_OK : SAK_FAIL(err, SAK_EIO, "cannot open %s: %s", path,
                                                   strerror(errno));
    sak_status status = SAK_OK;
    sak_ingest *g = NULL;
    struct stat st;
    sak_spool_id id;
    bool dead = true;
    const bool locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
    if (fstat(fd, &st) != 0 || st.st_nlink == 0)
        goto out; /* somebody else was faster */
    if (sak_spool_identify(fd, &id, NULL) != SAK_OK || strcmp(id.store, s->uid) != 0)
        goto out; /* not ours to judge */
    if ((status = sak_ingest_open(db, fd, path, &g, err)) != SAK_OK)
        goto out;
    /* A lock can outlive its run: a child of the process may have inherited it, or somebody else is
     * at the same work.  Who wrote the spool its first records tell; reading them does no harm. */
    if (!locked && !sak_ingest_run(g))
        status = sak_ingest_all(g, err);
    if (status == SAK_OK && !locked && sak_ingest_run(g))
        status = is_dead(db, sak_ingest_run(g), (int)id.attempt, false, &dead, err);
    if (status != SAK_OK || !(locked || (sak_ingest_run(g) && dead)))
        goto out;
    sqlite3_exec(db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
    if ((status = sak_ingest_all(g, err)) == SAK_OK && sak_ingest_run(g) && !sak_ingest_finished(g))
        status = mark_lost(db, sak_ingest_run(g), (int)id.attempt, lost, err);
    if (status == SAK_OK)
        status = settle(db, g, fd, path, err);
out:
    sak_ingest_close(g);
    close(fd);
    return status;
}

/* Runs whose spool is gone, for instance with the folder: their process tells. */
static sak_status recover_spoolless(sak_store *s, sqlite3 *db, int *lost, sak_error *err)
{
    struct {
        int64_t run;
        int attempt;
    } found[64];
    for (;;) {
        sqlite3_stmt *st = NULL;
        int n = 0;
        const int before = *lost;
        SAK_TRY(sak_db_prepare(db,
                               "SELECT r.id, r.attempts, r.uid FROM run r"
                               " WHERE r.state = 'running'",
                               &st, err));
        while (n < 64 && sqlite3_step(st) == SQLITE_ROW) {
            const int attempt = sqlite3_column_int(st, 1);
            char *path = malloc(strlen(s->spools) + SAK_SPOOL_NAME);
            bool dead = false;
            if (path)
                sak_spool_path(s->spools, (const char *)sqlite3_column_text(st, 2), attempt, path);
            if (path && access(path, F_OK) != 0)
                (void)is_dead(db, sqlite3_column_int64(st, 0), attempt, true, &dead, NULL);
            free(path);
            if (dead) {
                found[n].run = sqlite3_column_int64(st, 0);
                found[n++].attempt = attempt;
            }
        }
        sqlite3_finalize(st);
        for (int i = 0; i < n; i++)
            SAK_TRY(mark_lost(db, found[i].run, found[i].attempt, lost, err));
        if (n < 64 || *lost == before)
            return SAK_OK;
    }
}

sak_status sak_store_recover(sak_store *s, int *lost, sak_error *err)
{
    int found = 0;
    if (lost)
        *lost = 0;
    if (!s->writable)
        return SAK_OK;
    sqlite3 *db = NULL;
    SAK_TRY(sak_db_connect(s->path, s->write ? SAK_DB_WAIT_MS : 2000, &db, err));
    sak_status status = SAK_OK;
    DIR *folder = opendir(s->spools);
    /* One bad spool does not hold up the others; a database that cannot be written does. */
    for (struct dirent *e; status != SAK_EDB && folder && (e = readdir(folder));) {
        const size_t n = strlen(e->d_name);
        if (n < 7 || strcmp(e->d_name + n - 6, ".spool") != 0)
            continue;
        char *path = sqlite3_mprintf("%s/%s", s->spools, e->d_name);
        const sak_status one = path ? recover_spool(s, db, path, &found, err)
                                    : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        status = one != SAK_OK ? one : status;
        sqlite3_free(path);
    }
    if (folder)
        closedir(folder);
    if (status != SAK_EDB) {
        const sak_status rest = recover_spoolless(s, db, &found, status == SAK_OK ? err : NULL);
        status = status == SAK_OK ? rest : status;
    }
    sqlite3_close(db);
    if (lost)
        *lost = found;
    return status;
}
