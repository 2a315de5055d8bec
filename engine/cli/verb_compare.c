/* `sak compare`: is one arm better than another, and how sure is that? */
#include <math.h>
#include <string.h>

#include "cli/compare.h"
#include "cli/db.h"
#include "cli/text.h"
#include "cli/verbs.h"

static bool shown(const sak_compared *r, double level)
{
    return r->p_holm <= 1 - level; /* false where there is no test */
}

/* One word per row; the sentences below the table say what it rests on. */
static const char *verdict(const sak_compared *r, double level)
{
    if (r->is_reference)
        return "reference";
    if (r->pairs == 0)
        return "no common seed";
    if (!shown(r, level)) /* in this order: next to arms with more seeds fewer can do */
        return r->pairs < sak_compare_seeds_needed(level, r->tests) ? "too few seeds" : "no difference shown";
    if (!r->goal)
        return r->diff.mean > 0 ? "higher" : "lower";
    return (r->diff.mean > 0) == (strcmp(r->goal, "max") == 0) ? "better" : "worse";
}

/* --- for people ------------------------------------------------------------------------------- */

typedef struct cell_text {
    char s[80];
} cell_text;

/* "12.34 [11.9, 12.8]": digits chosen so that the interval's half width shows two of them. */
static cell_text with_interval(const sak_sample *s, bool sign)
{
    cell_text t = {""};
    if (s->n == 0)
        return t;
    if (fabs(s->mean) >= 1e15) { /* no room for that many digits */
        snprintf(t.s, sizeof t.s, "%.6g", s->mean);
        return t;
    }
    const double scale = s->n > 1 && s->hi > s->lo ? (s->hi - s->lo) / 2 : fabs(s->mean) / 1000;
    const int digits = scale > 0 ? (int)fmin(9, fmax(0, 1 - floor(log10(scale)))) : 3;
    const int n = snprintf(t.s, sizeof t.s, sign ? "%+.*f" : "%.*f", digits, s->mean);
    if (s->n > 1)
        snprintf(t.s + n, sizeof t.s - (size_t)n, sign ? " [%+.*f, %+.*f]" : " [%.*f, %.*f]", digits,
                 s->lo, digits, s->hi);
    return t;
}

static cell_text probability(double p)
{
    cell_text t = {""};
    if (!isnan(p))
        snprintf(t.s, sizeof t.s, p < 0.001 ? "%.1e" : "%.3f", p);
    return t;
}

static bool same_metric(const sak_compared *a, const sak_compared *b)
{
    return strcmp(a->metric, b->metric) == 0;
}

static void print_metric(const sak_compared *rows, int n, double level, FILE *f)
{
    bool cells = false;
    for (int i = 0; i < n; i++)
        cells = cells || rows[i].cell;
    const char *unit = rows->unit ? rows->unit : "";
    fprintf(f, "%s", rows->metric);
    if (*unit || rows->goal)
        fprintf(f, "  (%s%s%s)", unit, *unit && rows->goal ? ", " : "",
                !rows->goal                      ? ""
                : strcmp(rows->goal, "max") == 0 ? "higher is better"
                                                 : "lower is better");
    fputc('\n', f);
    const char *names[] = {"  arm", "cell", "n", "mean", "against the reference", "p", "p Holm", ""};
    const int skip = !cells; /* no column for cells where there is no grid */
    if (skip)
        memmove(names + 1, names + 2, 6 * sizeof *names);
    sak_table *t = sak_table_open(8 - skip, names);
    for (int i = 0; i < n; i++) {
        const sak_compared *r = &rows[i];
        char arm[160], count[16];
        snprintf(arm, sizeof arm, "  %s", r->arm);
        snprintf(count, sizeof count, "%d", r->sample.n);
        const cell_text mean = with_interval(&r->sample, false), diff = with_interval(&r->diff, true);
        const cell_text p = probability(r->p), holm = probability(r->p_holm);
        const char *cell[] = {arm, r->cell, count, mean.s, diff.s, p.s, holm.s, verdict(r, level)};
        if (skip)
            memmove(cell + 1, cell + 2, 6 * sizeof *cell);
        sak_table_row(t, cell);
    }
    sak_table_print(t, SAK_FORMAT_TABLE, f);
    sak_table_close(t);
    fputc('\n', f);
}

void sak_comparison_explain(const sak_comparison *c, const sak_chosen *chosen, FILE *f)
{
    const sak_compared *weakest = NULL; /* of the tests that show nothing the one that can show least */
    bool cells = false;
    for (int i = 0; i < c->n; i++) {
        const sak_compared *r = &c->rows[i];
        cells = cells || r->cell;
        if (r->pairs && !shown(r, c->level) && (!weakest || r->pairs < weakest->pairs))
            weakest = r;
    }
    fprintf(f,
            "Final values of finished runs; in brackets %g %% Student-t intervals over seeds.  p: paired\n"
            "sign-flip test by seed; Holm: corrected over all arms%s of a metric.\n",
            100 * c->level, cells ? " and cells" : "");
    if (chosen->done + chosen->lost < chosen->trials)
        fprintf(f, "%d of %d trials have finished so far.\n", chosen->done, chosen->trials);
    if (chosen->lost)
        fprintf(f,
                "%d trial%s ended early or failed: an arm's values are those of the seeds that came through,\n"
                "which flatters arms that lost some.\n",
                chosen->lost, chosen->lost == 1 ? "" : "s");
    if (chosen->newer)
        fprintf(f, "%s is newer and of the same script.\n", chosen->newer);
    const int needed = weakest ? sak_compare_seeds_needed(c->level, weakest->tests) : 0;
    if (!weakest || weakest->pairs >= needed)
        return;
    fprintf(f,
            "n is too small to conclude: with %d paired seed%s the corrected p of %d test%s cannot fall\n"
            "below %.2g; from %d seeds on it can reach %.2g.\n",
            weakest->pairs, weakest->pairs == 1 ? "" : "s", weakest->tests,
            weakest->tests == 1 ? "" : "s",
            fmin(1, weakest->tests * sak_sign_flip_p_min(weakest->pairs)), needed, 1 - c->level);
}

