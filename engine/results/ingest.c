/* Spool → tables; see ingest.h.  Points are gathered over a batch, sorted as metric_point is
 * clustered, and folded into metric_last with one statement per metric. */
#include "results/ingest.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "results/ingest_rows.h"

#define BATCH_POINTS 50000 /* about 0.1 s of write lock */

typedef struct point {
    uint32_t key;
    uint32_t seq; /* order of logging: the later of two at one step wins */
    int64_t step, t_us;
    double value;
} point;

typedef struct key {
    char *name;
    int64_t id;        /* 0: not interned since the last rollback */
    int64_t last_step; /* of this attempt; below it or at it metric_last is recomputed */
    bool loaded;       /* id and last_step are those of the database */
} key;

struct sak_ingest {
    sqlite3 *db;
    char *spool; /* the file's name, without its folder */
    int fd;
    sak_spool_id id;
    int64_t run;
    uint64_t at; /* what the database says has been read */
    int64_t points_total;
    sak_spool_reader reader;
    key *keys;
    size_t n_keys, cap_keys;
    point *points;
    size_t n_points, cap_points;
    sqlite3_stmt *put_point, *put_last, *get_key, *put_key, *get_last, *put_offset, *get_offset;
    bool finished;
};

/* --- keys ------------------------------------------------------------------------------------- */

static sak_status learn_key(sak_ingest *g, sak_fields *f, sak_error *err)
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
        key *p = realloc(g->keys, cap * sizeof *p);
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
    g->keys[g->n_keys++] = (key){.name = copy};
    return SAK_OK;
}

static sak_status intern(sak_ingest *g, key *k, sak_error *err)
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

