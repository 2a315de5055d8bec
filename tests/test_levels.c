/* Matrix tiles of every vector level against plain C, on all tail lengths.  Worst-case bound, for float32 and for
 * bfloat16 operands alike: with u = 2^-24 half an ulp of 1, |error| <= (k + 2) u sum |a b|, the bound of
 * any order of k fused or rounded sums, and of alpha and the addend; plain C has the same bound, so both
 * are within twice that.  (The kernels of simd.h have the same bits at every level: test_simd.c.) */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/cpu.h"
#include "kernels/gemm_tile.h"

enum { MAX_M = 32, MAX_N = 70, MAX_K = 300, SLACK = 5 };

static sak_real a[MAX_M * MAX_K], b[MAX_K * MAX_N], add[MAX_M * MAX_N], c[MAX_M * (MAX_N + SLACK)];

static void fill(sak_real *x, int64_t n, uint32_t which)
{
    sak_rng rng = sak_rng_open(3, SAK_RNG_TEST, which, 0);
    for (int64_t i = 0; i < n; i++)
        x[i] = (sak_real)sak_rng_range(&rng, -2, 2);
}

/* Nearest bfloat16, ties to even, by arithmetic: 8 significant bits. */
static double bf16_of(sak_real x)
{
    int e = 0;
    const double m = frexp((double)x, &e);
    return ldexp(nearbyint(ldexp(m, 8)), e - 8);
}

static void check(const sak_gemm_tiles *t, const char *level, int64_t m, int64_t n, int64_t k,
                  int layout, bool bf16)
{
    const sak_mat ma = layout & 1 ? (sak_mat){a, 1, m} : (sak_mat){a, k, 1};
    const sak_mat mb = layout & 2 ? (sak_mat){b, 1, k} : (sak_mat){b, n, 1};
    const sak_real alpha = layout & 1 ? (sak_real)0.7 : 1, canary = (sak_real)12345.5;
    const int64_t ldc = n + SLACK;
    for (int64_t i = 0; i < m * ldc; i++)
        c[i] = canary;
    t->product(&(sak_product){m, n, k, ma, mb, alpha, layout & 2 ? add : NULL, n, c, ldc}, bf16);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ldc; j++) {
            const double got = (double)c[i * ldc + j];
            if (j >= n && c[i * ldc + j] != canary)
                fail_msg("%s: (%d x %d x %d) writes beyond its row", level, (int)m, (int)n, (int)k);
            if (j >= n)
                continue;
            double want = layout & 2 ? (double)add[i * n + j] : 0, size = fabs(want);
            for (int64_t e = 0; e < k; e++) {
                const sak_real x = ma.p[i * ma.rs + e * ma.cs], y = mb.p[e * mb.rs + j * mb.cs];
                const double v = (double)alpha * (bf16 ? bf16_of(x) * bf16_of(y) : (double)x * (double)y);
                want += v;
                size += fabs(v);
            }
            if (!(fabs(got - want) <= (double)(k + 2) * ldexp(1, -24) * size))
                fail_msg("%s%s: (%d x %d x %d, layout %d) has %.9g at (%d, %d), not %.9g: %.3g bounds",
                         level, bf16 ? ", bf16" : "", (int)m, (int)n, (int)k, layout, got, (int)i,
                         (int)j, want, fabs(got - want) / ((double)(k + 2) * ldexp(1, -24) * size));
        }
}

static void tiles_of_every_level_stay_within_the_bound_on_all_tails(void **state)
{
    (void)state;
    static const int64_t ks[] = {1, 2, 3, 5, 8, 17, 63, 300};
    fill(a, MAX_M * MAX_K, 1);
    fill(b, MAX_K * MAX_N, 2);
    fill(add, MAX_M * MAX_N, 3);
    int levels = 0;
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *t = sak_gemm_tiles_of((sak_isa)isa);
        if (!t)
            continue;
        levels++;
        const char *name = sak_isa_name((sak_isa)isa);
        for (int bf16 = 0; bf16 < 2; bf16++)
            for (int layout = 0; layout < 4; layout++) {
                for (int64_t n = 1; n <= MAX_N; n++)
                    check(t, name, n % 17 + 1, n, ks[n % 8], layout, bf16);
                for (int64_t m = 1; m <= MAX_M; m++)
                    check(t, name, m, m % 33 + 1, ks[m % 8], layout, bf16);
                for (int64_t k = 1; k <= 70; k++)
                    check(t, name, 15, 33, k, layout, bf16);
            }
    }
    if (!levels)
        skip(); /* no tiles for this CPU: BLIS multiplies */
}

/* Sums of k positive products.  Where a chain of c is added one to the other, every sum on the way is
 * rounded, off by u / sqrt(3) of itself, independently: c u / (3 sqrt(k)) of the result in all, and adding
 * up the k / c chains costs sqrt(k / c) u / 3 more.  One chain over the kernel's slice of 384 exceeds
 * that for c = 128: 3.0e-7 where 1.6e-7 is allowed. */
static void sums_are_as_exact_as_chains_of_128(void **state)
{
    (void)state;
    enum { M = 28, N = 64, CHAIN = 128 };
    static const int ks[] = {384, 768, 1152};
    static sak_real x[M * 1152], y[N * 1152], z[M * N];
    sak_rng rng = sak_rng_open(5, SAK_RNG_TEST, 0, 0);
    for (int i = 0; i < M * 1152; i++)
        x[i] = (sak_real)sak_rng_range(&rng, 0, 1);
    for (int i = 0; i < N * 1152; i++)
        y[i] = (sak_real)sak_rng_range(&rng, 0, 1);
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *t = sak_gemm_tiles_of((sak_isa)isa);
        for (int q = 0; t && q < 3; q++) {
            const int k = ks[q];
            t->product(&(sak_product){M, N, k, {x, k, 1}, {y, 1, k}, 1, NULL, 0, z, N}, false);
            double squares = 0;
            for (int i = 0; i < M * N; i++) {
                double sum = 0;
                for (int e = 0; e < k; e++)
                    sum += (double)x[i / N * k + e] * (double)y[i % N * k + e];
                squares += ((double)z[i] / sum - 1) * ((double)z[i] / sum - 1);
            }
            const double rms = sqrt(squares / (M * N));
            const double bound = ldexp(1, -24) * (CHAIN / (3 * sqrt(k)) + sqrt((double)k / CHAIN) / 3);
            if (!(rms <= bound))
                fail_msg("%s: sums of %d are off by %.3g, not at most %.3g", sak_isa_name((sak_isa)isa),
                         k, rms, bound);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_of_every_level_stay_within_the_bound_on_all_tails),
        cmocka_unit_test(sums_are_as_exact_as_chains_of_128),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
