/* Shared by the meters: the rows' functions and the edge benchmark's steps. */
#ifndef SAK_METRICS_INTERNAL_H
#define SAK_METRICS_INTERNAL_H

#include "metrics/meter.h"

#define SAK_METER_IGNORE 255.0f

int64_t sak_seg_counts(const sak_meter_spec *s);
sak_status sak_seg_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                         sak_error *err);
void sak_seg_score(const sak_meter *m, double *values);

int64_t sak_depth_counts(const sak_meter_spec *s);
int64_t sak_depth_sums(const sak_meter_spec *s);
sak_status sak_depth_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                           sak_error *err);
void sak_depth_score(const sak_meter *m, double *values);

int64_t sak_normals_counts(const sak_meter_spec *s);
int64_t sak_normals_sums(const sak_meter_spec *s);
sak_status sak_normals_image(sak_meter *m, const float *out, const float *label, int64_t H,
                             int64_t W, sak_error *err);
void sak_normals_score(const sak_meter *m, double *values);

int64_t sak_sal_counts(const sak_meter_spec *s);
int64_t sak_sal_sums(const sak_meter_spec *s);
sak_status sak_sal_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                         sak_error *err);
void sak_sal_score(const sak_meter *m, double *values);

int64_t sak_edge_counts(const sak_meter_spec *s);
int64_t sak_edge_sums(const sak_meter_spec *s);
sak_status sak_edge_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                          sak_error *err);
void sak_edge_score(const sak_meter *m, double *values);

/* ---- steps of the boundary benchmark; maps are row-major (H, W) ---- */

/* Non-maximum suppression of e in [0, 1]: orientation from e smoothed by a triangle filter of
 * radius `smooth` (0: none), suppressed where one of the `r` neighbours on either side across the
 * edge is more than `m` times stronger, faded out within `border` pixels of the image border. */
sak_status sak_edge_nms(const float *e, int H, int W, int smooth, int r, int border, float m,
                        float *out, sak_error *err);

/* Matching of predicted to true boundary pixels within a radius. */
typedef struct sak_edge_matcher {
    int H, W, truths;
    int *start;       /* (H*W + 1): where each pixel's candidates begin */
    int *candidate;   /* true pixels within the radius, nearest first */
    const int *pixel; /* predicted pixels of the running match */
    int *mate, *truth_mate, *level, *next, *queue;
} sak_edge_matcher;

/* truth: pixel indices (row-major) of the thinned ground truth. */
sak_status sak_edge_matcher_open(sak_edge_matcher *m, int H, int W, double radius, const int *truth,
                                 int truths, sak_error *err);
void sak_edge_matcher_close(sak_edge_matcher *m);
/* Size of a maximum one-to-one matching (Hopcroft-Karp). */
int sak_edge_match(sak_edge_matcher *m, const int *pixel, int pixels);

#endif
