/* Checks: what SQLite can tell of its file, and what must agree between tables, spools and files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "results/db.h"
#include "results/spool.h"

/* A statement whose every row is a problem, its one column the line that tells it. */
static sak_status tell(sqlite3 *db, const char *sql, FILE *problems, int *found, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, sql, &st, err));
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text && strcmp(text, "ok") == 0)
            continue;
        ++*found;
        if (problems)
            fprintf(problems, "%s\n", text ? text : "?");
    }
    const sak_status status = rc == SQLITE_DONE ? SAK_OK : sak_db_fail(db, err, "checking");
    sqlite3_finalize(st);
    return status;
}

static sak_status verdict(const sak_store *s, int found, sak_error *err)
{
    if (found == 0)
        return SAK_OK;
    return SAK_FAIL(err, SAK_EDB, "%s: %d problem%s found; `sak db repair` mends what can be mended",
                    s->path, found, found == 1 ? "" : "s");
}

static sak_status check_file(sqlite3 *db, FILE *problems, int *found, sak_error *err)
{
    SAK_TRY(tell(db, "PRAGMA integrity_check(100)", problems, found, err));
    return tell(db,
                "SELECT 'table ' || \"table\" || coalesce(' row ' || rowid, '') || ' names a missing"
                " row of ' || parent FROM pragma_foreign_key_check",
                problems, found, err);
}

sak_status sak_store_check(sak_store *s, FILE *problems, sak_error *err)
{
    int found = 0;
    SAK_TRY(check_file(s->db, problems, &found, err));
    return verdict(s, found, err);
}

/* --- what must agree -------------------------------------------------------------------------- */

/* metric_last against the points that stand.  Sums are compared as sums of another order. */
static const char last_sql[] =
    "WITH p AS MATERIALIZED (SELECT p.* FROM metric_point p WHERE"
    "  NOT EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = p.run_id AND a.n > p.attempt"
    "   AND a.resumed_step < p.step)"
    "  AND NOT EXISTS (SELECT 1 FROM metric_point q WHERE q.run_id = p.run_id"
    "   AND q.key_id = p.key_id AND q.step = p.step AND q.attempt > p.attempt)),"
    " a AS (SELECT run_id, key_id, max(step) AS step, min(value) AS vmin, max(value) AS vmax,"
    "  coalesce(sum(value), 0) AS vsum, coalesce(sum(abs(value)), 0) AS size, count(*) AS n,"
    "  count(*) - count(value) AS bad FROM p GROUP BY run_id, key_id)"
    " SELECT 'run ' || a.run_id || ': the summary of metric ' || coalesce((SELECT name FROM"
    "   metric_key WHERE id = a.key_id), a.key_id) || CASE WHEN l.n IS NULL THEN ' is missing'"
    "   ELSE ' disagrees with its points' END"
    "  FROM a LEFT JOIN metric_last l USING (run_id, key_id)"
    "  WHERE l.n IS NULL OR l.step <> a.step OR l.n <> a.n OR l.n_nonfinite <> a.bad"
    "   OR l.vmin IS NOT a.vmin OR l.vmax IS NOT a.vmax OR abs(l.vsum - a.vsum) > 1e-9 * a.size"
    "   OR l.value IS NOT (SELECT value FROM metric_point q WHERE q.run_id = a.run_id"
    "    AND q.key_id = a.key_id AND q.step = a.step AND q.attempt = l.attempt)"
    " UNION ALL SELECT 'run ' || run_id || ': a summary of metric ' || key_id || ' without points'"
    "  FROM metric_last l WHERE NOT EXISTS (SELECT 1 FROM metric_point q"
    "   WHERE q.run_id = l.run_id AND q.key_id = l.key_id)";

static const char *const state_sql[] = {
    "SELECT 'run ' || id || ' is ' || state || ' but has no end' FROM run"
    " WHERE state <> 'running' AND finished_us IS NULL",
    "SELECT 'run ' || id || ' counts ' || attempts || ' attempts, the table has ' ||"
    "  (SELECT count(*) FROM attempt WHERE run_id = run.id) FROM run"
    " WHERE attempts <> coalesce((SELECT max(n) FROM attempt WHERE run_id = run.id), 0)",
    "SELECT 'run ' || i.run_id || ': ' || i.points || ' points were read from ' || i.spool ||"
    "  ', the table has ' || count(p.step)"
    " FROM ingest i LEFT JOIN metric_point p ON p.run_id = i.run_id AND p.attempt = i.attempt"
    " GROUP BY i.run_id, i.attempt HAVING count(p.step) > i.points OR (i.points > 0 AND"
    "  count(p.step) = 0)",
};

