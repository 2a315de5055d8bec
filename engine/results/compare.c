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

/* Final values of the chosen replicates.  %s: a FROM clause that yields (run, place, cell, arm, first):
 * place orders the arms, first marks the reference.  ?1: GLOB over metrics or NULL. */
#define VALUES_SQL(chosen)                                                                         \
    "WITH chosen(run, place, cell_at, cell, arm, first) AS (" chosen ")"                           \
    " SELECT metric, goal, unit, cell, arm, first, seed, value FROM ("                             \
    "  SELECT k.task IS NULL AS other, k.id AS key, k.name AS metric, k.goal, k.unit, c.cell,"     \
    "   c.arm, c.first, r.seed, l.value, c.place, c.cell_at"                                       \
    "  FROM chosen c JOIN run r ON r.id = c.run JOIN metric_last l ON l.run_id = c.run"            \
    "  JOIN metric_key k ON k.id = l.key_id"                                                       \
    "  WHERE CASE WHEN ?1 IS NULL THEN k.task IS NOT NULL ELSE k.name GLOB ?1 END"                 \
    "  UNION ALL"                                                                                  \
    "  SELECT 2, 0, 'delta_m', 'max', '%', c.cell, c.arm, c.first, d.seed, d.delta_m, c.place,"    \
    "   c.cell_at FROM chosen c JOIN delta_m d ON d.run = c.run"                                   \
    "  WHERE d.delta_m IS NOT NULL AND (?1 IS NULL OR 'delta_m' GLOB ?1))"                         \
    " ORDER BY other, key, cell_at, place, seed"

/* Cells and arms come in the order in which their first runs began, the reference first. */
static const char of_sweep[] = VALUES_SQL(
    "SELECT g.run, r.arm_index, min(r.id) OVER (PARTITION BY g.cell), g.cell, g.arm,"
    " r.arm_index = 0 FROM replicates g JOIN run r ON r.id = g.run WHERE g.sweep_id = ?2");

/* A sweep with one arm varies its grid alone: the cells take the arms' place. */
static const char of_cells[] = VALUES_SQL(
    "SELECT run, place, 0, NULL, cell, place = min(place) OVER () FROM"
    " (SELECT g.run, min(g.run) OVER (PARTITION BY g.cell) AS place, g.cell FROM replicates g"
    "  WHERE g.sweep_id = ?2)");

/* ?2: JSON array of [run, label], the reference first; seeds of a configuration are replicates. */
static const char of_runs[] = VALUES_SQL(
    "SELECT max(g.run), w.key, 0, NULL, json_extract(w.value, '$[1]'), w.key = 0"
    " FROM json_each(?2) w JOIN run r ON r.id = json_extract(w.value, '$[0]')"
    " JOIN replicates g ON g.group_sha256 = r.group_sha256 GROUP BY w.key, g.seed");

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

static sak_status fetch(sak_store *s, const char *sql, sak_value what, const char *metric,
                        sak_comparison *c, points *all, sak_error *err)
{
    const sak_value params[] = {
        {.type = metric ? SAK_TEXT : SAK_NULL, .text = metric, .bytes = metric ? strlen(metric) : 0},
        what,
    };
    sak_rows *rows = NULL;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = params, .n_params = 2}, &rows, err));
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

/* --- what was named --------------------------------------------------------------------------- */

/* id 0: no such sweep. */
static sak_status find_sweep(sak_store *s, const char *name, int64_t *id, int64_t *arms, char **title,
                             sak_arena *text, sak_error *err)
{
    static const char sql[] =
        "SELECT s.id, s.name, (SELECT count(DISTINCT arm) FROM replicates WHERE sweep_id = s.id)"
        " FROM sweep s WHERE ?1 IS NULL OR s.name = ?1 ORDER BY s.id DESC LIMIT 1";
    const sak_value v = {.type = name ? SAK_TEXT : SAK_NULL, .text = name, .bytes = name ? strlen(name) : 0};
    sak_rows *rows = NULL;
    bool more = false;
    SAK_TRY(sak_store_query(s, &(sak_query){.sql = sql, .params = &v, .n_params = 1}, &rows, err));
    sak_status st = sak_rows_next(rows, &more, err);
    *id = 0;
    if (st == SAK_OK && more) {
        *id = sak_rows_value(rows, 0).i;
        *arms = sak_rows_value(rows, 2).i;
        *title = sak_arena_text(text, sak_rows_value(rows, 1).text);
        if (!*title)
            st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    }
    sak_rows_close(rows);
    return st;
}

static void put_json_text(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++)
        fprintf(f, *s == '"' || *s == '\\' ? "\\%c" : (unsigned char)*s < 0x20 ? "\\u%04x" : "%c",
                (unsigned char)*s);
    fputc('"', f);
}

/* [[run, label], …] for of_runs; malloc'd. */
static sak_status named_runs(sak_store *s, const sak_compare_spec *spec, char **json, sak_error *err)
{
    size_t size = 0;
    FILE *f = open_memstream(json, &size);
    if (!f)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sak_status st = SAK_OK;
    for (int i = 0; i < spec->n_what && st == SAK_OK; i++) {
        int64_t id = 0;
        st = sak_store_find_run(s, spec->what[i], &id, err);
        fprintf(f, "%s[%lld,", i ? "," : "[", (long long)id);
        put_json_text(f, spec->what[i]);
        fputc(']', f);
    }
    fputc(']', f);
    if (fclose(f) != 0 && st == SAK_OK)
        st = SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    return st;
}

static sak_status collect(sak_store *s, const sak_compare_spec *spec, sak_comparison *c, points *all,
                          sak_error *err)
{
    if (spec->n_what > 1) {
        char *json = NULL;
        sak_status st = named_runs(s, spec, &json, err);
        if (st == SAK_OK)
            st = fetch(s, of_runs, (sak_value){.type = SAK_TEXT, .text = json, .bytes = strlen(json)},
                       spec->metric, c, all, err);
        free(json);
        return st;
    }
    const char *name = spec->n_what ? spec->what[0] : NULL;
    int64_t id = 0, arms = 0;
    SAK_TRY(find_sweep(s, name, &id, &arms, &c->sweep, &c->text, err));
    if (id)
        return fetch(s, arms > 1 ? of_sweep : of_cells, (sak_value){.type = SAK_INT, .i = id},
                     spec->metric, c, all, err);
    if (!name)
        return SAK_FAIL(err, SAK_ENOENT, "%s holds no sweep; name two or more runs to compare",
                        sak_store_path(s));
    int64_t run = 0;
    SAK_TRY(sak_store_find_run(s, name, &run, err));
    return SAK_FAIL(err, SAK_EINVAL, "'%s' is a run, not a sweep; name at least one more to compare it with",
                    name);
}

sak_status sak_compare(sak_store *s, const sak_compare_spec *spec, sak_comparison *out,
                       sak_error *err)
{
    *out = (sak_comparison){.level = spec->level};
    points all = {0};
    sak_status st = collect(s, spec, out, &all, err);
    if (st == SAK_OK && all.n == 0)
        st = SAK_FAIL(err, SAK_ENOENT, "no finished run of %s has a metric %s%s",
                      out->sweep ? out->sweep : "these", spec->metric ? "like " : "that stands for a task",
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
