/* Learning curves of the chosen runs: the mean over seeds by step, with the smallest and largest. */
#ifndef SAK_RESULTS_CURVES_H
#define SAK_RESULTS_CURVES_H

#include "results/compare.h"

/* One place of a curve.  Each seed's value there is the mean of its points in that part of its steps;
 * step is the mean of theirs. */
typedef struct sak_curve_point {
    double step, mean, lo, hi;
} sak_curve_point;

/* One metric of one arm in one cell. */
typedef struct sak_curve {
    const char *metric, *goal, *unit; /* goal, unit: may be NULL */
    const char *arm, *cell;           /* cell: NULL where there is no grid */
    const sak_curve_point *points;    /* in the order of steps */
    int n;
} sak_curve;

typedef struct sak_curves {
    sak_curve *list; /* by metric, then as the arms are ordered */
    int n;
    sak_arena room; /* owner of everything above */
} sak_curves;

/* Reads every point of the chosen runs that stands (the view `metrics`), in the order in which the
 * table is kept.  Metrics logged once have no curve.  parts: of the steps from a run's first to its
 * last one of a metric, equal ones; a curve has at most that many points. */
sak_status sak_curves_read(sak_store *s, const sak_chosen *chosen, int parts, sak_curves *out,
                           sak_error *err);
void sak_curves_close(sak_curves *c);

#endif
