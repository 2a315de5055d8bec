/* Connections: open, pragmas, network file systems, and small SQL helpers. */
#include "results/db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

sak_status sak_db_fail(sqlite3 *db, sak_error *err, const char *doing)
{
    const int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;
    const char *path = db ? sqlite3_db_filename(db, "main") : NULL;
    path = path ? path : "";
    switch (code) {
    case SQLITE_BUSY:
        return SAK_FAIL(err, SAK_EDB, "%s: %s is locked by another program; close it and try again",
                        doing, path);
    case SQLITE_FULL:
        return SAK_FAIL(err, SAK_EDB, "%s: the disk holding %s is full", doing, path);
    case SQLITE_READONLY:
        return SAK_FAIL(err, SAK_EDB, "%s: %s cannot be written", doing, path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return SAK_FAIL(err, SAK_EDB, "%s: %s is damaged or not a database (%s); see `sak db check`",
                        doing, path, sqlite3_errmsg(db));
    case SQLITE_NOMEM:
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", doing);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: {
        /* SQLite does not say why where shared memory cannot grow: a full disk is the usual cause. */
        const int cause = sqlite3_system_errno(db);
        struct statvfs disk;
        if (cause == ENOSPC ||
            (statvfs(path, &disk) == 0 && disk.f_bavail * disk.f_frsize < SAK_DB_ROOM_BYTES))
            return SAK_FAIL(err, SAK_EDB, "%s: the disk holding %s is full", doing, path);
        return SAK_FAIL(err, SAK_EDB, "%s: %s: %s%s%s", doing, path, sqlite3_errmsg(db),
                        cause ? ": " : "", cause ? strerror(cause) : "");
    }
    default:
        return SAK_FAIL(err, SAK_EDB, "%s: %s: %s", doing, path, sqlite3_errmsg(db));
    }
}

sak_status sak_db_exec(sqlite3 *db, const char *sql, sak_error *err)
{
    char doing[64];
    snprintf(doing, sizeof doing, "%.60s", sql);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? SAK_OK
                                                                : sak_db_fail(db, err, doing);
}

sak_status sak_db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out, sak_error *err)
{
    char doing[64];
    snprintf(doing, sizeof doing, "%.60s", sql);
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK
               ? SAK_OK
               : sak_db_fail(db, err, doing);
}

char *sak_db_immutable_uri(const char *path)
{
    sqlite3_str *s = sqlite3_str_new(NULL);
    sqlite3_str_appendall(s, "file:");
    for (; *path; path++) /* what ends a path in a URI, and what stands for a character */
        if (strchr("?#%", *path))
            sqlite3_str_appendf(s, "%%%02X", *path);
        else
            sqlite3_str_appendchar(s, 1, *path);
    sqlite3_str_appendall(s, "?immutable=1");
    return sqlite3_str_finish(s);
}

sak_status sak_db_int(sqlite3 *db, const char *sql, int64_t otherwise, int64_t *out, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, sql, &st, err));
    const int rc = sqlite3_step(st);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : otherwise;
    sak_status status = SAK_OK;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = sak_db_fail(db, err, sql);
    sqlite3_finalize(st);
    return status;
}

void sak_db_bind_text(sqlite3_stmt *st, int at, const char *text)
{
    if (text)
        sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, at);
}

/* --- where the file lies ---------------------------------------------------------------------- */

