/* Our own matrix product for small and middle sizes, where BLIS spends its time on set-up and on
 * transposed operands: attention heads, adapters, im2col chunks.  x86-64 with AVX2 or AVX-512. */
#ifndef SAK_KERNELS_GEMM_TILE_H
#define SAK_KERNELS_GEMM_TILE_H

#include "kernels/cpu.h"
#include "kernels/gemm.h"

typedef void sak_gemm_fn(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                         int64_t ldc, sak_real alpha, sak_real beta);

/* As sak_gemm, for m, n, k >= 1; the CPU must support the level.  NULL where the level has no such
 * kernel.  An element of C does not depend on m, n and its place: only on k and on its row of A and
 * column of B. */
sak_gemm_fn *sak_gemm_tile(sak_isa isa);

#endif
