/* `sak compare`: reads final values by arm and seed, pairs them by seed, tests, corrects. */
#include "results/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One final value of one arm and seed, in the order of the printed rows. */
typedef struct point {
    const char *metric, *goal, *unit, *cell, *arm;
    bool is_reference;
    int64_t seed;
    double value;
} point;

typedef struct points {
    point *p;
    int n, room;
} points;

/* Final values of the chosen runs.  ?2: GLOB over metrics or NULL. */
static const char values_sql[] = SAK_CHOSEN_CTE
    "SELECT metric, goal, unit, cell, arm, reference, seed, value FROM ("
    " SELECT k.task IS NULL AS other, k.id AS key, k.name AS metric, k.goal, k.unit, c.cell,"
    "  c.arm, c.reference, r.seed, l.value, c.place, c.cell_place"
    " FROM chosen c JOIN run r ON r.id = c.run JOIN metric_last l ON l.run_id = c.run"
    " JOIN metric_key k ON k.id = l.key_id"
    " WHERE CASE WHEN ?2 IS NULL THEN k.task IS NOT NULL ELSE k.name GLOB ?2 END"
    " UNION ALL"
    " SELECT 2, 0, 'delta_m', 'max', '%', c.cell, c.arm, c.reference, d.seed, d.delta_m, c.place,"
    "  c.cell_place FROM chosen c JOIN delta_m d ON d.run = c.run"
    " WHERE d.delta_m IS NOT NULL AND (?2 IS NULL OR 'delta_m' GLOB ?2))"
    " ORDER BY other, key, cell_place, place, seed";

static const char *text_of(sak_comparison *c, const sak_rows *rows, int column)
{
    const sak_value v = sak_rows_value(rows, column);
    return v.type == SAK_TEXT ? sak_arena_text(&c->text, v.text) : NULL;
}

static sak_status add(points *all, const point *p, sak_error *err)
{
    if (all->n == all->room) {
        const int room = all->room ? 2 * all->room : 256;
        point *more = realloc(all->p, (size_t)room * sizeof *more);
        if (!more)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
        all->p = more;
        all->room = room;
    }
    all->p[all->n++] = *p;
    return SAK_OK;
}

static sak_status fetch(sak_store *s, const sak_chosen *chosen, const char *metric,
                        sak_comparison *c, points *all, sak_error *err)
{
    const sak_value params[] = {
        {.type = SAK_TEXT, .text = chosen->json, .bytes = strlen(chosen->json)},
        {.type = metric ? SAK_TEXT : SAK_NULL, .text = metric, .bytes = metric ? strlen(metric) : 0},
    };
    sak_rows *rows = NULL;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = values_sql, .params = params, .n_params = 2}, &rows, err));
    bool more = true;
    sak_status st = SAK_OK;
    while (st == SAK_OK && (st = sak_rows_next(rows, &more, err)) == SAK_OK && more) {
        const sak_value v = sak_rows_value(rows, 7);
        const char *arm = text_of(c, rows, 4);
        const point p = {
            .metric = text_of(c, rows, 0),
            .goal = text_of(c, rows, 1),
            .unit = text_of(c, rows, 2),
            .cell = text_of(c, rows, 3),
            .arm = arm ? arm : "-",
            .is_reference = sak_rows_value(rows, 5).i != 0,
            .seed = sak_rows_value(rows, 6).i,
            .value = v.type == SAK_NULL ? NAN : v.num,
        };
        st = p.metric ? add(all, &p, err) : SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    sak_rows_close(rows);
    return st;
}

/* --- from points to rows ---------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_row(const point *a, const point *b)
{
    return same_text(a->metric, b->metric) && same_text(a->cell, b->cell) && same_text(a->arm, b->arm);
}

/* Values and paired differences of points [at, end) against the reference's [ref, ref_end). */
static void summarise(sak_compared *row, const point *at, const point *end, const point *ref,
                      const point *ref_end, double level, double *room)
{
    int n = 0;
    for (const point *p = at; p < end; p++)
        room[n++] = p->value;
    row->sample = sak_sample_of(room, n, level);
    n = 0;
    for (const point *p = at; p < end && !row->is_reference; p++)
        for (const point *q = ref; q < ref_end; q++)
            if (q->seed == p->seed && isfinite(p->value) && isfinite(q->value))
                room[n++] = p->value - q->value;
    row->pairs = n;
    row->diff = sak_sample_of(room, n, level);
    row->p = n ? sak_sign_flip_p(room, n, 0) : NAN;
}

static void correct(sak_compared *rows, int n, double *room)
{
    for (int i = 0, end; i < n; i = end) {
        int tests = 0;
        for (end = i; end < n && strcmp(rows[end].metric, rows[i].metric) == 0; end++) {
            room[end - i] = rows[end].p;
            tests += !isnan(rows[end].p);
        }
        sak_holm(room, end - i);
        for (int k = i; k < end; k++) {
            rows[k].p_holm = room[k - i];
            rows[k].tests = tests;
        }
    }
}

static sak_status tabulate(sak_comparison *c, const points *all, sak_error *err)
{
    double *room = malloc(((size_t)all->n + 1) * sizeof *room);
    c->rows = sak_arena_take(&c->text, ((size_t)all->n + 1) * sizeof *c->rows);
    if (!room || !c->rows) {
        free(room);
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    const point *end = all->p + all->n, *ref = NULL, *ref_end = NULL;
    for (const point *at = all->p, *next; at < end; at = next) {
        for (next = at + 1; next < end && same_row(at, next);)
            next++;
        if (at->is_reference) {
            ref = at;
            ref_end = next;
        } else if (ref && !(same_text(ref->metric, at->metric) && same_text(ref->cell, at->cell))) {
            ref = ref_end = NULL; /* the reference has nothing finished in this cell yet */
        }
        sak_compared *row = &c->rows[c->n++];
        *row = (sak_compared){.metric = at->metric, .goal = at->goal, .unit = at->unit,
                              .cell = at->cell, .arm = at->arm, .is_reference = at->is_reference};
        summarise(row, at, next, ref, ref_end, c->level, room);
    }
    correct(c->rows, c->n, room);
    free(room);
    return SAK_OK;
}

sak_status sak_compare(sak_store *s, const sak_chosen *chosen, const sak_compare_spec *spec,
                       sak_comparison *out, sak_error *err)
{
    *out = (sak_comparison){.level = spec->level};
    points all = {0};
    sak_status st = fetch(s, chosen, spec->metric, out, &all, err);
    if (st == SAK_OK && chosen->runs == 0)
        st = SAK_FAIL(err, SAK_ENOENT, "no run of %s has finished yet", chosen->sweep);
    else if (st == SAK_OK && all.n == 0)
        st = SAK_FAIL(err, SAK_ENOENT, "no finished run of %s has a metric %s%s",
                      chosen->sweep ? chosen->sweep : "these",
                      spec->metric ? "like " : "that stands for a task",
                      spec->metric ? spec->metric : "; --metric 'val/*' takes any by name");
    if (st == SAK_OK)
        st = tabulate(out, &all, err);
    free(all.p);
    if (st != SAK_OK)
        sak_comparison_close(out);
    return st;
}

void sak_comparison_close(sak_comparison *c)
{
    sak_arena_close(&c->text);
    *c = (sak_comparison){0};
}

int sak_compare_seeds_needed(double level, int tests)
{
    int n = 1;
    while (n < 20 && tests * sak_sign_flip_p_min(n) > 1 - level + 1e-12)
        n++;
    return n;
}
