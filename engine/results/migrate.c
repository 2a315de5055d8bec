/* Migrations: `user_version` counts them, a backup precedes them, views follow the code. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "results/db.h"

const sak_migration sak_migrations[] = {
    {"tables", sak_schema_sql, sak_schema_fill_quantiles},
    {"sweeps", sak_schema_sweeps_sql, NULL},
    {"frozen runs", sak_schema_frozen_sql, NULL},
    {"baselines", sak_schema_baselines_sql, NULL},
    {"paired cells", "", NULL}, /* a view */
    {"seconds worked, cells of one arm", "", NULL}, /* views */
};
const int sak_migrations_n = sizeof sak_migrations / sizeof *sak_migrations;

/* `<path>.v<version>.bak`, numbered when such a backup is there already. */
static sak_status back_up(const char *path, int64_t version, char **name, sak_error *err)
{
    /* Through a connection of its own: the caller holds the write lock, readers may read. */
    sqlite3 *db = NULL;
    sak_status status = SAK_OK;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        status = sak_db_fail(db, err, "backing up before the migration");
    for (int i = 0; status == SAK_OK && i < 1000; i++) {
        *name = i == 0 ? sqlite3_mprintf("%s.v%lld.bak", path, (long long)version)
                       : sqlite3_mprintf("%s.v%lld.%d.bak", path, (long long)version, i);
        if (!*name)
            status = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        else if ((status = sak_db_copy(db, *name, err)) == SAK_OK)
            break;
        if (status == SAK_EINVAL && i < 999)
            status = SAK_OK; /* taken: next number */
        sqlite3_free(*name);
        *name = NULL;
    }
    sqlite3_close(db);
    return status;
}

sak_status sak_db_recreate_views(sqlite3 *db, sak_error *err)
{
    for (;;) {
        sqlite3_stmt *st = NULL;
        SAK_TRY(sak_db_prepare(db, "SELECT 'DROP VIEW \"' || name || '\"' FROM sqlite_schema"
                                   " WHERE type = 'view' LIMIT 1", &st, err));
        char *drop = NULL;
        if (sqlite3_step(st) == SQLITE_ROW)
            drop = sqlite3_mprintf("%s", (const char *)sqlite3_column_text(st, 0));
        sqlite3_finalize(st);
        if (!drop)
            return sak_db_exec(db, sak_views_sql, err);
        const sak_status status = sak_db_exec(db, drop, err);
        sqlite3_free(drop);
        SAK_TRY(status);
    }
}

sak_status sak_db_recreate_indexes(sqlite3 *db, sak_error *err)
{
    sqlite3 *own = NULL;
    sqlite3_stmt *st = NULL;
    sak_status status = SAK_OK;
    if (sqlite3_open(":memory:", &own) != SQLITE_OK)
        status = sak_db_fail(own, err, "looking at the schema");
    if (status == SAK_OK)
        status = sak_db_migrate(own, ":memory:", sak_migrations, sak_migrations_n, err);
    if (status == SAK_OK)
        status = sak_db_prepare(own, "SELECT replace(sql, 'CREATE INDEX ', 'CREATE INDEX IF NOT EXISTS ')"
                                     " FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
                                &st, err);
    while (status == SAK_OK && sqlite3_step(st) == SQLITE_ROW)
        status = sak_db_exec(db, (const char *)sqlite3_column_text(st, 0), err);
    sqlite3_finalize(st);
    sqlite3_close(own);
    return status;
}

static sak_status record(sqlite3 *db, int version, const char *name, const char *backup,
                         sak_error *err)
{
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, "INSERT INTO migration VALUES (?1, ?2, ?3, ?4)", &st, err));
    sqlite3_bind_int(st, 1, version);
    sak_db_bind_text(st, 2, name);
    sqlite3_bind_int64(st, 3, sak_now_us());
    sak_db_bind_text(st, 4, backup);
    const sak_status status =
        sqlite3_step(st) == SQLITE_DONE ? SAK_OK : sak_db_fail(db, err, "recording a migration");
    sqlite3_finalize(st);
    return status;
}

static sak_status name_store(sqlite3 *db, sak_error *err)
{
    unsigned char raw[16];
    char sql[200], *at = sql;
    SAK_TRY(sak_random_bytes(raw, sizeof raw, err));
    at += sprintf(at, "PRAGMA application_id = %d; INSERT INTO store VALUES (1, '",
                  SAK_DB_APPLICATION_ID);
    for (size_t i = 0; i < sizeof raw; i++)
        at += sprintf(at, "%02x", raw[i]);
    sprintf(at, "', %" PRId64 ")", sak_now_us());
    return sak_db_exec(db, sql, err);
}

/* Under the exclusive lock. */
static sak_status apply(sqlite3 *db, const char *path, const sak_migration *steps, int n,
                        sak_error *err)
{
    int64_t version;
    SAK_TRY(sak_db_int(db, "PRAGMA user_version", 0, &version, err));
    if (version >= n)
        return SAK_OK; /* another process was faster */
    char *backup = NULL;
    if (version > 0)
        SAK_TRY(back_up(path, version, &backup, err));
    sak_status status = sak_db_exec(db,
                                    "CREATE TABLE IF NOT EXISTS migration(version INTEGER PRIMARY "
                                    "KEY, name TEXT NOT NULL, applied_us INTEGER NOT NULL, "
                                    "backup TEXT) STRICT",
                                    err);
    const bool fresh = version == 0;
    for (; status == SAK_OK && version < n; version++) {
        const sak_migration *m = &steps[version];
        status = sak_db_exec(db, m->sql, err);
        if (status == SAK_OK && m->fill)
            status = m->fill(db, err);
        if (status == SAK_OK)
            status = record(db, (int)version + 1, m->name, backup, err);
    }
    sqlite3_free(backup);
    SAK_TRY(status);
    if (fresh)
        SAK_TRY(name_store(db, err));
    SAK_TRY(sak_db_recreate_views(db, err));
    char set[64];
    snprintf(set, sizeof set, "PRAGMA user_version = %d", n);
    return sak_db_exec(db, set, err);
}

sak_status sak_db_migrate(sqlite3 *db, const char *path, const sak_migration *steps, int n,
                          sak_error *err)
{
    int64_t version;
    SAK_TRY(sak_db_int(db, "PRAGMA user_version", 0, &version, err));
    if (version >= n)
        return SAK_OK;
    SAK_TRY(sak_db_exec(db, "BEGIN EXCLUSIVE", err));
    sak_status status = apply(db, path, steps, n, err);
    if (status == SAK_OK)
        status = sak_db_exec(db, "COMMIT", err);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}
