/* Repair: backup, salvage of a damaged file into a new one, stand-ins, summaries, views, spools. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "results/db.h"
#include "results/ingest.h"
#include "results/salvage.h"

static void say(FILE *said, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(FILE *said, const char *fmt, ...)
{
    if (!said)
        return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(said, fmt, ap);
    va_end(ap);
    fputc('\n', said);
}

/* The first of PATH.<what>-1<end>, -2, … that is free. */
static char *free_name(const char *path, const char *what, const char *end)
{
    for (int i = 1; i < 10000; i++) {
        char *name = sqlite3_mprintf("%s.%s-%d%s", path, what, i, end);
        if (!name || access(name, F_OK) != 0)
            return name;
        sqlite3_free(name);
    }
    return NULL;
}

/* A spool that is locked belongs to a run that writes. */
static sak_status nobody_writes(const char *path, sak_error *err)
{
    const char *slash = strrchr(path, '/');
    char *spools = slash ? sqlite3_mprintf("%.*s/spool", (int)(slash - path), path)
                         : sqlite3_mprintf("spool");
    DIR *folder = spools ? opendir(spools) : NULL;
    sak_status status = SAK_OK;
    for (const struct dirent *e; status == SAK_OK && folder && (e = readdir(folder));) {
        char *name = strstr(e->d_name, ".spool") ? sqlite3_mprintf("%s/%s", spools, e->d_name) : NULL;
        const int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            status = SAK_FAIL(err, SAK_EINVAL, "a run is writing to %s (%s); wait for it or stop it",
                              path, name);
        if (fd >= 0)
            close(fd);
        sqlite3_free(name);
    }
    if (folder)
        closedir(folder);
    sqlite3_free(spools);
    return status;
}

/* Another program's database, or a later sak's, is not for this one to mend.  One that cannot be read
 * may be ours. */
static sak_status is_ours(const char *path, sak_error *err)
{
    sqlite3 *db = NULL;
    int64_t version = -1;
    const sak_status status = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK
                                  ? sak_db_identify(db, path, &version, err)
                                  : SAK_OK;
    sqlite3_close(db);
    return version < 0 ? SAK_OK : status;
}

static bool has_integrity(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    const bool ok = sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &st, NULL) == SQLITE_OK &&
                    sqlite3_step(st) == SQLITE_ROW &&
                    strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
    sqlite3_finalize(st);
    return ok;
}

/* Is the file so whole that SQL can mend the rest?  Changes nothing. */
static bool is_whole(const char *path)
{
    sqlite3 *db = NULL;
    int64_t version = 0;
    const bool whole = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
                       sak_db_identify(db, path, &version, NULL) == SAK_OK && version > 0 &&
                       has_integrity(db);
    sqlite3_close(db);
    return whole;
}

/* Wrong indexes are made anew from their tables; if that is not all that is wrong, nothing is changed:
 * an index that shares a page with a table would take the table along. */
static bool reindex(const char *path)
{
    sqlite3 *db = NULL;
    int64_t version = 0;
    const bool whole = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
                       sak_db_identify(db, path, &version, NULL) == SAK_OK && version > 0 &&
                       sqlite3_exec(db, "BEGIN EXCLUSIVE; REINDEX", NULL, NULL, NULL) == SQLITE_OK &&
                       has_integrity(db) &&
                       sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db); /* what is not committed never was */
    return whole;
}

/* Copies bytes, for a file that SQLite cannot copy. */
static sak_status copy_bytes(const char *from, const char *to, sak_error *err)
{
    sak_map map;
    SAK_TRY(sak_map_open(&map, from, err));
    const sak_status status = sak_file_write_atomic(to, map.data, map.size, err);
    sak_map_close(&map);
    return status;
}

static sak_status back_up(const char *path, bool whole, FILE *said, sak_error *err)
{
    char *name = free_name(path, "repair", ".bak");
    if (!name)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: no name for a backup", path);
    sak_status status = SAK_OK;
    if (whole) {
        sqlite3 *db = NULL;
        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
            status = sak_db_fail(db, err, "backing up");
        else
            status = sak_db_copy(db, name, err);
        sqlite3_close(db);
    } else {
        char *wal = sqlite3_mprintf("%s-wal", path), *to = sqlite3_mprintf("%s-wal", name);
        status = wal && to ? copy_bytes(path, name, err) : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        if (status == SAK_OK && access(wal, F_OK) == 0)
            status = copy_bytes(wal, to, err);
        sqlite3_free(wal);
        sqlite3_free(to);
    }
    if (status == SAK_OK)
        say(said, "backup: %s", name);
    sqlite3_free(name);
    return status;
}

