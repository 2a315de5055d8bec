/* Salvage: a table is read by ranges of its key; a range that fails is halved, until what cannot be
 * read is a single key.  Tables clustered by several columns go on with the next one. */
#include "results/salvage.h"

#include <string.h>

typedef struct reader {
    sqlite3 *from, *to;
    sqlite3_stmt *put;
    const char *table;
    const char *key[3]; /* of the key, outermost first */
    int n_keys;
    int64_t rows, lost;
    bool missing; /* the table itself cannot be read */
    bool failed;  /* the new file cannot be written */
} reader;

static bool prepare_put(reader *r, int columns)
{
    char sql[256];
    int n = snprintf(sql, sizeof sql, "INSERT OR REPLACE INTO %s VALUES (?1", r->table);
    for (int i = 2; i <= columns; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, ", ?%d", i);
    snprintf(sql + n, sizeof sql - (size_t)n, ")");
    return sqlite3_prepare_v2(r->to, sql, -1, &r->put, NULL) == SQLITE_OK;
}

/* Copies the rows of key[level] in [lo, hi] below the fixed outer keys. */
static int copy(reader *r, int level, const int64_t *at, int64_t lo, int64_t hi)
{
    char sql[512];
    sqlite3_stmt *get = NULL;
    int n = snprintf(sql, sizeof sql, "SELECT * FROM %s %s WHERE %s BETWEEN %lld AND %lld", r->table,
                     strcmp(r->key[0], "rowid") == 0 ? "NOT INDEXED" : "", r->key[level],
                     (long long)lo, (long long)hi);
    for (int i = 0; i < level; i++)
        n += snprintf(sql + n, sizeof sql - (size_t)n, " AND %s = %lld", r->key[i], (long long)at[i]);
    int rc = sqlite3_prepare_v2(r->from, sql, -1, &get, NULL);
    if (rc != SQLITE_OK) {
        r->missing = true;
        return rc;
    }
    const int columns = sqlite3_column_count(get);
    if (!r->put && !prepare_put(r, columns))
        r->missing = true; /* a schema of another age */
    while (!r->missing && (rc = sqlite3_step(get)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++)
            sqlite3_bind_value(r->put, i + 1, sqlite3_column_value(get, i));
        const int done = sqlite3_step(r->put);
        sqlite3_reset(r->put);
        r->rows += done == SQLITE_DONE;
        r->lost += done == SQLITE_CONSTRAINT; /* nonsense that a damaged page holds */
        r->failed |= done != SQLITE_DONE && done != SQLITE_CONSTRAINT;
    }
    sqlite3_finalize(get);
    return r->missing ? SQLITE_ERROR : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Keys are mostly small: ranges that grow keep the halving short where the damage is. */
static void copy_all(reader *r, int level, int64_t *at);

static void copy_range(reader *r, int level, int64_t *at, int64_t lo, int64_t hi)
{
    const int rc = copy(r, level, at, lo, hi);
    if (rc == SQLITE_OK)
        return;
    if (r->missing || r->failed || r->lost > 100000) { /* no such table; or nothing but damage */
        r->missing = true;
        r->lost++;
        return;
    }
    if (lo < hi) {
        const int64_t middle = lo + (hi - lo) / 2;
        copy_range(r, level, at, lo, middle);
        copy_range(r, level, at, middle + 1, hi);
    } else if (level + 1 < r->n_keys) {
        at[level] = lo;
        copy_all(r, level + 1, at);
    } else {
        r->lost++;
    }
}

static void copy_all(reader *r, int level, int64_t *at)
{
    copy_range(r, level, at, -(INT64_C(1) << 40), -1);
    int64_t from = 0;
    for (int bits = 6; bits <= 62 && !r->missing; bits += 8) {
        const int64_t to = (INT64_C(1) << bits) - 1;
        copy_range(r, level, at, from, to);
        from = to + 1;
    }
}

/* Parents first, so that nothing depends on the order; keys as the schema clusters them. */
static const struct {
    const char *table, *key[3];
} tables[] = {
    {"store", {"rowid"}},           {"experiment", {"rowid"}},
    {"blob", {"rowid"}},            {"sweep", {"rowid"}},
    {"trial", {"rowid"}},           {"run", {"rowid"}},
    {"attempt", {"run_id", "n"}},   {"param", {"run_id"}},
    {"tag", {"run_id"}},            {"metric_key", {"rowid"}},
    {"metric_point", {"run_id", "key_id", "step"}},
    {"artifact", {"rowid"}},        {"event", {"rowid"}},
    {"ingest", {"run_id", "attempt"}},
};

static sak_status salvage(sqlite3 *from, sqlite3 *to, int64_t *rows, int64_t *lost, sak_error *err)
{
    sqlite3_exec(from, "PRAGMA writable_schema = ON", NULL, NULL, NULL); /* read on past nonsense */
    SAK_TRY(sak_db_exec(to, "BEGIN", err));
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        reader r = {.from = from, .to = to, .table = tables[i].table};
        int64_t at[3] = {0};
        while (r.n_keys < 3 && tables[i].key[r.n_keys]) {
            r.key[r.n_keys] = tables[i].key[r.n_keys];
            r.n_keys++;
        }
        copy_all(&r, 0, at);
        sqlite3_finalize(r.put);
        if (r.failed)
            return sak_db_fail(to, err, "writing what was read");
        *rows += r.rows;
        *lost += r.lost;
    }
    return sak_db_exec(to, "COMMIT", err);
}

sak_status sak_db_salvage(const char *path, const char *fresh, int64_t *rows, int64_t *lost,
                          sak_error *err)
{
    sqlite3 *from = NULL, *to = NULL;
    sak_status status = SAK_OK;
    *rows = *lost = 0;
    if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        status = SAK_FAIL(err, SAK_EIO, "cannot open %s: %s", path, sqlite3_errmsg(from));
    else if (sqlite3_open_v2(fresh, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK)
        status = SAK_FAIL(err, SAK_EIO, "cannot create %s: %s", fresh, sqlite3_errmsg(to));
    if (status == SAK_OK)
        status = sak_db_migrate(to, fresh, sak_migrations, sak_migrations_n, err);
    if (status == SAK_OK)
        status = salvage(from, to, rows, lost, err);
    sqlite3_close(from);
    if (sqlite3_close(to) != SQLITE_OK && status == SAK_OK)
        status = SAK_FAIL(err, SAK_EIO, "cannot finish %s", fresh);
    return status;
}
