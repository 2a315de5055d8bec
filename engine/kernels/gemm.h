/* Matrix products through BLIS, single-threaded per call and split over rows on our own pool. */
#ifndef SAK_KERNELS_GEMM_H
#define SAK_KERNELS_GEMM_H

#include <stdint.h>

#include "base/real.h"

/* A strided matrix view: element (i, j) at p[i * rs + j * cs]. */
typedef struct sak_mat {
    const sak_real *p;
    int64_t rs, cs;
} sak_mat;

/* C (m, n) = A (m, k) * B (k, n) + beta * C, on the calling thread.  beta is 0 or 1; with 0 the
 * old content of C is not read.  C has row stride ldc and unit column stride. */
void sak_gemm(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c, int64_t ldc,
              sak_real alpha, sak_real beta);

/* The same, rows of C split over the pool in chunks that depend on the sizes only. */
void sak_gemm_parallel(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                       int64_t ldc, sak_real alpha, sak_real beta);

/* Rows per chunk of that split, for callers that do more than the product in a chunk. */
int64_t sak_gemm_grain(int64_t m, int64_t n, int64_t k);

/* Chooses BLIS's kernel set by what the CPU can do, before the first product; never overrides the
 * user's own BLIS_ARCH_TYPE.  Idempotent. */
void sak_gemm_init(void);
/* Name of the kernel set that runs ("skx", "haswell", "generic" …) and BLIS's version. */
const char *sak_gemm_kernel(void);
const char *sak_gemm_version(void);

#endif
