/* Matrix products, single-threaded per call and split on our own pool: BLIS for large ones, our own
 * tiles for small ones on x86-64 with AVX2 or AVX-512, BLIS for everything elsewhere. */
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

/* The same, blocks of C split over the pool; the bits do not depend on the number of threads. */
void sak_gemm_parallel(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                       int64_t ldc, sak_real alpha, sak_real beta);
/* C = A B + bias in every row; bias (n), or NULL for none. */
void sak_gemm_bias(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, const sak_real *bias,
                   sak_real *c, int64_t ldc);

/* Chooses what runs by what the CPU can do, before the first product: BLIS's kernel set (never
 * against the user's own BLIS_ARCH_TYPE) and our tiles.  SAK_GEMM=blis or SAK_GEMM=sak in the
 * environment takes one of them for products of every size.  Idempotent. */
void sak_gemm_init(void);
/* BLIS's kernel set ("skx", "haswell", "generic" …); what multiplies small matrices ("avx512",
 * "avx2", or BLIS's set again); BLIS's version. */
const char *sak_gemm_kernel(void);
const char *sak_gemm_small_kernel(void);
const char *sak_gemm_version(void);

#endif
