/* Matrix products: BLIS for large ones, our own tiles for small and middle ones (attention heads,
 * adapters, narrow students), where BLIS's packing shows; and the split over our own pool.
 * Measured on Zen 4, one core, GFLOP/s, own against BLIS: 24^3 63/25, 97x97x32 87/45,
 * 97x512x128 110/87, 768^3 105/106. */
#include "kernels/gemm.h"

#include <blis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "kernels/cpu.h"
#include "kernels/gemm_tile.h"

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

static sak_gemm_fn *tile; /* NULL: always BLIS */
static int64_t large_from = 256; /* products with every dimension this large go to BLIS */

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
    const char *asked = getenv("SAK_GEMM"); /* "blis" or "sak": one of them for every size */
    if (!asked || strcmp(asked, "blis") != 0)
        tile = sak_gemm_tile(isa);
    if (asked && strcmp(asked, "sak") == 0)
        large_from = INT64_MAX;
}

/* Depends on the shape alone: the same product takes the same way on any number of threads. */
static bool by_blis(int64_t m, int64_t n, int64_t k)
{
    return !tile || (m >= large_from && n >= large_from && k >= large_from);
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

const char *sak_gemm_small_kernel(void)
{
    sak_gemm_init();
    return tile ? sak_isa_name(sak_cpu_isa()) : sak_gemm_kernel();
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

static void blis_product(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                         int64_t ldc, sak_real alpha, sak_real beta)
{
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

static void product(bool blis, int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                    int64_t ldc, sak_real alpha, sak_real beta)
{
    if (k <= 0)
        no_product(m, n, c, ldc, beta);
    else
        (blis ? blis_product : tile)(m, n, k, a, b, c, ldc, alpha, beta);
}

void sak_gemm(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c, int64_t ldc,
              sak_real alpha, sak_real beta)
{
    if (m <= 0 || n <= 0)
        return;
    sak_gemm_init();
    product(by_blis(m, n, k), m, n, k, a, b, c, ldc, alpha, beta);
}

/* A large product: tasks of (rows, cols) blocks of C, numbered row by row. */
typedef struct split_product {
    bool blis; /* decided for the whole, also where the last blocks are small */
    int64_t m, n, k, ldc, rows, cols;
    sak_mat a, b;
    const sak_real *bias;
    sak_real *c, alpha, beta;
} split_product;

#define TASK_FLOPS 2e6 /* about 20 us: waking a thread costs a few */
#define BLIS_TASKS 24
#define TASKS_PER_THREAD 4

/* Blocks of a size that packs well, halved along the longer side while there are too few; below
 * 42 x 64 the packing begins to show.  An element computed by our tiles does not depend on its
 * block, so their number may follow the threads; with BLIS it must not. */
static void split(split_product *p)
{
    const double k = 2.0 * (double)p->k;
    const int64_t threads = sak_pool_threads();
    const int64_t enough = p->blis ? BLIS_TASKS : threads > 1 ? TASKS_PER_THREAD * threads : 1;
    p->rows = p->m < 168 ? p->m : 168;
    p->cols = p->n < 512 ? p->n : 512;
    while (sak_chunks(p->m, p->rows) * sak_chunks(p->n, p->cols) < enough &&
           k * (double)p->rows * (double)p->cols > 2 * TASK_FLOPS) {
        if (p->cols > 64 && (p->cols > p->rows || p->rows <= 42))
            p->cols = (p->cols / 2 + 63) / 64 * 64;
        else if (p->rows > 42)
            p->rows = (p->rows / 2 + 13) / 14 * 14;
        else
            break;
    }
}

static void product_blocks(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const split_product *p = ctx;
    const int64_t across = sak_chunks(p->n, p->cols);
    for (int64_t t = begin; t < end; t++) {
        const int64_t i = t / across * p->rows, j = t % across * p->cols;
        const int64_t m = p->m - i < p->rows ? p->m - i : p->rows;
        const int64_t n = p->n - j < p->cols ? p->n - j : p->cols;
        sak_real *c = p->c + i * p->ldc + j;
        for (int64_t r = 0; p->bias && r < m; r++)
            memcpy(c + r * p->ldc, p->bias + j, (size_t)n * sizeof *c);
        product(p->blis, m, n, p->k, (sak_mat){p->a.p + i * p->a.rs, p->a.rs, p->a.cs},
                (sak_mat){p->b.p + j * p->b.cs, p->b.rs, p->b.cs}, c, p->ldc, p->alpha, p->beta);
    }
}

static void run(split_product *p)
{
    if (p->m <= 0 || p->n <= 0)
        return;
    sak_gemm_init();
    p->blis = by_blis(p->m, p->n, p->k);
    split(p);
    sak_parallel_for(sak_chunks(p->m, p->rows) * sak_chunks(p->n, p->cols), 1, product_blocks, p);
}

void sak_gemm_parallel(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                       int64_t ldc, sak_real alpha, sak_real beta)
{
    run(&(split_product){false, m, n, k, ldc, 0, 0, a, b, NULL, c, alpha, beta});
}

void sak_gemm_bias(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, const sak_real *bias,
                   sak_real *c, int64_t ldc)
{
    run(&(split_product){false, m, n, k, ldc, 0, 0, a, b, bias, c, 1, bias != NULL});
}
