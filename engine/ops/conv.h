/* What the convolutions share. */
#ifndef SAK_OPS_CONV_H
#define SAK_OPS_CONV_H

#include "ops/op.h"

/* For every pixel (y, x) of an (h, w) grid: the kh x kw window of src (B, H, W, C) whose first pixel
 * is (y + oy, x + ox); zero outside. */
typedef struct sak_windows {
    const sak_real *src;
    int64_t H, W, C, h, w, kh, kw, oy, ox;
} sak_windows;

typedef struct sak_conv {
    const sak_opcall *c;
    int64_t B, H, W, I, O, kh, kw, pad, h, w;
    sak_real *weight; /* repacked */
} sak_conv;

/* Sizes of x (B, H, W, I), weight (O, ., kh, kw) and y (B, h, w, .); c and weight are left NULL. */
sak_conv sak_conv_sizes(const sak_opshape *s);
/* x and weight have four axes; `weight` names the latter's in the message. */
sak_status sak_conv_dims(sak_opshape *s, const char *weight, sak_error *err);
/* The kernel takes `in` channels, the bias has `out`, the kernel fits; sets s->y. */
sak_status sak_conv_check(sak_opshape *s, int64_t in, int64_t out, sak_error *err);

extern const sak_attr_spec sak_conv_attrs[];

#endif