/* Tables, indexes and views against those that this sak makes. */
static sak_status check_schema(sqlite3 *db, FILE *problems, int *found, sak_error *err)
{
    sqlite3 *own = NULL;
    sqlite3_stmt *want = NULL, *have = NULL;
    sak_status status = SAK_OK;
    if (sqlite3_open(":memory:", &own) != SQLITE_OK)
        status = sak_db_fail(own, err, "checking the schema");
    if (status == SAK_OK)
        status = sak_db_migrate(own, ":memory:", sak_migrations, sak_migrations_n, err);
    if (status == SAK_OK)
        status = sak_db_prepare(own, "SELECT type, name, sql FROM sqlite_schema"
                                     " WHERE name NOT GLOB 'sqlite_*'", &want, err);
    if (status == SAK_OK)
        status = sak_db_prepare(db, "SELECT sql = ?3 OR ?1 = 'table' FROM sqlite_schema WHERE type = ?1"
                                    " AND name = ?2", &have, err);
    while (status == SAK_OK && sqlite3_step(want) == SQLITE_ROW) {
        for (int i = 0; i < 3; i++)
            sqlite3_bind_value(have, i + 1, sqlite3_column_value(want, i));
        const int rc = sqlite3_step(have);
        if (rc == SQLITE_ROW ? !sqlite3_column_int(have, 0) : rc == SQLITE_DONE) {
            ++*found;
            if (problems)
                fprintf(problems, "%s %s is %s\n", (const char *)sqlite3_column_text(want, 0),
                        (const char *)sqlite3_column_text(want, 1),
                        rc == SQLITE_ROW ? "not as this sak makes it" : "missing");
        } else if (rc != SQLITE_ROW) {
            status = sak_db_fail(db, err, "checking the schema");
        }
        sqlite3_reset(have);
    }
    sqlite3_finalize(want);
    sqlite3_finalize(have);
    sqlite3_close(own);
    return status;
}

static sak_status check_blobs(sak_store *s, FILE *problems, int *found, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db, "SELECT sha256 FROM blob", &st, err));
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *sha = (const char *)sqlite3_column_text(st, 0);
        char *text = NULL, hash[SAK_HASH_TEXT] = "";
        size_t n = 0;
        sak_error why = {0};
        if (sak_store_blob(s, sha, &text, &n, &why) == SAK_OK)
            sak_hash_bytes(text, n, hash);
        free(text);
        if (strcmp(hash, sha) == 0)
            continue;
        ++*found;
        if (problems)
            fprintf(problems, "stored text %s: %s\n", sha,
                    why.msg[0] ? why.msg : "its content has another hash");
    }
    sqlite3_finalize(st);
    return SAK_OK;
}

/* --- spools ----------------------------------------------------------------------------------- */

static void check_spool(sak_store *s, sqlite3_stmt *offset, const char *name, FILE *problems,
                        int *found)
{
    char *path = sqlite3_mprintf("%s/%s", s->spools, name);
    const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    sak_spool_id id;
    struct stat st;
    sak_error err = {0};
    const char *suffix = strrchr(name, '.');
    const bool spool = suffix && strcmp(suffix, ".spool") == 0;
    if (fd < 0 && errno == ENOENT) {
        /* taken in meanwhile */
    } else if (!spool || fd < 0 || sak_spool_identify(fd, &id, &err) != SAK_OK) {
        ++*found;
        if (problems)
            fprintf(problems, "spool file %s: %s\n", path,
                    spool ? (err.msg[0] ? err.msg : "cannot be read")
                          : "left over: holds records that could not be read");
    } else if (strcmp(id.store, s->uid) == 0) {
        sqlite3_bind_text(offset, 1, id.run, -1, SQLITE_STATIC);
        sqlite3_bind_int64(offset, 2, id.attempt);
        /* the size of now: a spool in use has grown by what was read since it was opened */
        if (sqlite3_step(offset) == SQLITE_ROW && fstat(fd, &st) == 0 &&
            sqlite3_column_int64(offset, 0) > st.st_size) {
            ++*found;
            if (problems)
                fprintf(problems, "spool file %s: %" PRId64 " bytes, but %" PRId64 " were read\n", path,
                        (int64_t)st.st_size, (int64_t)sqlite3_column_int64(offset, 0));
        }
        sqlite3_reset(offset);
    }
    if (fd >= 0)
        close(fd);
    sqlite3_free(path);
}

