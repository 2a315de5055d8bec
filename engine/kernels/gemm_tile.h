/* Our own matrix product for one instruction set: register tiles over packed operands.  x86-64 with
 * AVX2 or AVX-512; BLIS does what they do not. */
#ifndef SAK_KERNELS_GEMM_TILE_H
#define SAK_KERNELS_GEMM_TILE_H

#include <stdbool.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"

/* C (m, n) = alpha A (m, k) B (k, n) + add, where add (m, n) has row stride add_step (0: one row for
 * all, a bias) and may be C itself, or is NULL for nothing. */
typedef struct sak_product {
    int64_t m, n, k;
    sak_mat a, b;
    sak_real alpha;
    const sak_real *add;
    int64_t add_step;
    sak_real *c;
    int64_t ldc;
} sak_product;

/* An element of C depends on k, its row of A and its column of B alone, not on m, n and its place:
 * any split of C into parts gives the same bits.  With bf16 the operands are rounded to bfloat16
 * (nearest, ties to even) and the sums are float. */
typedef struct sak_gemm_tiles {
    int64_t panel;    /* columns of B that are packed together */
    bool native_bf16; /* multiplies bfloat16 by its own instruction, twice as fast; else as floats */
    /* The whole product on the calling thread; m, n, k >= 1. */
    void (*product)(const sak_product *p, bool bf16);
    /* Elements of sak_real that B takes when packed, and the packing of panels [from, to). */
    int64_t (*packed_count)(int64_t n, int64_t k, bool bf16);
    void (*pack)(int64_t from, int64_t to, const sak_product *p, bool bf16, sak_real *packed);
    /* As product, for a part of C whose columns begin with panel `panel` of a B packed before; of p,
     * n counts the part's columns and b is not read. */
    void (*packed_product)(const sak_product *p, bool bf16, int64_t panel, const sak_real *packed,
                           int64_t packed_n);
    /* As product, one slice of k after the other: how many there are; sums (m, n), row stride ld, of a
     * slice; and C from all of them, each `step` elements after the one before. */
    int64_t (*slices)(int64_t k, bool bf16);
    void (*slice_product)(const sak_product *p, bool bf16, int64_t slice, sak_real *sums, int64_t ld);
    void (*sum_slices)(const sak_product *p, bool bf16, const sak_real *sums, int64_t ld, int64_t step);
} sak_gemm_tiles;

#define SAK_GEMM_ROWS 168 /* rows of A that a kernel packs at a time */

/* NULL where the level has none; the CPU must support the level. */
const sak_gemm_tiles *sak_gemm_tiles_of(sak_isa isa);

#endif
