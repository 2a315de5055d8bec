/* Metrics on their way into the tables: names to ids, points gathered over a batch, sorted as
 * metric_point is clustered, and folded into metric_last with one statement per metric. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/ingest_state.h"

/* --- keys ------------------------------------------------------------------------------------- */

sak_status sak_ingest_learn_key(sak_ingest *g, sak_fields *f, sak_error *err)
{
    size_t n;
    const uint32_t index = sak_take_u32(f);
    const char *name = sak_take_text(f, &n);
    if (f->bad || !name || index > g->n_keys || index > 1000000)
        return SAK_FAIL(err, SAK_EFORMAT, "bad key record");
    if (index < g->n_keys)
        return SAK_OK; /* seen before a rollback */
    if (g->n_keys == g->cap_keys) {
        const size_t cap = g->cap_keys ? 2 * g->cap_keys : 64;
        sak_ingest_key *p = realloc(g->keys, cap * sizeof *p);
        if (!p)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        g->keys = p;
        g->cap_keys = cap;
    }
    char *copy = malloc(n + 1);
    if (!copy)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    memcpy(copy, name, n);
    copy[n] = 0;
    g->keys[g->n_keys++] = (sak_ingest_key){.name = copy};
    return SAK_OK;
}

sak_status sak_ingest_intern(sak_ingest *g, sak_ingest_key *k, sak_error *err)
{
    if (k->loaded)
        return SAK_OK;
    sak_db_bind_text(g->get_key, 1, k->name);
    int rc = sqlite3_step(g->get_key);
    k->id = rc == SQLITE_ROW ? sqlite3_column_int64(g->get_key, 0) : 0;
    sqlite3_reset(g->get_key);
    if (!k->id) {
        sak_db_bind_text(g->put_key, 1, k->name);
        rc = sqlite3_step(g->put_key);
        sqlite3_reset(g->put_key);
        if (rc != SQLITE_DONE)
            return sak_db_fail(g->db, err, "adding a metric");
        k->id = sqlite3_last_insert_rowid(g->db);
    }
    k->last_step = INT64_MIN;
    sqlite3_bind_int64(g->get_last, 1, g->run);
    sqlite3_bind_int64(g->get_last, 2, k->id);
    if (sqlite3_step(g->get_last) == SQLITE_ROW)
        k->last_step = sqlite3_column_int64(g->get_last, 0);
    sqlite3_reset(g->get_last);
    k->loaded = true;
    return SAK_OK;
}

/* --- points ----------------------------------------------------------------------------------- */

sak_status sak_ingest_take_points(sak_ingest *g, sak_fields *f, sak_error *err)
{
    const size_t n = f->n / SAK_POINT_BYTES;
    if (f->n % SAK_POINT_BYTES)
        return SAK_FAIL(err, SAK_EFORMAT, "bad points record");
    if (g->n_points + n > g->cap_points) {
        const size_t cap = g->n_points + n + SAK_BATCH_POINTS;
        sak_point *p = realloc(g->points, cap * sizeof *p);
        if (!p)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        g->points = p;
        g->cap_points = cap;
    }
    for (size_t i = 0; i < n; i++) {
        sak_point *p = &g->points[g->n_points];
        p->key = sak_take_u32(f);
        p->step = sak_take_i64(f);
        p->t_us = sak_take_i64(f);
        p->value = sak_take_f64(f);
        p->seq = (uint32_t)g->n_points++;
        if (p->key >= g->n_keys)
            return SAK_FAIL(err, SAK_EFORMAT, "a point names an unknown metric");
    }
    return SAK_OK;
}

static int by_key_and_step(const void *a, const void *b)
{
    const sak_point *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->seq < y->seq ? -1 : 1;
}

static void bind_real(sqlite3_stmt *st, int at, double v)
{
    if (isfinite(v))
        sqlite3_bind_double(st, at, v);
    else
        sqlite3_bind_null(st, at);
}

