/* Matrix products: the choice of BLIS's kernel set, and products split over our own pool. */
#include "kernels/gemm.h"

#include <blis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pool.h"
#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Zen 4 (AMD family 25) executes AVX-512 in two 256-bit halves: nothing to gain from skx there. */
static bool halved_avx512(void)
{
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx)
        return false;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return false;
    return ((a >> 8) & 15) + ((a >> 20) & 255) == 25;
#else
    return false;
#endif
}

/* BLIS 0.9.0 recognises CPUs up to 2021 and runs its `generic` C code (5 times slower) on newer
 * ones, so we name the set.  It wants the number of the set, and reads a name as 0. */
static void choose_kernels(void)
{
    const sak_isa isa = sak_cpu_isa();
    if (isa != SAK_ISA_BASELINE) {
        const bool wide = isa == SAK_ISA_AVX512 && !halved_avx512();
        char number[16];
        snprintf(number, sizeof number, "%d", (int)(wide ? BLIS_ARCH_SKX : BLIS_ARCH_HASWELL));
        setenv("BLIS_ARCH_TYPE", number, 0);
    }
    bli_init();
}

void sak_gemm_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_kernels);
}

const char *sak_gemm_kernel(void)
{
    sak_gemm_init();
    return bli_arch_string(bli_arch_query_id());
}

const char *sak_gemm_version(void)
{
    return bli_info_get_version_str();
}

static void no_product(int64_t m, int64_t n, sak_real *c, int64_t ldc, sak_real beta)
{
    for (int64_t i = 0; beta == 0 && i < m; i++)
        for (int64_t j = 0; j < n; j++)
            c[i * ldc + j] = 0;
}

void sak_gemm(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c, int64_t ldc,
              sak_real alpha, sak_real beta)
{
    if (m <= 0 || n <= 0)
        return;
    if (k <= 0) {
        no_product(m, n, c, ldc, beta);
        return;
    }
    sak_gemm_init();
    rntm_t one = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &one);
    bli_rntm_set_ways(1, 1, 1, 1, 1, &one);
#ifdef SAK_DOUBLE
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (double *)a.p, a.rs, a.cs,
                 (double *)b.p, b.rs, b.cs, &beta, c, ldc, 1, NULL, &one);
#else
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (float *)a.p, a.rs, a.cs,
                 (float *)b.p, b.rs, b.cs, &beta, c, ldc, 1, NULL, &one);
#endif
}

int64_t sak_gemm_grain(int64_t m, int64_t n, int64_t k)
{
    const double row = 2.0 * (double)n * (double)k;
    int64_t grain = (m + 31) / 32;
    if ((double)grain * row < 2e6) /* about 20 us */
        grain = (int64_t)(2e6 / (row + 1)) + 1;
    grain = grain < 24 ? 24 : (grain + 11) / 12 * 12;
    return grain;
}

typedef struct product {
    int64_t n, k, ldc;
    sak_mat a, b;
    sak_real *c, alpha, beta;
} product;

static void product_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const product *p = ctx;
    const sak_mat a = {p->a.p + begin * p->a.rs, p->a.rs, p->a.cs};
    sak_gemm(end - begin, p->n, p->k, a, p->b, p->c + begin * p->ldc, p->ldc, p->alpha, p->beta);
}

void sak_gemm_parallel(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                       int64_t ldc, sak_real alpha, sak_real beta)
{
    product p = {n, k, ldc, a, b, c, alpha, beta};
    sak_parallel_for(m, sak_gemm_grain(m, n, k), product_rows, &p);
}