/* The new file takes the damaged one's place; that one and its log stay under another name. */
static sak_status replace(const char *path, const char *fresh, FILE *said, sak_error *err)
{
    char *kept = free_name(path, "damaged", "");
    char *wal = sqlite3_mprintf("%s-wal", path), *shm = sqlite3_mprintf("%s-shm", path);
    char *kept_wal = kept ? sqlite3_mprintf("%s-wal", kept) : NULL;
    sak_status status = kept && wal && shm && kept_wal ? SAK_OK
                                                       : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (status == SAK_OK && link(path, kept) != 0)
        status = SAK_FAIL(err, SAK_EIO, "cannot keep %s as %s: %s", path, kept, strerror(errno));
    if (status == SAK_OK && rename(wal, kept_wal) != 0 && errno != ENOENT)
        status = SAK_FAIL(err, SAK_EIO, "cannot keep %s: %s", wal, strerror(errno));
    if (status == SAK_OK && unlink(shm) != 0 && errno != ENOENT)
        status = SAK_FAIL(err, SAK_EIO, "cannot remove %s: %s", shm, strerror(errno));
    if (status == SAK_OK && rename(fresh, path) != 0)
        status = SAK_FAIL(err, SAK_EIO, "cannot replace %s: %s", path, strerror(errno));
    if (status == SAK_OK)
        say(said, "the damaged file is kept: %s", kept);
    sqlite3_free(kept);
    sqlite3_free(wal);
    sqlite3_free(shm);
    sqlite3_free(kept_wal);
    return status;
}

static sak_status salvage(const char *path, FILE *said, sak_error *err)
{
    char *fresh = sqlite3_mprintf("%s.salvage-%d", path, (int)getpid());
    if (!fresh)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    int64_t rows = 0, lost = 0;
    remove(fresh);
    sak_status status = sak_db_salvage(path, fresh, &rows, &lost, err);
    if (status == SAK_OK) {
        say(said, "damaged: %" PRId64 " rows read, %" PRId64 " places could not be read", rows, lost);
        if (rows == 0)
            say(said, "nothing could be read; restore a backup if there is one (`sak db backup`)");
        status = replace(path, fresh, said, err);
    }
    if (status != SAK_OK)
        remove(fresh);
    sqlite3_free(fresh);
    return status;
}

/* Rows must not name what is not there: stand-ins keep metrics whose run or name was lost. */
static const struct {
    const char *what, *sql;
} stand_ins[] = {
    {"references to lost texts cleared",
     "UPDATE run SET script_sha256 = NULL WHERE script_sha256 IS NOT NULL AND script_sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"references to lost diffs cleared",
     "UPDATE run SET git_diff_sha256 = NULL WHERE git_diff_sha256 IS NOT NULL AND git_diff_sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"runs' lost scripts cleared",
     "UPDATE run SET frozen_sha256 = NULL WHERE frozen_sha256 IS NOT NULL AND frozen_sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"sweeps' lost scripts cleared",
     "UPDATE sweep SET script_sha256 = NULL WHERE script_sha256 IS NOT NULL AND script_sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"sweeps' lost trials cleared",
     "UPDATE sweep SET frozen_sha256 = NULL WHERE frozen_sha256 IS NOT NULL AND frozen_sha256 NOT IN (SELECT sha256 FROM blob)"},
    {"runs' lost sweeps cleared",
     "UPDATE run SET sweep_id = NULL WHERE sweep_id IS NOT NULL AND sweep_id NOT IN (SELECT id FROM sweep)"},
    {"runs' lost trials cleared",
     "UPDATE run SET trial_id = NULL WHERE trial_id IS NOT NULL AND trial_id NOT IN (SELECT id FROM trial)"},
    {"trials' lost runs cleared",
     "UPDATE trial SET run_id = NULL WHERE run_id IS NOT NULL AND run_id NOT IN (SELECT id FROM run)"},
    {"trials without their sweep removed",
     "DELETE FROM trial WHERE sweep_id NOT IN (SELECT id FROM sweep)"},
    {"sweeps' lost experiments cleared",
     "UPDATE sweep SET experiment_id = NULL WHERE experiment_id IS NOT NULL AND experiment_id NOT IN (SELECT id FROM experiment)"},
    {"experiments given a stand-in",
     "INSERT INTO experiment(id, name, created_us) SELECT DISTINCT experiment_id,"
     " 'salvaged ' || experiment_id, started_us FROM run WHERE experiment_id NOT IN"
     " (SELECT id FROM experiment) GROUP BY experiment_id"},
    {"metrics given a stand-in",
     "INSERT INTO metric_key(id, name) SELECT DISTINCT key_id, 'salvaged/' || key_id"
     " FROM metric_point WHERE key_id NOT IN (SELECT id FROM metric_key)"},
    {NULL,
     "INSERT OR IGNORE INTO experiment(name, created_us) SELECT 'salvaged', 0 WHERE EXISTS (SELECT 1"
     " FROM metric_point WHERE run_id NOT IN (SELECT id FROM run))"},
    {"runs given a stand-in",
     "INSERT INTO run(id, uid, experiment_id, name, kind, seed, state, attempts, started_us,"
     " finished_us) SELECT DISTINCT run_id, printf('lost%08d', run_id), (SELECT id FROM experiment"
     " WHERE name = 'salvaged'), 'salvaged', 'sak', 0, 'lost', coalesce((SELECT max(n) FROM attempt a"
     " WHERE a.run_id = p.run_id), 0), 0, 0 FROM metric_point p WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (attempts)",
     "DELETE FROM attempt WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (settings)",
     "DELETE FROM param WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (tags)", "DELETE FROM tag WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (files)",
     "DELETE FROM artifact WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (events)",
     "DELETE FROM event WHERE run_id NOT IN (SELECT id FROM run)"},
    {"rows of lost runs removed (offsets)",
     "DELETE FROM ingest WHERE run_id NOT IN (SELECT id FROM run)"},
    {"counts of attempts set right",
     "UPDATE run SET attempts = coalesce((SELECT max(n) FROM attempt WHERE run_id = run.id), 0)"
     " WHERE attempts <> coalesce((SELECT max(n) FROM attempt WHERE run_id = run.id), 0)"},
    {"runs given an end",
     "UPDATE run SET finished_us = started_us + coalesce((SELECT max(t_us) FROM metric_point"
     " WHERE run_id = run.id), 0) WHERE state <> 'running' AND finished_us IS NULL"},
};

