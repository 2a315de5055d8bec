/* Broadcasting binary operations, forward and backward, over the kernels' sak_binary. */
#ifndef SAK_OPS_BROADCAST_H
#define SAK_OPS_BROADCAST_H

#include "kernels/simd.h"
#include "ops/op.h"

/* y is x[0] broadcast with x[1]. */
sak_status sak_broadcast_shape(sak_opshape *s, sak_error *err);
/* `kind` is one of add … min, not one of the ternary helpers. */
void sak_broadcast_forward(const sak_opcall *c, sak_binary kind);
void sak_broadcast_backward(const sak_opcall *c, sak_binary kind);
sak_scratch sak_broadcast_scratch(const sak_opshape *s);

/* y (shape `to`) = sum of x (shape `from`) over the dimensions along which `to` would be stretched
 * to `from`; added to y where acc.  `to` broadcasts to `from`.  shared: sak_broadcast_sum_scratch. */
void sak_broadcast_sum(const sak_shape *from, const sak_shape *to, const sak_real *x, sak_real *y,
                       bool acc, sak_real *shared);
int64_t sak_broadcast_sum_scratch(const sak_shape *from, const sak_shape *to);

#endif
