/* Arms held against a reference: intervals over seeds, paired tests, Holm's correction. */
#ifndef SAK_RESULTS_COMPARE_H
#define SAK_RESULTS_COMPARE_H

#include "base/alloc.h"
#include "results/stats.h"
#include "results/store.h"

/* What to compare.  One sweep's name, or its script's name or file: its arms within each grid cell, the first arm being the
 * reference; where it has a single arm, its cells, the first cell being the reference.  Two or more
 * of anything that sak_store_find_run knows: the configurations of those runs, each with all its
 * seeds, the first being the reference.  Nothing: the latest sweep. */
typedef struct sak_compare_spec {
    const char *const *what;
    int n_what;
    const char *metric; /* GLOB over metric names; NULL: those that stand for a task, and delta_m */
    double level;       /* of the intervals; 0.95 */
} sak_compare_spec;

/* The runs that a comparison rests on: finished ones, the latest of each configuration and seed. */
typedef struct sak_chosen {
    char *sweep; /* its name; NULL where runs were named */
    char *json;  /* rows for SAK_CHOSEN_CTE */
    int runs, arms;
    char *newer; /* a later sweep of the same script; NULL: none */
    int trials, done, lost; /* of the sweep; lost: ended early or failed, so what finished may be the better part */
} sak_chosen;

/* SAK_ENOENT: no such sweep or run. */
sak_status sak_choose(sak_store *s, const sak_compare_spec *spec, sak_chosen *out, sak_error *err);
void sak_chosen_close(sak_chosen *c);
/* Of many arms and cells the first one and those that are best by the sweep's objective, in all at
 * most n; all of them where there are no more, the first n where no objective tells. */
sak_status sak_choose_best(sak_store *s, const sak_chosen *of, int n, sak_chosen *out, sak_error *err);

/* Opens a query over `chosen`, its JSON bound to ?1.  place orders the arms, cell_place the grid
 * cells, reference is 1 for the arm that others are held against. */
#define SAK_CHOSEN_CTE                                                                             \
    "WITH chosen(run, place, cell_place, cell, arm, reference) AS (SELECT"                         \
    " json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),"      \
    " json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]')"       \
    " FROM json_each(?1)) "

/* One arm on one metric.  Values are final values of finished runs, one per seed. */
typedef struct sak_compared {
    const char *metric, *goal, *unit; /* goal: "min", "max" or NULL */
    const char *cell, *arm;           /* cell: NULL where there is no grid */
    bool is_reference;
    sak_sample sample; /* over its seeds */
    int pairs;         /* seeds that the reference has too */
    sak_sample diff;   /* this arm minus the reference, over those seeds */
    double p;          /* sign-flip test of diff; NaN for the reference and without pairs */
    double p_holm;     /* p adjusted over all arms and cells of this metric */
    int tests;         /* how many those are */
} sak_compared;

typedef struct sak_comparison {
    sak_compared *rows; /* by metric, then cell, then arm as declared */
    int n;
    double level;
    sak_arena text; /* owner of the strings and rows */
} sak_comparison;

/* SAK_ENOENT: none of the chosen runs has such a metric. */
sak_status sak_compare(sak_store *s, const sak_chosen *chosen, const sak_compare_spec *spec,
                       sak_comparison *out, sak_error *err);
void sak_comparison_close(sak_comparison *c);

/* The smallest number of paired seeds at which the sign-flip test, corrected over `tests` arms, can
 * reach p <= 1 - level: at 0.95, 6 for one arm and 7 for three. */
int sak_compare_seeds_needed(double level, int tests);

#endif