const char *sak_db_network_name(unsigned long type)
{
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {
        {0x6969, "NFS"},          {0x517B, "SMB"},          {0xFF534D42, "CIFS"},
        {0xFE534D42, "SMB2"},     {0x5346414F, "AFS"},      {0x6B414653, "AFS"},
        {0x73757245, "Coda"},     {0x564C, "NCP"},          {0x01021997, "9P"},
        {0x0BD00BD0, "Lustre"},   {0x47504653, "GPFS"},     {0x00C36400, "Ceph"},
        {0x19830326, "BeeGFS"},   {0x7461636F, "OCFS2"},    {0x01161970, "GFS2"},
        {0x20030528, "OrangeFS"}, {0xAAD7AAEA, "PanFS"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((type & 0xFFFFFFFFul) == known[i].type)
            return known[i].name;
    return NULL;
}

static sak_status refuse_network(const char *path, const char *folder, sak_error *err)
{
    struct statfs fs;
    if (statfs(folder, &fs) != 0)
        return SAK_OK; /* opening will say what is wrong */
    const char *name = sak_db_network_name((unsigned long)fs.f_type);
    if (!name)
        return SAK_OK;
    return SAK_FAIL(err, SAK_EDB,
                    "%s lies on a network file system (%s), where SQLite's write-ahead log loses "
                    "data; name a database on a local disk with --db or SAK_DB and copy it here "
                    "with `sak db backup`",
                    path, name);
}

static sak_status make_folder(char *folder, sak_error *err)
{
    for (char *at = folder + 1;; at++) {
        if (*at && *at != '/')
            continue;
        const char was = *at;
        *at = 0;
        const int failed = mkdir(folder, 0777) != 0 && errno != EEXIST;
        const int code = errno;
        if (failed)
            SAK_FAIL(err, SAK_EIO, "cannot create folder %s: %s", folder, strerror(code));
        *at = was;
        if (failed)
            return SAK_EIO;
        if (!was)
            return SAK_OK;
    }
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strdup(path) : strdup(".");
    if (folder && slash)
        folder[slash == path ? 1 : slash - path] = 0;
    return folder;
}

/* --- connections ------------------------------------------------------------------------------ */

static sak_status set_wal(sqlite3 *db, sak_error *err)
{
    /* Two processes creating one database may both be told "busy" here without a wait. */
    for (int tries = 0;; tries++) {
        const int rc = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            return SAK_OK;
        if ((rc != SQLITE_BUSY && rc != SQLITE_LOCKED) || tries >= 200)
            return sak_db_fail(db, err, "switching to the write-ahead log");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static sak_status set_pragmas(sqlite3 *db, sak_error *err)
{
    /* NORMAL: after a power cut the database may be a few transactions old but is whole, and the
     * spools bring them back; a run's last transaction is written with FULL. */
    return sak_db_exec(db,
                       "PRAGMA synchronous = NORMAL; PRAGMA secure_delete = OFF;"
                       "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;"
                       "PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF",
                       err);
}

sak_status sak_db_connect(const char *path, int wait_ms, sqlite3 **out, sak_error *err)
{
    *out = NULL;
    sqlite3 *db = NULL;
    sak_status status = SAK_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        status = sak_db_fail(db, err, "opening");
    if (status == SAK_OK) {
        sqlite3_extended_result_codes(db, 0);
        sqlite3_busy_timeout(db, wait_ms);
        status = set_pragmas(db, err);
    }
    if (status != SAK_OK) {
        sqlite3_close(db);
        return status;
    }
    *out = db;
    return SAK_OK;
}

static sak_status read_identity(sqlite3 *db, int64_t *id, int64_t *version, int64_t *tables,
                                sak_error *err)
{
    SAK_TRY(sak_db_int(db, "PRAGMA application_id", 0, id, err));
    SAK_TRY(sak_db_int(db, "PRAGMA user_version", 0, version, err));
    return sak_db_int(db, "SELECT count(*) FROM sqlite_schema", 0, tables, err);
}

sak_status sak_db_identify(sqlite3 *db, const char *path, int64_t *version, sak_error *err)
{
    int64_t id = 0, tables = 0, found = 0;
    *version = -1;
    /* In one transaction: another process may be creating the tables at this moment. */
    SAK_TRY(sak_db_exec(db, "BEGIN", err));
    const sak_status status = read_identity(db, &id, &found, &tables, err);
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    SAK_TRY(status);
    *version = found;
    if (id == 0 && *version == 0 && tables == 0)
        return SAK_OK;
    if (id != SAK_DB_APPLICATION_ID)
        return SAK_FAIL(err, SAK_EDB, "%s is an SQLite database but not one of sak's", path);
    if (*version > sak_migrations_n)
        return SAK_FAIL(err, SAK_EDB,
                        "%s has schema version %" PRId64 ", this sak knows up to %d; use a newer sak",
                        path, *version, sak_migrations_n);
    return SAK_OK;
}

static sak_status open_writable(sak_store *s, bool create, sak_error *err)
{
    int64_t version;
    const int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return SAK_FAIL(err, SAK_EDB, "cannot open %s: %s", s->path, sqlite3_errmsg(s->db));
    sqlite3_busy_timeout(s->db, SAK_DB_WAIT_MS);
    if (sqlite3_db_readonly(s->db, "main") == 1) /* opened all the same, for reading */
        return SAK_FAIL(err, SAK_EDB, "%s cannot be written by you; name another with --db or SAK_DB",
                        s->path);
    SAK_TRY(sak_db_identify(s->db, s->path, &version, err));
    SAK_TRY(set_wal(s->db, err));
    SAK_TRY(set_pragmas(s->db, err));
    SAK_TRY(sak_db_migrate(s->db, s->path, sak_migrations, sak_migrations_n, err));
    s->writable = true;
    return sak_db_exec(s->db, "PRAGMA foreign_keys = ON", err);
}

static sak_status open_readonly(sak_store *s, sak_error *err)
{
    int64_t version = 0;
    sak_error first = {0};
    const int flags = SQLITE_OPEN_READONLY;
    sak_status status = SAK_OK;
    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return SAK_FAIL(err, SAK_EDB, "cannot open %s: %s", s->path, sqlite3_errmsg(s->db));
    sqlite3_busy_timeout(s->db, SAK_DB_WAIT_MS);
    status = sak_db_identify(s->db, s->path, &version, &first);
    if (status != SAK_OK && version < 0) {
        /* A write-ahead log needs shared memory beside the file; where the folder cannot be
         * written, nobody else can be writing either. */
        sqlite3_close(s->db);
        s->db = NULL;
        char *uri = sak_db_immutable_uri(s->path);
        if (!uri)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        const int rc = sqlite3_open_v2(uri, &s->db, flags | SQLITE_OPEN_URI, NULL);
        sqlite3_free(uri);
        if (rc != SQLITE_OK)
            return SAK_FAIL(err, SAK_EDB, "cannot open %s: %s", s->path, sqlite3_errmsg(s->db));
        s->immutable = true;
        status = sak_db_identify(s->db, s->path, &version, &first);
    }
    if (status != SAK_OK)
        return SAK_FAIL(err, first.code, "%s", first.msg);
    if (version < sak_migrations_n)
        return SAK_FAIL(err, SAK_EDB,
                        "%s has the older schema version %" PRId64 " and cannot be written here; "
                        "copy it to a folder of yours and name it with --db",
                        s->path, version);
    return SAK_OK;
}

static sak_status read_uid(sak_store *s, sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(s->db, "SELECT uid FROM store", &st, err));
    sak_status status = SAK_OK;
    if (sqlite3_step(st) == SQLITE_ROW)
        snprintf(s->uid, sizeof s->uid, "%s", (const char *)sqlite3_column_text(st, 0));
    else
        status = sak_db_fail(s->db, err, "reading the database's identity");
    sqlite3_finalize(st);
    return status;
}

sak_status sak_store_open(const char *path, sak_store_mode mode, sak_store **out, sak_error *err)
{
    *out = NULL;
    sak_status status = SAK_OK;
    const bool create = mode == SAK_STORE_WRITE;
    const bool exists = access(path, F_OK) == 0;
    if (!exists && !create)
        return SAK_FAIL(err, SAK_ENOENT, "no database at %s yet", path);
    sak_store *s = calloc(1, sizeof *s);
    char *folder = folder_of(path);
    if (!s || !folder)
        goto memory;
    s->path = strdup(path);
    s->spools = malloc(strlen(folder) + sizeof "/spool");
    if (!s->path || !s->spools)
        goto memory;
    sprintf(s->spools, "%s/spool", folder);
    s->write = create;
    s->spool = mode == SAK_STORE_SPOOL;
    if (create)
        status = make_folder(folder, err);
    if (status == SAK_OK)
        status = refuse_network(path, folder, err);
    if (status == SAK_OK)
        status = create || (!s->spool && access(path, W_OK) == 0 && access(folder, W_OK) == 0)
                     ? open_writable(s, create, err)
                     : open_readonly(s, err);
    if (status == SAK_OK)
        status = read_uid(s, err);
    /* A spool that cannot be read now (a lock, another user's file) waits for the next open. */
    if (status == SAK_OK && s->writable)
        (void)sak_store_recover(s, NULL, NULL);
    free(folder);
    if (status != SAK_OK) {
        sak_store_close(s);
        return status;
    }
    *out = s;
    return SAK_OK;
memory:
    free(folder);
    sak_store_close(s);
    return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
}

void sak_store_close(sak_store *s)
{
    if (!s)
        return;
    sqlite3_close_v2(s->qdb); /* rows may be closed after their store, as garbage collectors do */
    sqlite3_close(s->db);
    free(s->path);
    free(s->spools);
    free(s);
}

const char *sak_store_path(const sak_store *s)
{
    return s->path;
}