static sak_status check_spools(sak_store *s, FILE *problems, int *found, sak_error *err)
{
    DIR *folder = opendir(s->spools);
    if (!folder)
        return SAK_OK;
    sqlite3_stmt *offset = NULL;
    const sak_status status =
        sak_db_prepare(s->db, "SELECT offset FROM ingest JOIN run r ON r.id = run_id"
                              " WHERE r.uid = ?1 AND attempt = ?2", &offset, err);
    for (const struct dirent *e; status == SAK_OK && (e = readdir(folder));)
        if (e->d_name[0] != '.' && strstr(e->d_name, ".spool") && !strstr(e->d_name, ".spool.new"))
            check_spool(s, offset, e->d_name, problems, found);
    sqlite3_finalize(offset);
    closedir(folder);
    return status;
}

/* --- files of runs ---------------------------------------------------------------------------- */

char *sak_store_artifact(const sak_store *s, const char *path)
{
    static const char runs[] = "/runs/";
    const int folder = (int)(strlen(s->spools) - strlen("/spool"));
    const char *within = NULL;
    struct stat file;
    for (const char *p = path; (p = strstr(p, runs)); p++)
        within = p;
    if (!within || stat(path, &file) == 0)
        return strdup(path);
    const size_t size = (size_t)folder + strlen(within) + 1;
    char *moved = malloc(size);
    if (moved)
        snprintf(moved, size, "%.*s%s", folder, s->spools, within);
    if (moved && stat(moved, &file) == 0)
        return moved;
    free(moved);
    return strdup(path);
}

static sak_status check_files(sak_store *s, FILE *problems, int *found, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    sak_status status = SAK_OK;
    SAK_TRY(sak_db_prepare(s->db, "SELECT run_id, path, sha256, bytes FROM artifact ORDER BY id", &st,
                           err));
    while (status == SAK_OK && sqlite3_step(st) == SQLITE_ROW) {
        char *at = sak_store_artifact(s, (const char *)sqlite3_column_text(st, 1));
        const char *sha = (const char *)sqlite3_column_text(st, 2), *what = NULL;
        char hash[SAK_HASH_TEXT] = "";
        struct stat file;
        sak_error why = {0};
        if (!at)
            status = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        else if (stat(at, &file) != 0)
            what = strerror(errno);
        else if (sqlite3_column_type(st, 3) == SQLITE_INTEGER && sqlite3_column_int64(st, 3) >= 0 &&
                 file.st_size != sqlite3_column_int64(st, 3))
            what = "another size than when it was written";
        else if (sha && sak_hash_file(at, hash, &why) != SAK_OK)
            what = why.msg;
        else if (sha && strcmp(sha, hash) != 0)
            what = "another content than when it was written";
        if (what) {
            ++*found;
            if (problems)
                fprintf(problems, "run %" PRId64 ": %s: %s\n", (int64_t)sqlite3_column_int64(st, 0), at,
                        what);
        }
        free(at);
    }
    sqlite3_finalize(st);
    return status;
}

sak_status sak_store_audit(sak_store *s, bool files, FILE *problems, sak_error *err)
{
    int found = 0;
    SAK_TRY(check_file(s->db, problems, &found, err));
    if (found) /* what a damaged file says proves nothing */
        return verdict(s, found, err);
    SAK_TRY(check_schema(s->db, problems, &found, err));
    SAK_TRY(tell(s->db, last_sql, problems, &found, err));
    for (size_t i = 0; i < sizeof state_sql / sizeof *state_sql; i++)
        SAK_TRY(tell(s->db, state_sql[i], problems, &found, err));
    SAK_TRY(check_blobs(s, problems, &found, err));
    SAK_TRY(check_spools(s, problems, &found, err));
    if (files)
        SAK_TRY(check_files(s, problems, &found, err));
    return verdict(s, found, err);
}
