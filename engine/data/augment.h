/* Augmentation from the inside: a sample becomes a view of fixed size by one geometric map, a
 * photometric distortion and the ignore rules of sak-method.md section 5.  Every operation is a
 * function of its own parameters, so that each can be tested alone; augment.c draws them. */
#ifndef SAK_DATA_AUGMENT_H
#define SAK_DATA_AUGMENT_H

#include "base/rng.h"
#include "data/loader.h"
#include "kernels/cpu.h"

/* Memory that one thread reuses from sample to sample; {0} is empty. */
typedef struct sak_scratch {
    void *data;
    size_t bytes;
} sak_scratch;

sak_status sak_scratch_reserve(sak_scratch *s, size_t bytes, sak_error *err);
void sak_scratch_close(sak_scratch *s);

/* One augmented sample at output size.  The rectangle (x0, y0, w, h) shows the image, the rest is
 * padding: rgb there is the ImageNet mean, and becomes exactly 0 when the batch is normalised. */
typedef struct sak_view {
    sak_sample s;
    int x0, y0, w, h;
} sak_view;

/* Where a view's pixels come from: the source rectangle (sx, sy, sw, sh) is resized to (rw, rh), of
 * which the window (cx, cy, w, h) is kept, mirrored if `flip`, and placed at (x0, y0). */
typedef struct sak_geometry {
    int sx, sy, sw, sh;
    int rw, rh;
    int cx, cy, w, h;
    int x0, y0;
    bool flip;
    double depth_divisor;
} sak_geometry;

/* Fills out->s (reserved by the caller, which also says what is wanted) inside the rectangle:
 * image bilinear, labels nearest, both with pixel centres at half-integers, so that they stay
 * aligned at every factor. */
sak_status sak_geometry_apply(const sak_geometry *g, const sak_sample *in, sak_scratch *scratch,
                              sak_view *out, sak_error *err);
/* Fills what lies outside the rectangle: labels 255, normals, depth and instance 0. */
void sak_geometry_pad(sak_view *v);
/* Largest share of one semseg class among the labelled pixels of the window; 1 without any. */
sak_status sak_geometry_fill(const sak_geometry *g, const uint8_t *semseg, int W,
                             sak_scratch *scratch, double *out, sak_error *err);

/* Distortion of 8-bit values; every step rounds down to 8 bits, as the published pipeline does. */
typedef struct sak_photometric {
    bool brightness, contrast, saturation, hue;
    bool contrast_first; /* before the HSV part */
    bool grey;
    float beta;     /* brightness: v + beta */
    float alpha;    /* contrast: v * alpha */
    float saturate; /* S * saturate */
    int shift;      /* H + shift (mod 180), |shift| < 180 */
} sak_photometric;

sak_photometric sak_photometric_draw(sak_rng *r, bool distort, bool grey);
/* Rows of n pixels (R, G, B bytes), `stride` bytes apart. */
void sak_photometric_apply(const sak_photometric *p, uint8_t *rgb, int n, int rows, size_t stride);
/* At a given level that this CPU supports, for tests; the above takes the best, the bits agree. */
void sak_photometric_apply_at(sak_isa isa, const sak_photometric *p, uint8_t *rgb, int n, int rows,
                              size_t stride);
/* OpenCV's 8-bit conventions: H 0 … 179 (2 degrees each), S and V 0 … 255.  For tests. */
void sak_rgb_to_hsv(const uint8_t *rgb, uint8_t *hsv, int n);
void sak_hsv_to_rgb(const uint8_t *hsv, uint8_t *rgb, int n);

/* Ignore rules; max = 0: no limit. */
void sak_ignore_depth(float *depth, int64_t n, double max); /* outside (0, max] -> 255 */
void sak_ignore_normals(float *normals, int64_t n);         /* length 0 -> 255, 255, 255 */
void sak_ignore_parts(uint8_t *parts, int64_t n);           /* no part anywhere -> all 255 */

/* out (H, W, 3) = (rgb / 255 - mean) / std inside the view's rectangle, 0 outside. */
void sak_normalise(const sak_view *v, float *out);

/* SHA-256 of all that sak_normalise sees of a view. */
void sak_view_digest(const sak_view *v, uint8_t out[SAK_HASH_BYTES]);

sak_status sak_augment_check(const sak_augment *a, sak_error *err);
/* The view of `in` with the modalities `want` (a part of in->has). */
sak_status sak_augment_view(const sak_augment *a, uint64_t seed, int64_t epoch, int64_t index,
                            int view, const sak_sample *in, unsigned want, sak_scratch *scratch,
                            sak_view *out, sak_error *err);

#endif
