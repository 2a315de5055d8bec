/* A window that slides over a resized line, told as taps of the line before resizing: what makes
 * conv(resize(x)) a resize of products on the small grid.
 *
 * Element i of a convolution with a kernel of length k and padding p over the resized line reads
 * the fine elements i + u - p, u < k, that exist; each is a weighted sum of coarse elements.  So
 *   y[i] = sum_e weight[e] z[source[e]],  at[i] <= e < at[i + 1],
 * where z[a * k + u] is coarse element a times kernel element u. */
#ifndef SAK_KERNELS_RESAMPLE_WINDOW_H
#define SAK_KERNELS_RESAMPLE_WINDOW_H

#include "kernels/resample.h"

typedef struct sak_window_taps {
    int64_t n, sources; /* targets i; elements of z */
    int64_t *at, *source;
    sak_real *weight;
    int64_t *back_at, *back_target; /* the adjoint: by source, the targets that read it */
    sak_real *back_weight;
} sak_window_taps;

/* Bytes of memory (8-byte aligned) for the table of n_in, resized to n_mid, under a kernel of
 * length k with padding pad. */
int64_t sak_window_taps_bytes(int64_t n_in, int64_t n_mid, int64_t k, int64_t pad,
                              sak_resize_mode mode);
/* Builds the table in mem; n_mid + 2 pad >= k. */
sak_window_taps sak_window_taps_build(int64_t n_in, int64_t n_mid, int64_t k, int64_t pad,
                                      sak_resize_mode mode, void *mem);

#endif
