/* Salvage: a table is read in the order of its key, and where that fails the next key from which it
 * can be read is searched for.  Tables clustered by several columns go on with the next one inside the
 * keys on either side of the damage, of which a part may be there. */
#include "results/salvage.h"

#include <string.h>

typedef struct reader {
    sqlite3 *from, *to;
    sqlite3_stmt *put;
    const char *table;
    const char *key[3]; /* of the key, outermost first */
    int n_keys;
    int64_t lost;
    bool missing; /* the table itself cannot be read */
    bool failed;  /* the new file cannot be written */
} reader;

/* By the columns' names: an earlier sak's table has fewer of them. */
static bool prepare_put(reader *r, sqlite3_stmt *get)
{
    sqlite3_str *sql = sqlite3_str_new(r->to);
    const int columns = sqlite3_column_count(get);
    sqlite3_str_appendf(sql, "INSERT OR REPLACE INTO %s(", r->table);
    for (int i = 1; i < columns; i++)
        sqlite3_str_appendf(sql, "%s\"%w\"", i > 1 ? ", " : "", sqlite3_column_name(get, i));
    sqlite3_str_appendf(sql, ") VALUES (?1");
    for (int i = 2; i < columns; i++)
        sqlite3_str_appendf(sql, ", ?%d", i);
    sqlite3_str_appendf(sql, ")");
    char *text = sqlite3_str_finish(sql);
    const bool ok = text && sqlite3_prepare_v2(r->to, text, -1, &r->put, NULL) == SQLITE_OK;
    sqlite3_free(text);
    return ok;
}

/* key[level] and all columns of the rows below the fixed outer keys, from `first` on. */
static sqlite3_stmt *select_from(reader *r, int level, const int64_t *at, int64_t first, bool one)
{
    sqlite3_stmt *get = NULL;
    sqlite3_str *sql = sqlite3_str_new(r->from);
    sqlite3_str_appendf(sql, "SELECT %s, * FROM %s %s WHERE %s >= %lld", r->key[level], r->table,
                        strcmp(r->key[0], "rowid") == 0 ? "NOT INDEXED" : "", r->key[level],
                        (long long)first);
    for (int i = 0; i < level; i++)
        sqlite3_str_appendf(sql, " AND %s = %lld", r->key[i], (long long)at[i]);
    sqlite3_str_appendf(sql, " ORDER BY %s%s", r->key[level], one ? " LIMIT 1" : "");
    char *text = sqlite3_str_finish(sql);
    r->missing |= !text || sqlite3_prepare_v2(r->from, text, -1, &get, NULL) != SQLITE_OK;
    sqlite3_free(text);
    return get;
}

/* Copies the rows from *last on until one cannot be read.  *last: the largest key that was.  Returns
 * whether all could. */
static bool copy(reader *r, int level, const int64_t *at, int64_t *last, bool *any)
{
    sqlite3_stmt *get = select_from(r, level, at, *last, false);
    *any = false;
    if (get && !r->put && !prepare_put(r, get))
        r->missing = true; /* a damaged schema names other columns */
    int rc = SQLITE_DONE;
    while (!r->missing && !r->failed && (rc = sqlite3_step(get)) == SQLITE_ROW) {
        const int64_t key = sqlite3_column_int64(get, 0);
        *last = key > *last ? key : *last;
        *any = true;
        for (int i = 1; i < sqlite3_column_count(get); i++)
            sqlite3_bind_value(r->put, i, sqlite3_column_value(get, i));
        const int done = sqlite3_step(r->put);
        sqlite3_reset(r->put);
        r->lost += done == SQLITE_CONSTRAINT; /* nonsense that a damaged page holds */
        r->failed |= done != SQLITE_DONE && done != SQLITE_CONSTRAINT;
    }
    sqlite3_finalize(get);
    return rc == SQLITE_DONE;
}

static bool readable_from(reader *r, int level, const int64_t *at, int64_t first)
{
    sqlite3_stmt *get = select_from(r, level, at, first, true);
    const int rc = get ? sqlite3_step(get) : SQLITE_ERROR;
    sqlite3_finalize(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

#define HIGHEST (INT64_C(1) << 62)

/* The first key behind `bad` from which rows can be read, or HIGHEST: steps that double reach it, halving
 * finds it. */
static int64_t next_readable(reader *r, int level, const int64_t *at, int64_t bad)
{
    int64_t good = bad + 1;
    for (int bit = 0; good < HIGHEST && !readable_from(r, level, at, good); bit++) {
        const int64_t step = INT64_C(1) << (bit < 61 ? bit : 61);
        bad = good;
        good = bad < HIGHEST - step ? bad + step : HIGHEST;
    }
    while (good < HIGHEST && good - bad > 1) {
        const int64_t middle = bad + (good - bad) / 2;
        if (readable_from(r, level, at, middle))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

static void copy_all(reader *r, int level, int64_t *at)
{
    for (int64_t from = -HIGHEST; from < HIGHEST;) {
        int64_t last = from;
        bool any;
        if (copy(r, level, at, &last, &any) || r->missing || r->failed)
            break;
        r->lost++;
        from = next_readable(r, level, at, last);
        const bool inner = level + 1 < r->n_keys;
        if (inner && any) {
            at[level] = last;
            copy_all(r, level + 1, at);
        }
        if (inner && from < HIGHEST && !(any && from - 1 == last)) {
            at[level] = from - 1;
            copy_all(r, level + 1, at);
        }
    }
    r->lost += r->missing && level == 0;
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
        int64_t n = 0;
        char count[64];
        snprintf(count, sizeof count, "SELECT count(*) FROM %s", r.table);
        SAK_TRY(sak_db_int(to, count, 0, &n, err));
        *rows += n;
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
