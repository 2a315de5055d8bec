/* Opening the results database and running queries, for several verbs. */
#include "cli/db.h"

#include <stdlib.h>

int sak_cli_store(const sak_options *o, sak_store_mode mode, sak_store **out)
{
    sak_error err = {0};
    const sak_status st = sak_store_open(o->db, mode, out, &err);
    if (st == SAK_OK)
        return SAK_EXIT_OK;
    if (st == SAK_ENOENT)
        return sak_usage("`sak run FILE` makes one; --db or SAK_DB names another", "%s", err.msg);
    return sak_complain(&err);
}

sak_status sak_cli_query(sak_store *s, const sak_query *q, sak_format format, FILE *f, int64_t *n,
                         bool *limited, sak_error *err)
{
    sak_rows *rows = NULL;
    SAK_TRY(sak_store_query(s, q, &rows, err));
    const sak_status st = sak_rows_print(rows, format, f, n, err);
    if (limited)
        *limited = sak_rows_limited(rows);
    sak_rows_close(rows);
    return st;
}

sak_status sak_cli_query_json(sak_store *s, const sak_query *q, json_t **out, sak_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_status st = sak_cli_query(s, q, SAK_FORMAT_JSON, f, NULL, NULL, err);
    if (fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    json_error_t why;
    if (st == SAK_OK && !(*out = json_loads(text, 0, &why)))
        st = SAK_FAIL(err, SAK_EFORMAT, "a query's rows are not JSON: %s", why.text);
    free(text);
    return st;
}

sak_status sak_cli_query_int(sak_store *s, const sak_query *q, int64_t *out, sak_error *err)
{
    sak_rows *rows = NULL;
    bool more = false;
    *out = 0;
    SAK_TRY(sak_store_query(s, q, &rows, err));
    const sak_status st = sak_rows_next(rows, &more, err);
    if (st == SAK_OK && more)
        *out = sak_rows_value(rows, 0).i;
    sak_rows_close(rows);
    return st;
}

void sak_cli_note_limit(int64_t n)
{
    fprintf(stderr, "note: only the first %lld rows; --limit 0 shows all\n", (long long)n);
}
