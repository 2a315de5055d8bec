/* Statistics over replicates; see stats.h. */
#include "results/stats.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rng.h"

/* Continued fraction of the incomplete beta function (Lentz's method; DLMF 8.17.22). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double h = d;
    for (int m = 1; m <= 10000; m++) {
        const double m2 = 2.0 * m;
        const double even = m * (b - m) * x / ((a + m2 - 1) * (a + m2));
        d = 1 + even * d;
        c = 1 + even / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        const double odd = -(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1));
        d = 1 + odd * d;
        c = 1 + odd / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-15)
            break;
    }
    return h;
}

/* I_x(a, b); y = 1 - x is passed in because the caller knows it without cancellation. */
static double beta_regular(double a, double b, double x, double y)
{
    if (x <= 0)
        return 0;
    if (y <= 0)
        return 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, y) / b;
}

double sak_t_cdf(double t, double df)
{
    const double x = df / (df + t * t), y = t * t / (df + t * t);
    const double tail = 0.5 * beta_regular(df / 2, 0.5, x, y);
    return t > 0 ? 1 - tail : tail;
}

double sak_t_quantile(double p, double df)
{
    if (!(p > 0 && p < 1) || !(df > 0))
        return NAN;
    if (p == 0.5)
        return 0;
    if (p < 0.5)
        return -sak_t_quantile(1 - p, df);
    double lo = 0, hi = 1;
    while (sak_t_cdf(hi, df) < p && hi < 1e300) {
        lo = hi;
        hi *= 2;
    }
    for (int i = 0; i < 200 && hi - lo > 1e-15 * hi; i++) {
        const double mid = lo + (hi - lo) / 2;
        if (sak_t_cdf(mid, df) < p)
            lo = mid;
        else
            hi = mid;
    }
    return lo + (hi - lo) / 2;
}

sak_sample sak_sample_of(const double *x, int n, double level)
{
    sak_sample s = {.n = 0, .mean = NAN, .sd = NAN, .lo = NAN, .hi = NAN};
    double sum = 0;
    for (int i = 0; i < n; i++) {
        if (isfinite(x[i])) {
            sum += x[i];
            s.n++;
        }
    }
    if (s.n == 0)
        return s;
    s.mean = sum / s.n;
    if (s.n < 2)
        return s;
    double squares = 0;
    for (int i = 0; i < n; i++)
        if (isfinite(x[i]))
            squares += (x[i] - s.mean) * (x[i] - s.mean);
    s.sd = sqrt(squares / (s.n - 1));
    const double half = sak_t_quantile((1 + level) / 2, s.n - 1) * s.sd / sqrt(s.n);
    s.lo = s.mean - half;
    s.hi = s.mean + half;
    return s;
}

/* A flip counts as extreme when its sum reaches the observed one up to rounding. */
static bool reaches(double sum, double observed)
{
    return fabs(sum) >= observed - 1e-12 * (1 + observed);
}

/* Sums of n <= HALF differences under all 2^n patterns of signs. */
static void flipped_sums(const double *d, int n, double scale, double *sums)
{
    for (uint32_t signs = 0; signs < 1u << n; signs++) {
        sums[signs] = 0;
        for (int i = 0; i < n; i++)
            sums[signs] += ((signs >> i) & 1 ? -d[i] : d[i]) / scale;
    }
}

double sak_sign_flip_p(const double *d, int n, uint64_t seed)
{
    enum { HALF = 10 };
    if (n < 1)
        return 1;
    double sum = 0, scale = 0;
    for (int i = 0; i < n; i++)
        scale = fmax(scale, fabs(d[i]));
    if (!(scale > 0))
        return 1;
    for (int i = 0; i < n; i++)
        sum += d[i] / scale;
    const double observed = fabs(sum);
    if (n <= 20) {
        /* Every sum from two halves: one carried from pattern to pattern would drift, and miss ties. */
        double low[1 << HALF], high[1 << HALF];
        const int n_low = n < HALF ? n : HALF, n_high = n - n_low;
        flipped_sums(d, n_low, scale, low);
        flipped_sums(d + n_low, n_high, scale, high);
        uint64_t extreme = 0;
        for (uint32_t k = 0; k < 1u << n_high; k++)
            for (uint32_t j = 0; j < 1u << n_low; j++)
                extreme += reaches(low[j] + high[k], observed);
        return ldexp((double)extreme, -n);
    }
    const int draws = 100000;
    sak_rng r = sak_rng_open(seed, SAK_RNG_SAMPLE, 0, 0);
    int extreme = 1; /* the observed pattern itself */
    for (int k = 1; k < draws; k++) {
        double at = 0;
        for (int i = 0; i < n; i += 32) {
            const uint32_t bits = sak_rng_u32(&r);
            for (int j = i; j < n && j < i + 32; j++)
                at += ((bits >> (j - i)) & 1 ? d[j] : -d[j]) / scale;
        }
        extreme += reaches(at, observed);
    }
    return (double)extreme / draws;
}

double sak_sign_flip_p_min(int n)
{
    return n < 1 ? 1 : n <= 20 ? ldexp(2, -n) : 1e-5;
}

void sak_holm(double *p, int n)
{
    /* Walks the p-values in ascending order without moving them: n is a handful of arms. */
    int m = 0;
    for (int i = 0; i < n; i++)
        m += !isnan(p[i]);
    double last = -1, floor_p = 0;
    int last_index = -1;
    double *adjusted = malloc((size_t)(n > 0 ? n : 1) * sizeof *adjusted);
    if (!adjusted) { /* Bonferroni needs no memory and errs on the safe side */
        for (int i = 0; i < n; i++)
            p[i] = isnan(p[i]) ? p[i] : fmin(1, p[i] * m);
        return;
    }
    for (int rank = 0; rank < m; rank++) {
        int next = -1;
        for (int i = 0; i < n; i++) {
            const bool after = p[i] > last || (p[i] == last && i > last_index);
            if (!isnan(p[i]) && after && (next < 0 || p[i] < p[next]))
                next = i;
        }
        last = p[next];
        last_index = next;
        floor_p = fmax(floor_p, fmin(1, (m - rank) * p[next]));
        adjusted[next] = floor_p;
    }
    for (int i = 0; i < n; i++)
        p[i] = isnan(p[i]) ? p[i] : adjusted[i];
    free(adjusted);
}
