/* Read-only SQL: a connection of its own that cannot write, an authorizer that lets only reading
 * through, and limits on rows and time. */
#include <stdlib.h>
#include <string.h>

#include "results/db.h"

#define PROGRESS_OPS 20000 /* virtual-machine steps between looks at the clock: well below 1 ms */

struct sak_rows {
    sqlite3 *db;
    sqlite3_stmt *st;
    int columns;
    int64_t max_rows, n;
    int64_t until_us; /* 0: no limit */
    double max_seconds;
    bool limited, done;
};

static int authorize(void *ctx, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    (void)ctx, (void)c, (void)d;
    static const char *const pragmas[] = {
        "table_info", "table_xinfo", "table_list",    "index_list",      "index_info",
        "index_xinfo", "foreign_key_list", "database_list", "function_list", "pragma_list",
        "compile_options", "collation_list", "module_list", "foreign_key_check", "quick_check",
        "integrity_check"};
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_UPDATE: /* asked when a table-valued function such as json_each declares itself; a
                         * real update is not a reading statement and fails after */
        return a && !strcmp(a, "sqlite_master") ? SQLITE_OK : SQLITE_DENY;
    case SQLITE_FUNCTION:
        return b && (!sqlite3_stricmp(b, "load_extension") || !sqlite3_stricmp(b, "fts3_tokenizer"))
                   ? SQLITE_DENY
                   : SQLITE_OK;
    case SQLITE_PRAGMA:
        for (size_t i = 0; a && i < sizeof pragmas / sizeof *pragmas; i++)
            if (!sqlite3_stricmp(a, pragmas[i]))
                return SQLITE_OK;
        /* Versions may be asked for but not set. */
        return a && !b && (!sqlite3_stricmp(a, "user_version") ||
                           !sqlite3_stricmp(a, "application_id") ||
                           !sqlite3_stricmp(a, "data_version") || !sqlite3_stricmp(a, "page_count"))
                   ? SQLITE_OK
                   : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

static sak_status query_connection(sak_store *s, sak_error *err)
{
    if (s->qdb)
        return SAK_OK;
    sqlite3 *db = NULL;
    char *uri = s->immutable ? sak_db_immutable_uri(s->path) : sqlite3_mprintf("%s", s->path);
    if (!uri)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    const int flags = SQLITE_OPEN_READONLY | (s->immutable ? SQLITE_OPEN_URI : 0);
    sak_status status = SAK_OK;
    if (sqlite3_open_v2(uri, &db, flags, NULL) != SQLITE_OK)
        status = sak_db_fail(db, err, "opening for a query");
    sqlite3_free(uri);
    if (status == SAK_OK) {
        sqlite3_busy_timeout(db, SAK_DB_WAIT_MS);
        status = sak_db_exec(db, "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;"
                                 "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536;"
                                 "PRAGMA mmap_size = 1073741824", err);
    }
    if (status != SAK_OK) {
        sqlite3_close(db);
        return status;
    }
    sqlite3_set_authorizer(db, authorize, NULL);
    s->qdb = db;
    return SAK_OK;
}

/* While a statement steps, the handler must be that statement's: several may be open. */
static int too_long(void *ctx)
{
    const sak_rows *rows = ctx;
    return rows->until_us && sak_monotonic_us() > rows->until_us;
}

static bool only_space(const char *sql)
{
    for (;;) {
        sql += strspn(sql, " \t\r\n;");
        if (strncmp(sql, "--", 2) != 0)
            return !*sql;
        sql += strcspn(sql, "\n");
    }
}

static sak_status prepare(sqlite3 *db, const sak_query *q, sqlite3_stmt **st, sak_error *err)
{
    const char *tail = NULL;
    const int rc = sqlite3_prepare_v2(db, q->sql, -1, st, &tail);
    if (rc == SQLITE_AUTH)
        return SAK_FAIL(err, SAK_EINVAL, "sql: a query can only read (%s)", sqlite3_errmsg(db));
    if (rc == SQLITE_ERROR) {
        const int at = sqlite3_error_offset(db);
        if (at < 0)
            return SAK_FAIL(err, SAK_EINVAL, "sql: %s", sqlite3_errmsg(db));
        return SAK_FAIL(err, SAK_EINVAL, "sql: %s, at '%.40s'", sqlite3_errmsg(db), q->sql + at);
    }
    if (rc != SQLITE_OK)
        return sak_db_fail(db, err, "sql");
    if (!*st)
        return SAK_FAIL(err, SAK_EINVAL, "sql: the query is empty");
    if (!sqlite3_stmt_readonly(*st))
        return SAK_FAIL(err, SAK_EINVAL, "sql: a query can only read");
    if (!only_space(tail))
        return SAK_FAIL(err, SAK_EINVAL, "sql: one statement at a time; the second begins '%.40s'",
                        tail + strspn(tail, " \t\r\n;"));
    const int wanted = sqlite3_bind_parameter_count(*st);
    if (wanted != q->n_params)
        return SAK_FAIL(err, SAK_EINVAL, "sql: the query has %d parameter%s, %d given", wanted,
                        wanted == 1 ? "" : "s", q->n_params);
    for (int i = 0; i < q->n_params; i++) {
        const sak_value *v = &q->params[i];
        int bound = SQLITE_OK;
        switch (v->type) {
        case SAK_INT:
            sqlite3_bind_int64(*st, i + 1, v->i);
            break;
        case SAK_NUM:
            sqlite3_bind_double(*st, i + 1, v->num);
            break;
        case SAK_TEXT:
            bound = sqlite3_bind_text(*st, i + 1, v->text, -1, SQLITE_TRANSIENT);
            break;
        case SAK_BLOB:
            bound = sqlite3_bind_blob64(*st, i + 1, v->text, v->bytes, SQLITE_TRANSIENT);
            break;
        case SAK_NULL:
            sqlite3_bind_null(*st, i + 1);
            break;
        }
        if (bound != SQLITE_OK)
            return SAK_FAIL(err, SAK_ENOMEM, "sql: parameter %d: %s", i + 1, sqlite3_errstr(bound));
    }
    return SAK_OK;
}

sak_status sak_store_query(sak_store *s, const sak_query *q, sak_rows **out, sak_error *err)
{
    *out = NULL;
    SAK_TRY(query_connection(s, err));
    sak_rows *rows = calloc(1, sizeof *rows);
    if (!rows)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    rows->db = s->qdb;
    rows->max_rows = q->max_rows;
    rows->max_seconds = q->max_seconds;
    const sak_status status = prepare(s->qdb, q, &rows->st, err);
    if (status != SAK_OK) {
        sak_rows_close(rows);
        return status;
    }
    rows->columns = sqlite3_column_count(rows->st);
    if (q->max_seconds > 0)
        rows->until_us = sak_monotonic_us() + (int64_t)(q->max_seconds * 1e6);
    *out = rows;
    return SAK_OK;
}

void sak_rows_close(sak_rows *rows)
{
    if (!rows)
        return;
    sqlite3_finalize(rows->st);
    free(rows);
}

int sak_rows_columns(const sak_rows *rows)
{
    return rows->columns;
}

const char *sak_rows_name(const sak_rows *rows, int column)
{
    const char *name = sqlite3_column_name(rows->st, column);
    return name ? name : "";
}

sak_status sak_rows_next(sak_rows *rows, bool *more, sak_error *err)
{
    *more = false;
    if (rows->done)
        return SAK_OK;
    sqlite3_progress_handler(rows->db, rows->until_us ? PROGRESS_OPS : 0, too_long, rows);
    const int rc = sqlite3_step(rows->st);
    sqlite3_progress_handler(rows->db, 0, NULL, NULL);
    if (rc == SQLITE_ROW) {
        if (rows->max_rows > 0 && rows->n >= rows->max_rows) {
            rows->limited = rows->done = true;
            return SAK_OK;
        }
        rows->n++;
        *more = true;
        return SAK_OK;
    }
    rows->done = true;
    if (rc == SQLITE_DONE)
        return SAK_OK;
    if (rc == SQLITE_INTERRUPT)
        return SAK_FAIL(err, SAK_ESTOP, "sql: stopped after %g s; narrow the query or raise the limit",
                        rows->max_seconds);
    return rc == SQLITE_ERROR ? SAK_FAIL(err, SAK_EINVAL, "sql: %s", sqlite3_errmsg(rows->db))
                              : sak_db_fail(rows->db, err, "sql");
}

sak_value sak_rows_value(const sak_rows *rows, int column)
{
    sqlite3_stmt *st = rows->st;
    sak_value v = {.type = SAK_NULL};
    switch (sqlite3_column_type(st, column)) {
    case SQLITE_INTEGER:
        v.type = SAK_INT;
        v.i = sqlite3_column_int64(st, column);
        v.num = (double)v.i;
        break;
    case SQLITE_FLOAT:
        v.type = SAK_NUM;
        v.num = sqlite3_column_double(st, column);
        break;
    case SQLITE_TEXT:
        v.type = SAK_TEXT;
        v.text = (const char *)sqlite3_column_text(st, column);
        v.bytes = (size_t)sqlite3_column_bytes(st, column);
        break;
    case SQLITE_BLOB:
        v.type = SAK_BLOB;
        v.text = sqlite3_column_blob(st, column);
        v.bytes = (size_t)sqlite3_column_bytes(st, column);
        break;
    }
    return v;
}

bool sak_rows_limited(const sak_rows *rows)
{
    return rows->limited;
}