static sak_status take_points(sak_ingest *g, sak_fields *f, sak_error *err)
{
    const size_t n = f->n / SAK_POINT_BYTES;
    if (f->n % SAK_POINT_BYTES)
        return SAK_FAIL(err, SAK_EFORMAT, "bad points record");
    if (g->n_points + n > g->cap_points) {
        const size_t cap = g->n_points + n + BATCH_POINTS;
        point *p = realloc(g->points, cap * sizeof *p);
        if (!p)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        g->points = p;
        g->cap_points = cap;
    }
    for (size_t i = 0; i < n; i++) {
        point *p = &g->points[g->n_points];
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
    const point *x = a, *y = b;
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
static sak_status write_metric(sak_ingest *g, const point *from, const point *to, sak_error *err)
{
    key *k = &g->keys[from->key];
    SAK_TRY(intern(g, k, err));
    const bool again = from->step <= k->last_step;
    double vmin = INFINITY, vmax = -INFINITY, vsum = 0;
    int64_t vmin_step = 0, vmax_step = 0, n_bad = 0;
    sqlite3_stmt *st = g->put_point;
    for (const point *p = from; p < to; p++) {
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
    const point *last = to - 1;
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

static sak_status write_points(sak_ingest *g, sak_error *err)
{
    if (g->n_points == 0)
        return SAK_OK;
    if (!g->run)
        return SAK_FAIL(err, SAK_EFORMAT, "points before the run's description");
    qsort(g->points, g->n_points, sizeof *g->points, by_key_and_step);
    size_t n = 0; /* of two at one step the later one stays */
    for (size_t i = 0; i < g->n_points; i++) {
        const point p = g->points[i];
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

/* --- records ---------------------------------------------------------------------------------- */

static sak_status describe(sak_ingest *g, sak_fields *f, sak_error *err)
{
    const uint32_t index = sak_take_u32(f);
    if (f->bad || index >= g->n_keys)
        return SAK_FAIL(err, SAK_EFORMAT, "bad description of a metric");
    SAK_TRY(intern(g, &g->keys[index], err));
    return sak_rows_describe(g->db, g->keys[index].id, f, err);
}

static sak_status apply(sak_ingest *g, const sak_record_view *rec, sak_error *err)
{
    sak_fields f = {rec->p, rec->n, false};
    const int attempt = (int)g->id.attempt;
    if (rec->type == SAK_RECORD_KEY)
        return learn_key(g, &f, err);
    if (rec->type == SAK_RECORD_RUN)
        return sak_rows_run(g->db, g->id.run, &f, &g->run, err);
    if (!g->run)
        return SAK_FAIL(err, SAK_EFORMAT, "the run %s is not in this database", g->id.run);
    switch (rec->type) {
    case SAK_RECORD_ATTEMPT:
        return sak_rows_attempt(g->db, g->run, attempt, &f, err);
    case SAK_RECORD_DESCRIBE:
        return describe(g, &f, err);
    case SAK_RECORD_POINTS:
        return take_points(g, &f, err);
    case SAK_RECORD_FINISH:
        g->finished = true;
        return sak_rows_finish(g->db, g->run, attempt, &f, err);
    default:
        return sak_rows_other(g->db, g->run, attempt, rec->type, &f, err);
    }
}

/* --- transactions ----------------------------------------------------------------------------- */

static sak_status read_offset(sak_ingest *g, uint64_t *at, sak_error *err)
{
    sqlite3_stmt *st = g->get_offset;
    sak_db_bind_text(st, 1, g->id.run);
    sqlite3_bind_int64(st, 2, g->id.attempt);
    const int rc = sqlite3_step(st);
    *at = SAK_SPOOL_HEADER;
    g->points_total = 0;
    if (rc == SQLITE_ROW) {
        g->run = sqlite3_column_int64(st, 0);
        if (sqlite3_column_type(st, 1) != SQLITE_NULL) {
            *at = (uint64_t)sqlite3_column_int64(st, 1);
            g->points_total = sqlite3_column_int64(st, 2);
        }
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SAK_OK
                                                 : sak_db_fail(g->db, err, "reading an offset");
}

static sak_status write_offset(sak_ingest *g, sak_error *err)
{
    if (!g->run)
        return SAK_OK;
    sqlite3_stmt *st = g->put_offset;
    const int64_t now = sak_now_us();
    sqlite3_bind_int64(st, 1, g->run);
    sqlite3_bind_int64(st, 2, g->id.attempt);
    sak_db_bind_text(st, 3, g->spool);
    sqlite3_bind_int64(st, 4, (int64_t)g->reader.at);
    sqlite3_bind_int64(st, 5, g->points_total);
    sak_db_bind_text(st, 6, g->finished ? "complete"
                            : g->reader.tail == SAK_TAIL_DAMAGED ? "damaged" : "open");
    sqlite3_bind_int64(st, 7, now);
    const int rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SAK_OK : sak_db_fail(g->db, err, "writing an offset");
}

/* What the database knows may differ from what we thought: nothing cached is to be trusted. */
static void forget(sak_ingest *g, uint64_t at)
{
    for (size_t i = 0; i < g->n_keys; i++)
        g->keys[i].loaded = false;
    g->n_points = 0;
    g->finished = false;
    g->reader.have = g->reader.used = 0;
    g->reader.at = at;
    g->reader.tail = SAK_TAIL_NONE;
}

/* Key records before the offset were read by somebody else: learn the names. */
static sak_status catch_up(sak_ingest *g, uint64_t at, sak_error *err)
{
    forget(g, SAK_SPOOL_HEADER);
    g->n_points = 0;
    g->reader.end = at;
    sak_record_view rec;
    bool found = true;
    while (found && g->reader.at < at) {
        SAK_TRY(sak_spool_next(&g->reader, &rec, &found, err));
        sak_fields f = {rec.p, rec.n, false};
        if (found && rec.type == SAK_RECORD_KEY)
            SAK_TRY(learn_key(g, &f, err));
        if (found && rec.type == SAK_RECORD_FINISH)
            g->finished = true;
    }
    const bool was_finished = g->finished;
    const sak_tail tail = g->reader.tail;
    if (g->reader.at == at) {
        forget(g, at);
        g->finished = was_finished;
    } else { /* shorter than what was read of it, or damaged since: there is nothing more to take */
        g->reader.at = at;
        g->reader.tail = tail;
    }
    g->at = at;
    return SAK_OK;
}

static sak_status batch(sak_ingest *g, uint64_t end, sak_error *err)
{
    uint64_t at;
    SAK_TRY(read_offset(g, &at, err));
    if (at != g->at)
        SAK_TRY(catch_up(g, at, err));
    g->reader.end = end;
    bool found = true;
    while (found && g->n_points < BATCH_POINTS) {
        sak_record_view rec;
        const uint64_t before = g->reader.at;
        const size_t points = g->n_points;
        SAK_TRY(sak_spool_next(&g->reader, &rec, &found, err));
        const sak_status status = found ? apply(g, &rec, err) : SAK_OK;
        if (status == SAK_EFORMAT) { /* whole by its checksum, but senseless */
            g->reader.at = before;
            g->n_points = points;
            g->reader.tail = SAK_TAIL_DAMAGED;
            break;
        }
        SAK_TRY(status);
    }
    SAK_TRY(write_points(g, err));
    return write_offset(g, err);
}

sak_status sak_ingest_step(sak_ingest *g, uint64_t end, bool *more, sak_error *err)
{
    *more = false;
    if (g->reader.at >= end || g->reader.tail == SAK_TAIL_DAMAGED)
        return SAK_OK;
    SAK_TRY(sak_db_exec(g->db, "BEGIN IMMEDIATE", err));
    g->reader.have = g->reader.used = 0; /* the file may have grown */
    g->reader.tail = SAK_TAIL_NONE;
    sak_status status = batch(g, end, err);
    if (status == SAK_OK)
        status = sak_db_exec(g->db, "COMMIT", err);
    if (status != SAK_OK) {
        if (!sqlite3_get_autocommit(g->db))
            sqlite3_exec(g->db, "ROLLBACK", NULL, NULL, NULL);
        if (g->at == SAK_SPOOL_HEADER)
            g->run = 0;
        forget(g, g->at);
        return status;
    }
    g->at = g->reader.at;
    *more = g->reader.tail == SAK_TAIL_NONE && g->reader.at < end;
    return SAK_OK;
}

sak_status sak_ingest_all(sak_ingest *g, sak_error *err)
{
    struct stat st;
    if (fstat(g->fd, &st) != 0)
        return SAK_FAIL(err, SAK_EIO, "cannot read the size of %s", g->spool);
    bool more = true;
    while (more)
        SAK_TRY(sak_ingest_step(g, (uint64_t)st.st_size, &more, err));
    return SAK_OK;
}

/* --- life ------------------------------------------------------------------------------------- */

sak_status sak_ingest_open(sqlite3 *db, int fd, const char *path, sak_ingest **out, sak_error *err)
{
    *out = NULL;
    sak_ingest *g = calloc(1, sizeof *g);
    if (!g)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    const char *slash = strrchr(path, '/');
    g->db = db;
    g->fd = g->reader.fd = fd;
    g->spool = strdup(slash ? slash + 1 : path);
    const struct {
        sqlite3_stmt **st;
        const char *sql;
    } all[] = {
        {&g->put_point, "INSERT INTO metric_point VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO"
                        " UPDATE SET t_us = excluded.t_us, value = excluded.value"},
        {&g->put_last,
         "INSERT INTO metric_last VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
         " ON CONFLICT DO UPDATE SET step = excluded.step, attempt = excluded.attempt,"
         "  t_us = excluded.t_us, value = excluded.value,"
         "  vmin_step = CASE WHEN vmin <= coalesce(excluded.vmin, vmin) THEN vmin_step"
         "   ELSE excluded.vmin_step END,"
         "  vmin = min(coalesce(vmin, excluded.vmin), coalesce(excluded.vmin, vmin)),"
         "  vmax_step = CASE WHEN vmax >= coalesce(excluded.vmax, vmax) THEN vmax_step"
         "   ELSE excluded.vmax_step END,"
         "  vmax = max(coalesce(vmax, excluded.vmax), coalesce(excluded.vmax, vmax)),"
         "  vsum = vsum + excluded.vsum, n = n + excluded.n,"
         "  n_nonfinite = n_nonfinite + excluded.n_nonfinite"},
        {&g->get_key, "SELECT id FROM metric_key WHERE name = ?1"},
        {&g->put_key, "INSERT INTO metric_key(name) VALUES (?1)"},
        {&g->get_last, "SELECT step FROM metric_last WHERE run_id = ?1 AND key_id = ?2"},
        {&g->put_offset,
         "INSERT INTO ingest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET"
         " offset = excluded.offset, points = excluded.points, state = excluded.state,"
         " updated_us = excluded.updated_us"},
        {&g->get_offset, "SELECT r.id, i.offset, i.points FROM run r LEFT JOIN ingest i"
                         " ON i.run_id = r.id AND i.attempt = ?2 WHERE r.uid = ?1"},
    };
    sak_status status = g->spool ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (status == SAK_OK)
        status = sak_spool_identify(fd, &g->id, err);
    for (size_t i = 0; status == SAK_OK && i < sizeof all / sizeof *all; i++)
        status = sak_db_prepare(db, all[i].sql, all[i].st, err);
    uint64_t at = 0;
    if (status == SAK_OK)
        status = read_offset(g, &at, err);
    if (status == SAK_OK)
        status = catch_up(g, at, err);
    if (status != SAK_OK) {
        sak_ingest_close(g);
        return status;
    }
    *out = g;
    return SAK_OK;
}

void sak_ingest_close(sak_ingest *g)
{
    if (!g)
        return;
    sqlite3_finalize(g->put_point);
    sqlite3_finalize(g->put_last);
    sqlite3_finalize(g->get_key);
    sqlite3_finalize(g->put_key);
    sqlite3_finalize(g->get_last);
    sqlite3_finalize(g->put_offset);
    sqlite3_finalize(g->get_offset);
    sak_spool_reader_free(&g->reader);
    for (size_t i = 0; i < g->n_keys; i++)
        free(g->keys[i].name);
    free(g->keys);
    free(g->points);
    free(g->spool);
    free(g);
}

int64_t sak_ingest_run(const sak_ingest *g)
{
    return g->run;
}

int sak_ingest_attempt(const sak_ingest *g)
{
    return (int)g->id.attempt;
}

uint64_t sak_ingest_offset(const sak_ingest *g)
{
    return g->at;
}

sak_tail sak_ingest_tail(const sak_ingest *g)
{
    return g->reader.tail;
}

bool sak_ingest_finished(const sak_ingest *g)
{
    return g->finished;
}
