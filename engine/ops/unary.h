/* Functions of one tensor, element by element, over the kernels' sak_unary. */
#ifndef SAK_OPS_UNARY_H
#define SAK_OPS_UNARY_H

#include "kernels/simd.h"
#include "ops/op.h"

enum { SAK_UNARY_GRAIN = 16384 }; /* elements per chunk */

void sak_unary_forward(const sak_opcall *c, sak_unary kind);
/* Reads x or y, whichever the row keeps: the other one is NULL. */
void sak_unary_backward(const sak_opcall *c, sak_unary kind);

/* Gradient-check cases of an op without attributes. */
extern const char *const sak_unary_cases[];

#endif
