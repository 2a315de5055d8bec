/* Half and brain floats: IEEE binary16 and bfloat16, to and from float. */
#ifndef SAK_KERNELS_HALF_H
#define SAK_KERNELS_HALF_H

#include <stdint.h>

/* n floats in 16 bits each; rounds to nearest, ties to even; what is too large for a half becomes
 * infinite, NaN stays NaN. */
void sak_half_store(int64_t n, const float *x, uint16_t *y);
void sak_bfloat_store(int64_t n, const float *x, uint16_t *y);
/* The reverse; exact, subnormals and NaNs included. */
void sak_half_load(int64_t n, const uint16_t *y, float *x);
void sak_bfloat_load(int64_t n, const uint16_t *y, float *x);

#endif
