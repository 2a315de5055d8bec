/* Statistics over replicates: Student's t, paired sign-flip permutation test, Holm's correction. */
#ifndef SAK_RESULTS_STATS_H
#define SAK_RESULTS_STATS_H

#include <stdint.h>

/* Student's t with df > 0 degrees of freedom: P(T <= t), and its inverse for 0 < p < 1.
 * Through the regularised incomplete beta function; absolute error below 1e-10 for df <= 1e6. */
double sak_t_cdf(double t, double df);
double sak_t_quantile(double p, double df);

typedef struct sak_sample {
    int n;           /* finite values */
    double mean, sd; /* sd: n - 1 in the denominator; NaN below two values */
    double lo, hi;   /* two-sided t interval of the mean; NaN below two values */
} sak_sample;

/* Values that are not finite are left out.  level: 0.95 for a 95 % interval. */
sak_sample sak_sample_of(const double *x, int n, double level);

/* Two-sided paired permutation test by sign flips of the n differences d, statistic |mean|.
 * Exact over all 2^n flips to n = 20, beyond that `seed`ed Monte Carlo (100 000 flips, counting the
 * observed one).  The smallest p it can return is 2 / 2^n, so n <= 5 cannot reach 0.05. */
double sak_sign_flip_p(const double *d, int n, uint64_t seed);
double sak_sign_flip_p_min(int n);

/* Holm, Scand. J. Stat. 6 (1979): adjusted p of n tests, in place; NaN entries stay and are not
 * counted. */
void sak_holm(double *p, int n);

#endif
