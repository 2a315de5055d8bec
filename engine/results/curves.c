/* Learning curves; see curves.h.  SQLite would sort all points to group them; they are read in the
 * table's order instead and grouped here, five million in three seconds. */
#include "results/curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A part of the steps: sums over points within a run, then over runs. */
typedef struct part {
    double step, value, lo, hi;
    int n;
} part;

typedef struct seed {
    int64_t run;
    int arm; /* index of its arm and cell */
    bool resumed;
} seed;

typedef struct arm {
    const char *name, *cell;
} arm;

typedef struct key {
    int64_t id;
    const char *name, *goal, *unit;
    part **arms; /* parts of each arm; NULL where it has none */
} key;

typedef struct reader {
    sak_store *store;
    sak_arena *room;
    seed *seeds;
    arm *arms;
    key *keys;
    int n_seeds, n_arms, n_keys, parts;
} reader;

static const char *text_of(reader *r, const sak_rows *rows, int column)
{
    const sak_value v = sak_rows_value(rows, column);
    return v.type == SAK_TEXT ? sak_arena_text(r->room, v.text) : NULL;
}

/* --- which runs, which metrics ------------------------------------------------------------------ */

static sak_status read_runs(reader *r, const sak_chosen *chosen, sak_error *err)
{
    static const char sql[] = SAK_CHOSEN_CTE
        "SELECT c.run, r.attempts > 1, c.cell_place, c.place, c.arm, c.cell FROM chosen c"
        " JOIN run r ON r.id = c.run ORDER BY c.cell_place, c.place, c.run";
    const sak_value v = {.type = SAK_TEXT, .text = chosen->json, .bytes = strlen(chosen->json)};
    sak_rows *rows = NULL;
    bool more = true;
    r->seeds = sak_arena_take(r->room, ((size_t)chosen->runs + 1) * sizeof *r->seeds);
    r->arms = sak_arena_take(r->room, ((size_t)chosen->runs + 1) * sizeof *r->arms);
    if (!r->seeds || !r->arms)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    SAK_TRY(sak_store_query(r->store, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    int64_t cell_place = 0, place = 0;
    sak_status st = SAK_OK;
    while (r->n_seeds < chosen->runs && (st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        const int64_t in_cell = sak_rows_value(rows, 2).i, at = sak_rows_value(rows, 3).i;
        if (r->n_arms == 0 || in_cell != cell_place || at != place)
            r->arms[r->n_arms++] = (arm){text_of(r, rows, 4), text_of(r, rows, 5)};
        cell_place = in_cell, place = at;
        r->seeds[r->n_seeds++] = (seed){sak_rows_value(rows, 0).i, r->n_arms - 1, sak_rows_value(rows, 1).i};
    }
    sak_rows_close(rows);
    return st;
}

static sak_status read_keys(reader *r, sak_error *err)
{
    static const char sql[] =
        "SELECT id, name, goal, unit, count(*) OVER () FROM metric_key ORDER BY name";
    sak_rows *rows = NULL;
    bool more = true;
    SAK_TRY(sak_store_query(r->store, &(sak_query){.sql = sql}, &rows, err));
    sak_status st = SAK_OK;
    while (st == SAK_OK && (st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        if (!r->keys)
            r->keys = sak_arena_take(r->room, (size_t)sak_rows_value(rows, 4).i * sizeof *r->keys);
        key *k = r->keys ? &r->keys[r->n_keys++] : NULL;
        if (k) {
            *k = (key){sak_rows_value(rows, 0).i, text_of(r, rows, 1), text_of(r, rows, 2),
                       text_of(r, rows, 3), sak_arena_take(r->room, (size_t)r->n_arms * sizeof *k->arms)};
        }
        if (!k || !k->name || !k->arms)
            st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    sak_rows_close(rows);
    return st;
}

/* --- points ------------------------------------------------------------------------------------- */

/* Adds a run's parts to those of its arm, which is the at-th, and empties them. */
static sak_status fold(reader *r, key *k, int at, part *own, sak_error *err)
{
    part *all = k->arms[at];
    if (!all)
        all = k->arms[at] = sak_arena_take(r->room, (size_t)r->parts * sizeof *all);
    if (!all)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    for (int i = 0; i < r->parts; i++) {
        if (!own[i].n)
            continue;
        const double value = own[i].value / own[i].n;
        all[i].lo = all[i].n ? fmin(all[i].lo, value) : value;
        all[i].hi = all[i].n ? fmax(all[i].hi, value) : value;
        all[i].step += own[i].step / own[i].n;
        all[i].value += value;
        all[i].n++;
    }
    memset(own, 0, (size_t)r->parts * sizeof *own);
    return SAK_OK;
}

static key *find_key(reader *r, int64_t id)
{
    for (int i = 0; i < r->n_keys; i++)
        if (r->keys[i].id == id)
            return &r->keys[i];
    return NULL; /* added since */
}

static void add(part *own, int parts, int64_t step, int64_t last, double value)
{
    part *p = &own[step * parts / (last + 1)];
    p->step += (double)step;
    p->value += value;
    p->n++;
}

#define POINTS_SQL                                                                                 \
    "SELECT p.key_id, l.step, p.step, p.value FROM metric_last l CROSS JOIN metric_point p"         \
    " ON p.run_id = ?1 AND p.key_id = l.key_id WHERE l.run_id = ?1 AND l.n > 1"

static sak_status read_points(reader *r, const seed *of, part *own, sak_error *err)
{
    static const char once[] = POINTS_SQL,
                      resumed[] = POINTS_SQL " AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.run_id = ?1"
                                             " AND a.n > p.attempt AND a.resumed_step < p.step)";
    const sak_value id = {.type = SAK_INT, .i = of->run};
    const sak_query q = {.sql = of->resumed ? resumed : once, .params = &id, .n_params = 1};
    sak_rows *rows = NULL;
    SAK_TRY(sak_store_query(r->store, &q, &rows, err));
    key *k = NULL;
    int64_t key_id = 0, step = 0, last = 0;
    bool more = true, have = false;
    double value = NAN;
    sak_status st = SAK_OK;
    while (more && st == SAK_OK && (st = sak_rows_next(rows, &more, err)) == SAK_OK) {
        const bool new_key = !more || !k || sak_rows_value(rows, 0).i != key_id;
        const int64_t at = more ? sak_rows_value(rows, 2).i : 0;
        /* of one step the latest attempt's point stands, which comes last */
        if (have && (new_key || at != step) && !isnan(value))
            add(own, r->parts, step, last, value);
        if (k && new_key)
            st = fold(r, k, of->arm, own, err);
        if (!more)
            break;
        if (new_key) {
            key_id = sak_rows_value(rows, 0).i;
            k = find_key(r, key_id);
        }
        last = sak_rows_value(rows, 1).i, step = at;
        const sak_value v = sak_rows_value(rows, 3);
        value = v.type == SAK_NULL ? NAN : v.num;
        have = k && step <= last; /* else logged while this was read */
    }
    sak_rows_close(rows);
    return st;
}

/* --- from sums to curves -------------------------------------------------------------------------- */

static int points_of(const part *sums, int parts, sak_curve_point *out)
{
    int n = 0;
    for (int i = 0; i < parts; i++)
        if (sums[i].n)
            out[n++] = (sak_curve_point){sums[i].step / sums[i].n, sums[i].value / sums[i].n, sums[i].lo,
                                         sums[i].hi};
    return n;
}

static sak_status finish(const reader *r, sak_curves *out, sak_error *err)
{
    out->list = sak_arena_take(r->room, ((size_t)r->n_keys * (size_t)r->n_arms + 1) * sizeof *out->list);
    if (!out->list)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    for (const key *k = r->keys; k < r->keys + r->n_keys; k++) {
        for (int i = 0; i < r->n_arms; i++) {
            if (!k->arms[i])
                continue;
            sak_curve_point *points = sak_arena_take(r->room, (size_t)r->parts * sizeof *points);
            if (!points)
                return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
            const int n = points_of(k->arms[i], r->parts, points);
            if (n)
                out->list[out->n++] = (sak_curve){k->name, k->goal, k->unit, r->arms[i].name,
                                                  r->arms[i].cell, points, n};
        }
    }
    return SAK_OK;
}

sak_status sak_curves_read(sak_store *s, const sak_chosen *chosen, int parts, sak_curves *out,
                           sak_error *err)
{
    *out = (sak_curves){0};
    reader r = {.store = s, .room = &out->room, .parts = parts};
    part *own = calloc((size_t)parts, sizeof *own);
    sak_status st = own ? read_runs(&r, chosen, err) : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    if (st == SAK_OK)
        st = read_keys(&r, err);
    for (int i = 0; i < r.n_seeds && st == SAK_OK; i++)
        st = read_points(&r, &r.seeds[i], own, err);
    if (st == SAK_OK)
        st = finish(&r, out, err);
    free(own);
    if (st != SAK_OK)
        sak_curves_close(out);
    return st;
}

void sak_curves_close(sak_curves *c)
{
    sak_arena_close(&c->room);
    *c = (sak_curves){0};
}
