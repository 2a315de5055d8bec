/* Care of the whole database: consistent copies, SQL that writes. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "results/db.h"

sak_status sak_db_copy(sqlite3 *from, const char *path, sak_error *err)
{
    if (access(path, F_OK) == 0)
        return SAK_FAIL(err, SAK_EINVAL, "%s exists already; name another file", path);
    char *part = sqlite3_mprintf("%s.part%d", path, (int)getpid());
    if (!part)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sqlite3 *to = NULL;
    sak_status status = SAK_OK;
    remove(part);
    if (sqlite3_open_v2(part, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        status = SAK_FAIL(err, SAK_EIO, "cannot create %s: %s", part, sqlite3_errmsg(to));
    } else {
        sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
        int rc = SQLITE_OK;
        const int64_t until = sak_monotonic_us() + SAK_DB_WAIT_MS * INT64_C(1000);
        while (b && rc != SQLITE_DONE) {
            rc = sqlite3_backup_step(b, -1); /* one read transaction: writers go on beside it */
            if ((rc != SQLITE_BUSY && rc != SQLITE_LOCKED) || sak_monotonic_us() > until)
                break;
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        }
        if (b)
            sqlite3_backup_finish(b);
        if (!b || rc != SQLITE_DONE)
            status = SAK_FAIL(err, SAK_EIO, "copying to %s: %s", part, sqlite3_errmsg(to));
    }
    if (sqlite3_close(to) != SQLITE_OK && status == SAK_OK)
        status = SAK_FAIL(err, SAK_EIO, "cannot finish %s", part);
    if (status == SAK_OK && rename(part, path) != 0)
        status = SAK_FAIL(err, SAK_EIO, "cannot rename %s to %s: %s", part, path, strerror(errno));
    if (status != SAK_OK)
        remove(part);
    sqlite3_free(part);
    return status;
}

sak_status sak_store_backup(sak_store *s, const char *path, sak_error *err)
{
    return sak_db_copy(s->db, path, err);
}

sak_status sak_store_exec(sak_store *s, const char *sql, sak_error *err)
{
    if (!s->writable)
        return SAK_FAIL(err, SAK_EINVAL, "%s cannot be written", s->path);
    SAK_TRY(sak_db_exec(s->db, "BEGIN IMMEDIATE", err));
    sak_status status = sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK
                            ? sak_db_exec(s->db, "COMMIT", err)
                            : sak_db_fail(s->db, err, "sql");
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
