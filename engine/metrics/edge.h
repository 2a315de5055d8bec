/* The boundary benchmark (Martin, Fowlkes & Malik 2004; Arbelaez et al. 2011): one-to-one matching
 * of predicted to annotated boundary pixels within a radius, at many thresholds.  An image adds to
 * counts, and counts of images add up, so that images may be scored in any order and in parallel. */
#ifndef SAK_METRICS_EDGE_H
#define SAK_METRICS_EDGE_H

#include <stdint.h>

#include "base/status.h"

/* plain  suppression across the edge (radius 1, not smoothed), value > threshold, truth thinned
 * seism  suppression on a smoothed map (radius 4), 8 bits again, value >= threshold, truth thinned
 * bsds   the benchmark as its authors publish it: no suppression, value >= threshold, truth as it
 *        is; the best F is sought on the straight lines between neighbouring thresholds */
typedef enum sak_edge_protocol {
    SAK_EDGE_PLAIN = 0,
    SAK_EDGE_SEISM,
    SAK_EDGE_BSDS,
    SAK_EDGE_PROTOCOLS
} sak_edge_protocol;

extern const char *const sak_edge_protocol_names[SAK_EDGE_PROTOCOLS + 1]; /* ends with NULL */

enum { SAK_EDGE_THRESHOLDS = 99, SAK_EDGE_MAX_THRESHOLDS = 999 };

typedef struct sak_edge_spec {
    sak_edge_protocol protocol;
    double max_dist; /* matching radius / length of the diagonal */
    int thresholds;  /* n: 1/(n+1) … n/(n+1) */
} sak_edge_spec;

/* Where the counts of threshold k (0-based) are; all are sums over images. */
enum {
    SAK_EDGE_IMAGES = 0,
    SAK_EDGE_TRUTHS,                                      /* annotated pixels, over annotators */
    SAK_EDGE_OIS_RECALLED, SAK_EDGE_OIS_HIT, SAK_EDGE_OIS_FOUND, /* at each image's best threshold */
    SAK_EDGE_CURVE, /* 3 k: annotated pixels that are matched; + 1: predicted pixels that match any
                       annotator; + 2: predicted pixels */
};

static inline int64_t sak_edge_counts_size(int thresholds)
{
    return SAK_EDGE_CURVE + 3 * (int64_t)thresholds;
}

/* The 8-bit image that the published predictions pass through: floor(255 sigmoid(logit)), 0 for NaN. */
uint8_t sak_edge_grey(float logit);

/* Adds one image to counts.  prob: (H, W) in 0 … 1, of an 8-bit image: whole numbers / 255.  truth: one
 * map (H, W) per annotator, nonzero at boundaries. */
sak_status sak_edge_count(const sak_edge_spec *s, const float *prob, int H, int W,
                          const uint8_t *const *truth, int annotators, int64_t *counts,
                          sak_error *err);

/* In 0 … 1.  All NaN where no image had any truth. */
typedef struct sak_edge_scores {
    double ods, ods_precision, ods_recall, ods_threshold;
    double ois, ois_precision, ois_recall;
    double ap; /* precision, linear between the measured recalls, summed over recalls 0, 0.01 … 1 */
} sak_edge_scores;

void sak_edge_score_counts(const sak_edge_spec *s, const int64_t *counts, sak_edge_scores *out);

#endif
