/* Floats as stored in fewer bits. */
#ifndef SAK_WEIGHTS_NARROW_H
#define SAK_WEIGHTS_NARROW_H

#include "weights/stored.h"

/* n floats as F32, F16 or BF16; rounds to nearest, ties to even; what is too large for F16 becomes
 * infinite, NaN stays NaN.  out holds n elements. */
void sak_st_narrow(sak_st_dtype t, const float *x, int64_t n, void *out);

#endif
