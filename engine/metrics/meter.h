/* Streaming meters, method section 6: raw head outputs and labels in, published metrics out.
 * A meter's state is nothing but sums, so that images are scored in parallel, each into sums of its
 * own, and merged in order: the same bits for any number of threads. */
#ifndef SAK_METRICS_METER_H
#define SAK_METRICS_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "metrics/edge.h"

/* One number a meter reports.  `higher`: higher is better. */
typedef struct sak_meter_value {
    const char *name, *unit; /* unit: "%", "m", "deg", "" */
    bool higher;
    const char *doc;
} sak_meter_value;

/* What a meter needs to know; zero takes the default. */
typedef struct sak_meter_spec {
    int classes;        /* semseg, human_parts; no default */
    double edge_weight; /* edge monitor: 0.8 (NYUD, default) or 0.95 (PASCAL) */
    bool edge_match;    /* edge: also odsF, OIS and AP, which cost seconds per large image */
    sak_edge_protocol protocol; /* of the three */
    double max_dist;            /* matching radius / diagonal: 0.011 (NYUD, default), 0.0075 */
} sak_meter_spec;

enum { SAK_METER_VALUES = 6 };

struct sak_meter;

/* One row per task.  values[0] is the one that stands for the task in delta_m; the list ends with
 * name NULL.  The rest is the meters' own business. */
typedef struct sak_meter_row {
    const char *task;
    int channels, label_channels; /* of the head's output (0 = classes) and of the label */
    sak_meter_value values[SAK_METER_VALUES + 1];
    int64_t (*counts)(const sak_meter_spec *spec); /* number of integer sums */
    int64_t (*sums)(const sak_meter_spec *spec);   /* number of real sums */
    sak_status (*image)(struct sak_meter *m, const float *out, const float *label, int64_t H,
                        int64_t W, sak_error *err);
    void (*score)(const struct sak_meter *m, double *values);
} sak_meter_row;

typedef struct sak_meter {
    const sak_meter_row *row;
    sak_meter_spec spec;
    int64_t n_counts, n_sums;
    int64_t *counts;
    double *sums;
} sak_meter;

const sak_meter_row *sak_meter_at(int i); /* i = 0, 1, … until NULL */
const sak_meter_row *sak_meter_find(const char *task);
int sak_meter_values(const sak_meter_row *row); /* how many it reports */

sak_status sak_meter_open(sak_meter *m, const char *task, const sak_meter_spec *spec,
                          sak_error *err);
void sak_meter_close(sak_meter *m);
void sak_meter_reset(sak_meter *m);
int sak_meter_channels(const sak_meter *m); /* of the head's output */

/* Adds B images.  out: (B, H, W, channels) raw head output; label: (B, H, W, label channels) as
 * the loader gives it, 255 = ignore.  semseg, human_parts, sal: class; depth: metres; normals:
 * unit vectors; edge: 0/1. */
sak_status sak_meter_update(sak_meter *m, const float *out, const float *label, int64_t B,
                            int64_t H, int64_t W, sak_error *err);
/* m += other; both of one task and spec. */
void sak_meter_merge(sak_meter *m, const sak_meter *other);
/* All values of the row; NaN where there was nothing to measure (or edge_match was off). */
void sak_meter_score(const sak_meter *m, double values[SAK_METER_VALUES]);
/* IoU in percent of each of the `classes`; semseg and human_parts only. */
void sak_meter_class_iou(const sak_meter *m, double *iou);

/* 100/K sum_k +-(m_k - single_k) / single_k, + where higher is better. */
double sak_delta_m(int K, const double *multi, const double *single, const bool *higher);

/* The best predictor that never looks at the image: majority class, mean depth, mean normal, base
 * rate.  Fitted on train labels; what it would put out is then fed to an ordinary meter. */
typedef struct sak_trivial {
    const sak_meter_row *row;
    int classes;
    int64_t *counts; /* pixels per class */
    double sum[3];
    int64_t n;
} sak_trivial;

sak_status sak_trivial_open(sak_trivial *t, const char *task, int classes, sak_error *err);
void sak_trivial_close(sak_trivial *t);
/* label: (pixels, label channels). */
void sak_trivial_fit(sak_trivial *t, const float *label, int64_t pixels);
/* The head output of one pixel, `channels` numbers (as sak_meter_channels). */
void sak_trivial_output(const sak_trivial *t, float *out);

#endif
