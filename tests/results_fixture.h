/* A folder per test, and one-number queries: what the tests of engine/results share. */
#ifndef SAK_TESTS_RESULTS_FIXTURE_H
#define SAK_TESTS_RESULTS_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "results/store.h"

typedef struct place {
    char folder[64], db[96];
} place;

#define OK(call)                                                                                   \
    do {                                                                                           \
        sak_error error_ = {0};                                                                    \
        sak_error *const err = &error_;                                                            \
        if ((call) != SAK_OK)                                                                      \
            fail_msg("%s: %s", #call, error_.msg);                                                 \
    } while (0)

#define FAILS(status, part, call)                                                                  \
    do {                                                                                           \
        sak_error error_ = {0};                                                                    \
        sak_error *const err = &error_;                                                            \
        assert_int_equal((call), status);                                                          \
        if (!strstr(error_.msg, part))                                                             \
            fail_msg("%s: \"%s\" does not say \"%s\"", #call, error_.msg, part);                   \
    } while (0)

static inline int place_open(void **state)
{
    place *p = calloc(1, sizeof *p);
    const char *tmp = getenv("TMPDIR"); /* a folder in memory spares a busy disk */
    snprintf(p->folder, sizeof p->folder, "%s/sak_results_XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
    if (!p || !mkdtemp(p->folder))
        return -1;
    snprintf(p->db, sizeof p->db, "%s/sak.db", p->folder);
    *state = p;
    return 0;
}

static inline int place_close(void **state)
{
    place *p = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", p->folder);
    const int rc = system(command);
    free(p);
    return rc;
}

/* First column of the first row as a number; NaN for NULL or no row. */
static inline double number(sak_store *s, const char *sql)
{
    sak_rows *rows = NULL;
    bool more = false;
    double v = NAN;
    OK(sak_store_query(s, &(sak_query){.sql = sql}, &rows, err));
    OK(sak_rows_next(rows, &more, err));
    if (more && sak_rows_value(rows, 0).type != SAK_NULL)
        v = sak_rows_value(rows, 0).num;
    sak_rows_close(rows);
    return v;
}

static inline void expect_number(sak_store *s, const char *sql, double want)
{
    const double got = number(s, sql);
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%s: %.12g, expected %.12g", sql, got, want);
}

static inline void expect_text(sak_store *s, const char *sql, const char *want)
{
    sak_rows *rows = NULL;
    bool more = false;
    OK(sak_store_query(s, &(sak_query){.sql = sql}, &rows, err));
    OK(sak_rows_next(rows, &more, err));
    assert_true(more);
    const sak_value v = sak_rows_value(rows, 0);
    if (v.type != SAK_TEXT || strcmp(v.text, want) != 0)
        fail_msg("%s: '%s', expected '%s'", sql, v.type == SAK_TEXT ? v.text : "(no text)", want);
    sak_rows_close(rows);
}

static inline void expect_healthy(sak_store *s)
{
    OK(sak_store_check(s, stderr, err));
}

#endif
