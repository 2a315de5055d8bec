/* Copies between a dense tensor and places with strides in another buffer. */
#ifndef SAK_OPS_STRIDED_H
#define SAK_OPS_STRIDED_H

#include "ops/op.h"

/* The elements of a dense tensor of up to six dimensions `n`, from or to places with strides `step`
 * in another buffer.  Places outside [lo, hi) of a dimension read as zero. */
typedef struct sak_strided {
    int64_t n[SAK_MAX_DIMS], step[SAK_MAX_DIMS], lo[SAK_MAX_DIMS], hi[SAK_MAX_DIMS];
    const sak_real *from; /* strided */
    sak_real *to;         /* dense */
    bool acc;
} sak_strided;

void sak_copy_strided(const sak_strided *v);
/* A dense tensor of shape `dense`, right-aligned, everything inside, strides of zero. */
sak_strided sak_strided_of(const sak_shape *dense, const sak_real *from, sak_real *to, bool acc);
/* step: the strides of a dense tensor of shape s. */
void sak_row_major(const sak_shape *s, int64_t *step);

#endif
