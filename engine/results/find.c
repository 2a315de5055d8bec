/* Runs by name; tags; removal; stored texts. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "results/db.h"

/* First column of the first row; *found false when there is none. */
static sak_status look(sak_store *s, const char *sql, const char *text, int64_t number, bool *found,
                       int64_t *id, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db, sql, &st, err));
    sak_db_bind_text(st, 1, text);
    if (sqlite3_bind_parameter_count(st) > 1)
        sqlite3_bind_int64(st, 2, number);
    const int rc = sqlite3_step(st);
    *found = rc == SQLITE_ROW;
    if (*found)
        *id = sqlite3_column_int64(st, 0);
    sak_status status = SAK_OK;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = sak_db_fail(s->db, err, "looking for a run");
    sqlite3_finalize(st);
    return status;
}

static sak_status find_latest(sak_store *s, const char *what, int64_t *id, sak_error *err)
{
    char *end = NULL;
    long back = 0;
    if (what[5] == '-') {
        back = strtol(what + 6, &end, 10);
        if (end == what + 6 || *end || back < 0)
            return SAK_FAIL(err, SAK_EINVAL, "%s: expected @last or @last-N", what);
    } else if (what[5]) {
        return SAK_FAIL(err, SAK_EINVAL, "%s: expected @last or @last-N", what);
    }
    bool found;
    SAK_TRY(look(s, "SELECT id FROM run WHERE ?1 IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?2",
                 what, back, &found, id, err));
    return found ? SAK_OK
                 : SAK_FAIL(err, SAK_ENOENT, "%s: %s has no such run", what, s->path);
}

static bool all_digits(const char *what)
{
    for (; *what; what++)
        if (!isdigit((unsigned char)*what))
            return false;
    return true;
}

static sak_status find_uid(sak_store *s, const char *what, int64_t *id, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    char matches[160] = "";
    int n = 0;
    SAK_TRY(sak_db_prepare(s->db,
                           "SELECT id, uid FROM run WHERE substr(uid, 1, length(?1)) = ?1"
                           " ORDER BY id DESC LIMIT 6",
                           &st, err));
    sak_db_bind_text(st, 1, what);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        *id = sqlite3_column_int64(st, 0);
        if (n++ < 5)
            snprintf(matches + strlen(matches), sizeof matches - strlen(matches), "%s%s",
                     n > 1 ? ", " : "", (const char *)sqlite3_column_text(st, 1));
    }
    const sak_status status = rc == SQLITE_DONE ? SAK_OK : sak_db_fail(s->db, err, "looking for a run");
    sqlite3_finalize(st);
    SAK_TRY(status);
    if (n == 1)
        return SAK_OK;
    if (n > 1)
        return SAK_FAIL(err, SAK_EINVAL, "'%s' could be %s%s; give more characters", what, matches,
                        n > 5 ? ", …" : "");
    return SAK_FAIL(err, SAK_ENOENT,
                    "no run '%s' in %s; a run is named by its id, the first characters of its uid, "
                    "its name, or @last",
                    what, s->path);
}

sak_status sak_store_find_run(sak_store *s, const char *what, int64_t *id, sak_error *err)
{
    bool found = false;
    if (strncmp(what, "@last", 5) == 0)
        return find_latest(s, what, id, err);
    if (!*what)
        return SAK_FAIL(err, SAK_ENOENT, "the name of a run is empty");
    if (all_digits(what) && strlen(what) < 19)
        SAK_TRY(look(s, "SELECT id FROM run WHERE id = ?2 AND ?1 IS NOT NULL", what,
                     strtoll(what, NULL, 10), &found, id, err));
    if (!found)
        SAK_TRY(look(s, "SELECT id FROM run WHERE uid = ?1", what, 0, &found, id, err));
    if (!found)
        SAK_TRY(look(s, "SELECT max(id) FROM run WHERE name = ?1 OR experiment_id ="
                        " (SELECT id FROM experiment WHERE name = ?1) HAVING max(id) IS NOT NULL",
                     what, 0, &found, id, err));
    return found ? SAK_OK : find_uid(s, what, id, err);
}

/* --- tags, removal ---------------------------------------------------------------------------- */