static void print_table(const sak_comparison *c, const sak_chosen *chosen, FILE *f)
{
    if (chosen->sweep)
        fprintf(f, "sweep %s\n\n", chosen->sweep);
    for (int i = 0, end; i < c->n; i = end) {
        for (end = i; end < c->n && same_metric(&c->rows[i], &c->rows[end]);)
            end++;
        print_metric(c->rows + i, end - i, c->level, f);
    }
    sak_comparison_explain(c, chosen, f);
}

/* --- for programs ----------------------------------------------------------------------------- */

static json_t *text(const char *s)
{
    return s ? json_string(s) : json_null();
}

static json_t *row_json(const sak_compared *r, double level)
{
    return json_pack("{so so so so so sb si so so so so si so so so so so so ss}", "metric",
                     text(r->metric), "goal", text(r->goal), "unit", text(r->unit), "cell",
                     text(r->cell), "arm", text(r->arm), "reference", r->is_reference, "n",
                     r->sample.n, "mean", sak_json_real(r->sample.mean), "sd", sak_json_real(r->sample.sd), "lo",
                     sak_json_real(r->sample.lo), "hi", sak_json_real(r->sample.hi), "pairs", r->pairs, "diff",
                     sak_json_real(r->diff.mean), "diff_sd", sak_json_real(r->diff.sd), "diff_lo",
                     sak_json_real(r->diff.lo), "diff_hi", sak_json_real(r->diff.hi), "p", sak_json_real(r->p), "p_holm",
                     sak_json_real(r->p_holm), "verdict", verdict(r, level));
}

json_t *sak_comparison_json(const sak_comparison *c)
{
    json_t *all = json_array();
    for (int i = 0; i < c->n; i++)
        json_array_append_new(all, row_json(&c->rows[i], c->level));
    return all;
}

/* The JSON rows as CSV: one source of names and values. */
static void print_csv(const sak_comparison *c, FILE *f)
{
    enum { MOST = 32 };
    json_t *rows = sak_comparison_json(c), *row;
    size_t at;
    sak_table *t = NULL;
    json_array_foreach(rows, at, row) {
        const char *cells[MOST] = {0}, *names[MOST] = {0}, *key;
        char numbers[MOST][40];
        int n = 0;
        json_t *v;
        json_object_foreach(row, key, v) {
            names[n] = key;
            if (json_is_integer(v))
                snprintf(numbers[n], sizeof *numbers, "%lld", (long long)json_integer_value(v));
            else if (json_is_real(v))
                sak_human_exact(json_real_value(v), numbers[n]);
            cells[n] = json_is_string(v)    ? json_string_value(v)
                       : json_is_number(v)  ? numbers[n]
                       : json_is_boolean(v) ? json_is_true(v) ? "1" : "0"
                                            : NULL;
            n++;
        }
        if (!t)
            t = sak_table_open(n, names);
        sak_table_row(t, cells);
    }
    sak_table_print(t, SAK_FORMAT_CSV, f);
    sak_table_close(t);
    json_decref(rows);
}

static int compare(const sak_options *o, sak_store *s)
{
    const sak_compare_spec spec = {
        .what = o->args + 1,
        .n_what = o->n_args - 1,
        .metric = o->metric,
        .level = o->level > 0 ? o->level : SAK_DEFAULT_LEVEL,
    };
    sak_error err = {0};
    sak_chosen chosen;
    sak_comparison c = {0};
    if (sak_choose(s, &spec, &chosen, &err) != SAK_OK)
        return sak_complain(&err);
    int st = SAK_EXIT_OK;
    if (spec.n_what == 1 && !chosen.sweep)
        st = sak_usage("name at least one more to compare it with", "'%s' is a run, not a sweep",
                       spec.what[0]);
    else if (sak_compare(s, &chosen, &spec, &c, &err) != SAK_OK)
        st = sak_complain(&err);
    else if (o->json)
        st = sak_print_json(sak_comparison_json(&c), stdout);
    else if (o->csv)
        print_csv(&c, stdout);
    else
        print_table(&c, &chosen, stdout);
    sak_comparison_close(&c);
    sak_chosen_close(&chosen);
    return st;
}

int sak_verb_compare(const sak_options *o)
{
    sak_store *s = NULL;
    int st = sak_cli_store(o, SAK_STORE_READ, &s);
    if (st == SAK_EXIT_OK)
        st = compare(o, s);
    sak_store_close(s);
    return st;
}
