/* Separable resampling with half-pixel centres (align_corners false), but for bilinear_corners.
 *
 *   nearest            source floor(i s), s = n_in / n_out
 *   bilinear           source max((i + 1/2) s - 1/2, 0), the upper neighbour clamped
 *   bicubic            source (i + 1/2) s - 1/2, Keys' kernel with a = -0.75, indices clamped
 *   bicubic_antialias  a = -0.5, stretched by max(s, 1), weights outside dropped, the rest
 *                      renormalised
 *   bilinear_corners   source i (n_in - 1) / (n_out - 1): the corners stay (align_corners true)
 * as PyTorch's interpolate. */
#ifndef SAK_KERNELS_RESAMPLE_H
#define SAK_KERNELS_RESAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/real.h"
#include "base/status.h"

typedef enum sak_resize_mode {
    SAK_RESIZE_BILINEAR = 0,
    SAK_RESIZE_BICUBIC,
    SAK_RESIZE_BICUBIC_ANTIALIAS,
    SAK_RESIZE_NEAREST,
    SAK_RESIZE_BILINEAR_CORNERS,
} sak_resize_mode;
#define SAK_RESIZE_MODES "bilinear|bicubic|bicubic_antialias|nearest|bilinear_corners"

/* The source elements of each target element: y[i] = sum_t weight[at[i] + t] x[first[i] + t],
 * t < at[i + 1] - at[i]. */
typedef struct sak_taps {
    int64_t n; /* targets */
    const int64_t *first, *at;
    const sak_real *weight;
} sak_taps;

/* The most source elements that one target reads. */
int64_t sak_resize_most_taps(int64_t n_in, int64_t n_out, sak_resize_mode mode);
/* Bytes of memory (8-byte aligned) for the table of n_in to n_out and for its transpose. */
int64_t sak_resize_taps_bytes(int64_t n_in, int64_t n_out, sak_resize_mode mode);
/* Builds the table in mem. */
sak_taps sak_resize_taps(int64_t n_in, int64_t n_out, sak_resize_mode mode, void *mem);
/* The adjoint's table (targets: the n_in source elements of t), in mem of the same size. */
sak_taps sak_resize_taps_transpose(const sak_taps *t, int64_t n_in, void *mem);

/* One line of y (W', C) from x (H, W, C): rows tapped by `rows` entry `line`, columns by `cols`.
 * tmp holds W * C elements. */
void sak_resize_line(const sak_taps *rows, const sak_taps *cols, int64_t W, int64_t C,
                     const sak_real *x, int64_t line, sak_real *y, bool acc, sak_real *tmp);

/* x (H, W, C) to y (h, w, C), on the calling thread. */
sak_status sak_resize_hwc(const sak_real *x, int64_t H, int64_t W, int64_t C, sak_real *y,
                          int64_t h, int64_t w, sak_resize_mode mode, sak_error *err);

#endif
