/* Spool → tables: records, offsets, transactions; see ingest.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "results/ingest_rows.h"
#include "results/ingest_state.h"


/* --- records ---------------------------------------------------------------------------------- */

static sak_status describe(sak_ingest *g, sak_fields *f, sak_error *err)
{
    const uint32_t index = sak_take_u32(f);
    if (f->bad || index >= g->n_keys)
        return SAK_FAIL(err, SAK_EFORMAT, "bad description of a metric");
    SAK_TRY(sak_ingest_intern(g, &g->keys[index], err));
    return sak_rows_describe(g->db, g->keys[index].id, f, err);
}

static sak_status apply(sak_ingest *g, const sak_record_view *rec, sak_error *err)
{
    sak_fields f = {rec->p, rec->n, false};
    const int attempt = (int)g->id.attempt;
    if (rec->type == SAK_RECORD_KEY)
        return sak_ingest_learn_key(g, &f, err);
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
        return sak_ingest_take_points(g, &f, err);
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
            SAK_TRY(sak_ingest_learn_key(g, &f, err));
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
    while (found && g->n_points < SAK_BATCH_POINTS) {
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
    SAK_TRY(sak_ingest_write_points(g, err));
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
