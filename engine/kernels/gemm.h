/* Matrix products on the calling thread or split over our own pool: our own tiles on x86-64 with AVX2
 * or AVX-512, BLIS elsewhere. */
#ifndef SAK_KERNELS_GEMM_H
#define SAK_KERNELS_GEMM_H

#include <stdbool.h>
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

/* B (k, n) for several products on the calling thread, laid out for them once; b and the room stay the
 * caller's until the last of them. */
typedef struct sak_packed {
    int64_t n, k;
    sak_mat b;
    const sak_real *panels; /* NULL: BLIS packs for itself */
} sak_packed;

/* Elements of room that packing needs, whatever the rounding (below); 0 with BLIS. */
int64_t sak_gemm_pack_count(int64_t n, int64_t k);
sak_packed sak_gemm_pack(int64_t n, int64_t k, sak_mat b, sak_real *room);
/* As sak_gemm, with its bits. */
void sak_gemm_packed(int64_t m, sak_mat a, const sak_packed *b, sak_real *c, int64_t ldc,
                     sak_real alpha, sak_real beta);

/* Chooses what runs by what the CPU can do, before the first product: our tiles, and BLIS's kernel
 * set (never against the user's own BLIS_ARCH_TYPE).  SAK_GEMM=blis in the environment takes BLIS
 * for everything.  Idempotent. */
void sak_gemm_init(void);
/* What multiplies ("avx512", "avx2", or BLIS's set); BLIS's own set ("skx", "haswell", "generic" …);
 * BLIS's version. */
const char *sak_gemm_kernel(void);
const char *sak_gemm_blis_kernel(void);
const char *sak_gemm_version(void);

/* Whether the products that follow round A and B to bfloat16 (nearest, ties to even); they still sum
 * in sak_real.  For all threads; called between products.  Ignored by BLIS and in the double build. */
void sak_gemm_set_bf16(bool on);
/* How that runs here: "avx512_bf16", "rounded float" (as slow as float), or NULL for not at all. */
const char *sak_gemm_bf16_kernel(void);

#endif
