/* Vector kernels behind a dispatch table.  One source (simd.inc), written with compiler vectors of
 * fixed width, is compiled once per instruction set; the width, the order of every sum and the
 * absence of fused multiply-adds (-ffp-contract=off) make the results bit-identical at every level.
 * In the double build the same entries are plain loops over libm. */
#ifndef SAK_KERNELS_SIMD_H
#define SAK_KERNELS_SIMD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/real.h"
#include "kernels/cpu.h"

/* All arrays are contiguous; x and y may be the same array unless said otherwise. `acc`: add to the
 * output instead of overwriting. */
typedef struct sak_simd {
    /* y = exp(x), at most 2 ulp, in [-87, 88]; below: 0 (flushed), above: inf. */
    void (*exp)(int64_t n, const sak_real *x, sak_real *y);
    /* y = Phi-exact GELU of x (erf form), absolute error < 5e-7 */
    void (*gelu)(int64_t n, const sak_real *x, sak_real *y);
    void (*gelu_grad)(int64_t n, const sak_real *x, const sak_real *dy, sak_real *dx, bool acc);
    void (*add)(int64_t n, const sak_real *a, const sak_real *b, sak_real *y);
    void (*axpy)(int64_t n, sak_real alpha, const sak_real *x, sak_real *y); /* y += alpha x */
    void (*scale)(int64_t n, sak_real alpha, const sak_real *x, sak_real *y, bool acc);
    sak_real (*sum)(int64_t n, const sak_real *x);
    sak_real (*dot)(int64_t n, const sak_real *x, const sak_real *y);
    sak_real (*max)(int64_t n, const sak_real *x);
    /* y = softmax(scale * x) over n elements; returns log(sum exp(scale x)). */
    sak_real (*softmax)(int64_t n, sak_real scale, const sak_real *x, sak_real *y);
    /* Layer norm of one row; writes mean and 1/std. */
    void (*layer_norm)(int64_t n, const sak_real *x, const sak_real *w, const sak_real *b,
                       sak_real eps, sak_real *y, sak_real *mean, sak_real *rstd);
    /* dx of one row; the caller gives xhat-relevant statistics. */
    void (*layer_norm_grad)(int64_t n, const sak_real *x, const sak_real *w, const sak_real *dy,
                            sak_real mean, sak_real rstd, sak_real *dx, bool acc);
    /* AdamW on one range: p, m, v in place; g read.  c1 = 1 - b1^t, c2 = 1 - b2^t. */
    void (*adamw)(int64_t n, sak_real *p, const sak_real *g, sak_real *m, sak_real *v,
                  sak_real gscale, sak_real lr, sak_real b1, sak_real b2, sak_real eps,
                  sak_real decay, sak_real c1, sak_real c2, bool decoupled);
} sak_simd;

/* The table of the level that runs (sak_cpu_isa), and any level for tests (NULL if not built or
 * not supported by this CPU). */
const sak_simd *sak_simd_table(void);
const sak_simd *sak_simd_level(sak_isa isa);

#endif