static sak_status rebuild_summaries(sqlite3 *db, FILE *said, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    int64_t n = 0;
    SAK_TRY(sak_db_exec(db, "DELETE FROM metric_last", err));
    SAK_TRY(sak_db_prepare(db, "SELECT DISTINCT run_id, key_id FROM metric_point", &st, err));
    sak_status status = SAK_OK;
    int rc = SQLITE_DONE;
    while (status == SAK_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        status = sak_ingest_recompute(db, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1), err);
        n++;
    }
    if (status == SAK_OK && rc != SQLITE_DONE)
        status = sak_db_fail(db, err, "rebuilding summaries");
    sqlite3_finalize(st);
    if (status == SAK_OK)
        say(said, "summaries rebuilt: %" PRId64, n);
    return status;
}

static sak_status mend(sqlite3 *db, FILE *said, sak_error *err)
{
    for (size_t i = 0; i < sizeof stand_ins / sizeof *stand_ins; i++) {
        SAK_TRY(sak_db_exec(db, stand_ins[i].sql, err));
        if (sqlite3_changes(db) > 0 && stand_ins[i].what)
            say(said, "%s: %d", stand_ins[i].what, sqlite3_changes(db));
    }
    SAK_TRY(rebuild_summaries(db, said, err));
    SAK_TRY(sak_db_recreate_views(db, err));
    say(said, "views rebuilt");
    return sak_db_recreate_indexes(db, err);
}

static sak_status mend_tables(const char *path, int64_t *points, FILE *said, sak_error *err)
{
    sqlite3 *db = NULL;
    SAK_TRY(sak_db_connect(path, SAK_DB_WAIT_MS, &db, err));
    /* an earlier sak's tables lack columns that are mended */
    sak_status status = sak_db_migrate(db, path, sak_migrations, sak_migrations_n, err);
    if (status == SAK_OK)
        status = sak_db_exec(db, "BEGIN EXCLUSIVE", err);
    if (status == SAK_OK)
        status = mend(db, said, err);
    if (status == SAK_OK)
        status = sak_db_int(db, "SELECT count(*) FROM metric_point", 0, points, err);
    if (status == SAK_OK)
        status = sak_db_exec(db, "COMMIT", err);
    sqlite3_close(db);
    return status;
}

sak_status sak_store_repair(const char *path, FILE *said, sak_error *err)
{
    if (access(path, F_OK) != 0)
        return SAK_FAIL(err, SAK_ENOENT, "no database at %s", path);
    SAK_TRY(nobody_writes(path, err));
    SAK_TRY(is_ours(path, err));
    const bool whole = is_whole(path);
    SAK_TRY(back_up(path, whole, said, err));
    if (!whole && !reindex(path))
        SAK_TRY(salvage(path, said, err));
    int64_t before = 0;
    SAK_TRY(mend_tables(path, &before, said, err));
    sak_store *s = NULL; /* takes in the spools of dead runs */
    SAK_TRY(sak_store_open(path, SAK_STORE_WRITE, &s, err));
    int64_t points = 0;
    sak_status status = sak_db_int(s->db, "SELECT count(*) FROM metric_point", 0, &points, err);
    if (status == SAK_OK && points > before)
        say(said, "points taken from spools: %" PRId64, points - before);
    if (status == SAK_OK)
        status = sak_store_audit(s, false, said, err);
    if (status == SAK_OK)
        say(said, "checked: no problem left");
    sak_store_close(s);
    return status;
}