/* Points [from, to) of one metric, ascending in step, one per step. */
static sak_status write_metric(sak_ingest *g, const sak_point *from, const sak_point *to, sak_error *err)
{
    sak_ingest_key *k = &g->keys[from->key];
    SAK_TRY(sak_ingest_intern(g, k, err));
    const bool again = from->step <= k->last_step;
    double vmin = INFINITY, vmax = -INFINITY, vsum = 0;
    int64_t vmin_step = 0, vmax_step = 0, n_bad = 0;
    sqlite3_stmt *st = g->put_point;
    for (const sak_point *p = from; p < to; p++) {
        sqlite3_bind_int64(st, 1, g->run);
        sqlite3_bind_int64(st, 2, k->id);
        sqlite3_bind_int64(st, 3, p->step);
        sqlite3_bind_int64(st, 4, g->id.attempt);
        sqlite3_bind_int64(st, 5, p->t_us);
        bind_real(st, 6, p->value);
        const int rc = sqlite3_step(st);
        sqlite3_reset(st);
        if (rc != SQLITE_DONE)
            return sak_db_fail(g->db, err, "writing points");
        if (!isfinite(p->value)) {
            n_bad++;
            continue;
        }
        vsum += p->value;
        if (p->value < vmin)
            vmin = p->value, vmin_step = p->step;
        if (p->value > vmax)
            vmax = p->value, vmax_step = p->step;
    }
    const sak_point *last = to - 1;
    if (again) {
        k->last_step = last->step > k->last_step ? last->step : k->last_step;
        return sak_ingest_recompute(g->db, g->run, k->id, err);
    }
    k->last_step = last->step;
    st = g->put_last;
    sqlite3_bind_int64(st, 1, g->run);
    sqlite3_bind_int64(st, 2, k->id);
    sqlite3_bind_int64(st, 3, last->step);
    sqlite3_bind_int64(st, 4, g->id.attempt);
    sqlite3_bind_int64(st, 5, last->t_us);
    bind_real(st, 6, last->value);
    bind_real(st, 7, vmin);
    bind_real(st, 9, vmax);
    sqlite3_bind_null(st, 8);
    sqlite3_bind_null(st, 10);
    if (n_bad < to - from) {
        sqlite3_bind_int64(st, 8, vmin_step);
        sqlite3_bind_int64(st, 10, vmax_step);
    }
    sqlite3_bind_double(st, 11, isfinite(vsum) ? vsum : 0);
    sqlite3_bind_int64(st, 12, to - from);
    sqlite3_bind_int64(st, 13, n_bad);
    const int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SAK_OK : sak_db_fail(g->db, err, "writing a metric's summary");
}

sak_status sak_ingest_write_points(sak_ingest *g, sak_error *err)
{
    if (g->n_points == 0)
        return SAK_OK;
    if (!g->run)
        return SAK_FAIL(err, SAK_EFORMAT, "points before the run's description");
    qsort(g->points, g->n_points, sizeof *g->points, by_key_and_step);
    size_t n = 0; /* of two at one step the later one stays */
    for (size_t i = 0; i < g->n_points; i++) {
        const sak_point p = g->points[i];
        if (n && g->points[n - 1].key == p.key && g->points[n - 1].step == p.step)
            n--;
        g->points[n++] = p;
    }
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && g->points[to].key == g->points[from].key; to++)
            ;
        SAK_TRY(write_metric(g, g->points + from, g->points + to, err));
    }
    g->points_total += (int64_t)n;
    g->n_points = 0;
    return SAK_OK;
}

sak_status sak_ingest_recompute(sqlite3 *db, int64_t run, int64_t key_id, sak_error *err)
{
    static const char sql[] =
        "WITH p AS MATERIALIZED (SELECT p.step, p.attempt, p.t_us, p.value FROM metric_point p"
        "  WHERE p.run_id = ?1 AND p.key_id = ?2"
        "   AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = ?1 AND a.n > p.attempt"
        "    AND a.resumed_step < p.step)"
        "   AND NOT EXISTS (SELECT 1 FROM metric_point q WHERE q.run_id = ?1 AND q.key_id = ?2"
        "    AND q.step = p.step AND q.attempt > p.attempt))"
        "INSERT OR REPLACE INTO metric_last SELECT ?1, ?2, l.step, l.attempt, l.t_us, l.value,"
        "  (SELECT min(value) FROM p),"
        "  (SELECT step FROM p WHERE value IS NOT NULL ORDER BY value, step LIMIT 1),"
        "  (SELECT max(value) FROM p),"
        "  (SELECT step FROM p WHERE value IS NOT NULL ORDER BY value DESC, step LIMIT 1),"
        "  (SELECT coalesce(sum(value), 0.0) FROM p), (SELECT count(*) FROM p),"
        "  (SELECT count(*) - count(value) FROM p)"
        " FROM (SELECT * FROM p ORDER BY step DESC LIMIT 1) l";
    sqlite3_stmt *st = NULL;
    SAK_TRY(sak_db_prepare(db, sql, &st, err));
    sqlite3_bind_int64(st, 1, run);
    sqlite3_bind_int64(st, 2, key_id);
    const sak_status status =
        sqlite3_step(st) == SQLITE_DONE ? SAK_OK : sak_db_fail(db, err, "summing up a metric");
    sqlite3_finalize(st);
    return status;
}
