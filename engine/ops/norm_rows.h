/* What the normalisations share: x seen as rows over its last axis. */
#ifndef SAK_OPS_NORM_ROWS_H
#define SAK_OPS_NORM_ROWS_H

#include "kernels/simd.h"
#include "ops/op.h"

typedef struct norm_job {
    const sak_opcall *c;
    const sak_simd *simd;
    int64_t rows, n;
    int64_t grain, parts; /* rows per chunk, chunks */
    const sak_real *mean, *rstd;
} norm_job;

/* All but c, mean and rstd. */
norm_job sak_norm_job(const sak_opshape *s);
/* Runs fn with a norm_job over all rows. */
void sak_norm_over_rows(const sak_opcall *c, sak_chunk_fn *fn);

sak_status sak_norm_has_rows(const sak_opshape *s, sak_error *err);
/* y like x[0], which has rows. */
sak_status sak_norm_shape(sak_opshape *s, sak_error *err);
/* All inputs but x are vectors over the last axis. */
sak_status sak_norm_affine_shape(sak_opshape *s, sak_error *err);

/* Eight operations an element. */
double sak_norm_flops(const sak_opshape *s);

/* The running statistics are an input that training writes: `mutates` says so. */
static inline sak_real *norm_mutable_input(const sak_opcall *c, int i)
{
    return (sak_real *)(uintptr_t)c->x[i];
}

#endif