static sak_status change(sak_store *s, const char *sql, int64_t run, const char *a, const char *b,
                         sak_error *err)
{
    if (!s->writable)
        return SAK_FAIL(err, SAK_EINVAL, "%s cannot be written", s->path);
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db, sql, &st, err));
    sqlite3_bind_int64(st, 1, run);
    const int n = sqlite3_bind_parameter_count(st);
    if (n > 1)
        sak_db_bind_text(st, 2, a);
    if (n > 2)
        sak_db_bind_text(st, 3, b);
    const int rc = sqlite3_step(st);
    sak_status status = SAK_OK;
    if (rc == SQLITE_CONSTRAINT)
        status = SAK_FAIL(err, SAK_ENOENT, "there is no run %" PRId64, run);
    else if (rc != SQLITE_DONE)
        status = sak_db_fail(s->db, err, "changing a run");
    sqlite3_finalize(st);
    return status;
}

sak_status sak_store_tag(sak_store *s, int64_t run, const char *name, const char *value,
                         sak_error *err)
{
    return change(s, "INSERT INTO tag VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
                     " value = excluded.value", run, name, value, err);
}

sak_status sak_store_untag(sak_store *s, int64_t run, const char *name, sak_error *err)
{
    SAK_TRY(change(s, "DELETE FROM tag WHERE run_id = ?1 AND name = ?2", run, name, NULL, err));
    return sqlite3_changes(s->db)
               ? SAK_OK
               : SAK_FAIL(err, SAK_ENOENT, "run %" PRId64 " has no tag '%s'", run, name);
}

sak_status sak_store_remove_run(sak_store *s, int64_t run, sak_error *err)
{
    /* Points first: the cascade would take them row by row. */
    SAK_TRY(change(s, "SAVEPOINT remove_run", run, NULL, NULL, err));
    sak_status status =
        change(s, "DELETE FROM metric_point WHERE run_id = (SELECT id FROM run WHERE id = ?1 AND"
                  " state <> 'running')", run, NULL, NULL, err);
    if (status == SAK_OK)
        status = change(s, "DELETE FROM run WHERE id = ?1 AND state <> 'running'", run, NULL, NULL, err);
    if (status == SAK_OK && sqlite3_changes(s->db) == 0)
        status = SAK_FAIL(err, SAK_EINVAL, "run %" PRId64 " is running or does not exist", run);
    if (status != SAK_OK)
        sqlite3_exec(s->db, "ROLLBACK TO remove_run", NULL, NULL, NULL);
    sqlite3_exec(s->db, "RELEASE remove_run", NULL, NULL, NULL);
    return status;
}

sak_status sak_store_blob(sak_store *s, const char *sha256, char **text, size_t *bytes,
                          sak_error *err)
{
    *text = NULL;
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db, "SELECT size, zbody FROM blob WHERE sha256 = ?1", &st, err));
    sak_db_bind_text(st, 1, sha256);
    sak_status status = SAK_OK;
    if (sqlite3_step(st) != SQLITE_ROW) {
        status = SAK_FAIL(err, SAK_ENOENT, "no stored text %s", sha256);
    } else {
        const int64_t size = sqlite3_column_int64(st, 0);
        const void *body = sqlite3_column_blob(st, 1);
        const int stored = sqlite3_column_bytes(st, 1);
        char *p = size >= 0 && size < INT32_MAX ? malloc((size_t)size + 1) : NULL;
        uLongf n = (uLongf)size;
        if (!p)
            status = SAK_FAIL(err, SAK_ENOMEM, "out of memory: %" PRId64 " bytes", size);
        else if (stored == size && size > 0)
            memcpy(p, body, (size_t)size);
        else if (size > 0 && (uncompress((Bytef *)p, &n, body, (uLong)stored) != Z_OK ||
                              n != (uLongf)size))
            status = SAK_FAIL(err, SAK_EDB, "the stored text %s is damaged", sha256);
        if (status == SAK_OK) {
            p[size] = 0;
            *text = p;
            if (bytes)
                *bytes = (size_t)size;
        } else {
            free(p);
        }
    }
    sqlite3_finalize(st);
    return status;
}
