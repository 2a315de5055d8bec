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

/* y = f(x).  The gradient reads y where the function is cheaper to differentiate from its value
 * (exp, sqrt, tanh, sigmoid, relu), else x. */
typedef enum sak_unary {
    SAK_UNARY_NEG = 0,
    SAK_UNARY_EXP,        /* from y */
    SAK_UNARY_LOG,
    SAK_UNARY_SQRT,       /* from y */
    SAK_UNARY_SQUARE,
    SAK_UNARY_ABS,
    SAK_UNARY_TANH,       /* from y */
    SAK_UNARY_SIGMOID,    /* from y */
    SAK_UNARY_RELU,       /* from y */
    SAK_UNARY_GELU,       /* x Phi(x) */
    SAK_UNARY_QUICK_GELU, /* x sigmoid(1.702 x) */
    SAK_UNARY_GELU_TANH,  /* x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
    SAK_UNARY_SILU,       /* x sigmoid(x) */
    SAK_UNARY_SOFTPLUS,   /* log(1 + exp(x)) */
    SAK_UNARY_COUNT,
} sak_unary;

typedef enum sak_binary {
    SAK_BINARY_ADD = 0,
    SAK_BINARY_SUB,
    SAK_BINARY_MUL,
    SAK_BINARY_DIV,
    SAK_BINARY_MAX, /* NaN in, NaN out */
    SAK_BINARY_MIN,
    SAK_BINARY_DIV_GRAD, /* ternary: d(a / b)/db, out = -t a / b^2 */
    SAK_BINARY_PICK,     /* ternary: out = t where a > b, t / 2 where equal, else 0 */
    SAK_BINARY_COUNT,
} sak_binary;

/* Batch norm's backward: per channel w, mean, rstd and the gradients of w and b; per = 1 / rows, or 0
 * where the statistics are given. */
typedef struct sak_batch_norm {
    const sak_real *w, *mean, *rstd, *dw, *db;
    sak_real per;
} sak_batch_norm;

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
    /* y[i] = (y[i] +) sum_t w[t] x[at[t] + i], t < count, in order of t */
    void (*mix)(int64_t n, int64_t count, const sak_real *w, const int64_t *at, const sak_real *x,
                sak_real *y, bool acc);
    /* y[i] = (y[i] +) sum_r x[r step + i], r < rows, in order of r */
    void (*sum_rows)(int64_t n, int64_t rows, int64_t step, const sak_real *x, sak_real *y, bool acc);
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
    void (*unary[SAK_UNARY_COUNT])(int64_t n, const sak_real *x, sak_real *y);
    /* s is x or y, see sak_unary (NULL for neg); dx may be dy, but not s. */
    void (*unary_grad[SAK_UNARY_COUNT])(int64_t n, const sak_real *s, const sak_real *dy,
                                        sak_real *dx, bool acc);
    /* y = f(a, b); with a1 or b1 that operand is one number.  t is read by the ternary ones only. */
    void (*binary[SAK_BINARY_COUNT])(int64_t n, const sak_real *t, const sak_real *a, bool a1,
                                     const sak_real *b, bool b1, sak_real *y);
    void (*affine)(int64_t n, sak_real alpha, sak_real beta, const sak_real *x, sak_real *y);
    void (*clamp)(int64_t n, sak_real lo, sak_real hi, const sak_real *x, sak_real *y);
    /* dx = dy where lo <= x <= hi, else 0 */
    void (*clamp_grad)(int64_t n, sak_real lo, sak_real hi, const sak_real *x, const sak_real *dy,
                       sak_real *dx, bool acc);
    /* dw += dy * (x - mean) * rstd, db += dy: one row's share of layer norm's parameter gradients */
    void (*layer_norm_wgrad)(int64_t n, const sak_real *x, const sak_real *dy, sak_real mean,
                             sak_real rstd, sak_real *dw, sak_real *db);
    /* p = exp(p - lse), then d = p (d - inner): one row of attention's backward, both in place */
    void (*attention_grad)(int64_t n, sak_real lse, sak_real inner, sak_real *p, sak_real *d);
    void (*add_offset)(int64_t n, sak_real c, const sak_real *x, sak_real *y); /* y += c + x */
    /* y = (y +) w clamp(inner (a - b), -most, most): gradients of losses of a difference */
    void (*difference)(int64_t n, sak_real w, sak_real inner, sak_real most, const sak_real *a,
                       const sak_real *b, sak_real *y, bool acc);
    /* Batch norm of one row of n channels: y = (x - mean) rstd w + b; sum += (x - mean)^2; its share of
     * dw += dy (x - mean) rstd and db += dy; dx = w rstd (dy - (db + xhat dw) per). */
    void (*batch_norm)(int64_t n, const sak_real *x, const sak_real *mean, const sak_real *rstd,
                       const sak_real *w, const sak_real *b, sak_real *y);
    void (*add_squares)(int64_t n, const sak_real *x, const sak_real *mean, sak_real *sum);
    void (*batch_norm_wgrad)(int64_t n, const sak_real *x, const sak_real *dy, const sak_real *mean,
                             const sak_real *rstd, sak_real *dw, sak_real *db);
    void (*batch_norm_grad)(int64_t n, const sak_batch_norm *s, const sak_real *x, const sak_real *dy,
                            sak_real *dx, bool acc);
    /* dx = scale * y * (dy - sum(dy y)): one row of softmax */
    void (*softmax_grad)(int64_t n, sak_real scale, const sak_real *y, const sak_real *dy,
                         sak_real *dx, bool acc);
} sak_simd;

/* The table of the level that runs (sak_cpu_isa), and any level for tests (NULL if not built or
 * not supported by this CPU). */
const sak_simd *sak_simd_table(void);
const sak_simd *sak_simd_level(sak_isa isa);

#endif
