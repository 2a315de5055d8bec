/* Meters of segmentation, depth, normals and saliency. */
#include <math.h>

#include "metrics/internal.h"

/* ---- semseg, human_parts: counts are tp, fp, fn, each per class ---- */

int64_t sak_seg_counts(const sak_meter_spec *s)
{
    return 3 * (int64_t)s->classes;
}

sak_status sak_seg_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                         sak_error *err)
{
    (void)err;
    const int K = m->spec.classes;
    int64_t *tp = m->counts, *fp = tp + K, *fn = fp + K;
    for (int64_t i = 0; i < H * W; i++) {
        if (label[i] == SAK_METER_IGNORE)
            continue;
        const float *x = out + i * K;
        int best = 0;
        for (int k = 1; k < K; k++)
            if (x[k] > x[best])
                best = k;
        if (label[i] == (float)best) {
            tp[best]++;
            continue;
        }
        fp[best]++;
        if (label[i] >= 0 && label[i] < (float)K)
            fn[(int)label[i]]++;
    }
    return SAK_OK;
}

void sak_meter_class_iou(const sak_meter *m, double *iou)
{
    const int K = m->spec.classes;
    for (int k = 0; k < K; k++) {
        const int64_t tp = m->counts[k], all = tp + m->counts[K + k] + m->counts[2 * K + k];
        iou[k] = all ? 100.0 * (double)tp / (double)all : 0;
    }
}

void sak_seg_score(const sak_meter *m, double *values)
{
    const int K = m->spec.classes;
    double iou[255], sum = 0;
    int64_t right = 0, all = 0;
    int present = 0;
    sak_meter_class_iou(m, iou);
    for (int k = 0; k < K; k++) {
        const int64_t tp = m->counts[k], fp = m->counts[K + k], fn = m->counts[2 * K + k];
        sum += iou[k];
        present += tp + fn > 0;
        right += tp;
        all += tp + fp; /* every valid pixel was predicted as something */
    }
    if (!all)
        return;
    double labelled = 0;
    for (int k = 0; k < K; k++)
        if (m->counts[k] + m->counts[2 * K + k] > 0)
            labelled += iou[k];
    values[0] = sum / K;
    if (present)
        values[1] = labelled / present;
    values[2] = 100.0 * (double)right / (double)all;
}

/* ---- depth ---- */

enum { DEPTH_N = 0, DEPTH_CLOSE, DEPTH_COUNTS };
enum { DEPTH_SQUARES = 0, DEPTH_RELATIVE, DEPTH_SUMS };

int64_t sak_depth_counts(const sak_meter_spec *s)
{
    (void)s;
    return DEPTH_COUNTS;
}

int64_t sak_depth_sums(const sak_meter_spec *s)
{
    (void)s;
    return DEPTH_SUMS;
}

sak_status sak_depth_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                           sak_error *err)
{
    (void)err;
    for (int64_t i = 0; i < H * W; i++) {
        const double g = (double)label[i];
        if (!(g > 0 && g < 80)) /* padding and invalid pixels are 255 */
            continue;
        const double p = out[i] > 0 ? (double)out[i] : 1e-9;
        m->counts[DEPTH_N]++;
        m->counts[DEPTH_CLOSE] += p < 1.25 * g && g < 1.25 * p;
        m->sums[DEPTH_SQUARES] += (g - p) * (g - p);
        m->sums[DEPTH_RELATIVE] += fabs(g - p) / g;
    }
    return SAK_OK;
}

void sak_depth_score(const sak_meter *m, double *values)
{
    const double n = (double)m->counts[DEPTH_N];
    if (n == 0)
        return;
    values[0] = sqrt(m->sums[DEPTH_SQUARES] / n);
    values[1] = m->sums[DEPTH_RELATIVE] / n;
    values[2] = 100 * (double)m->counts[DEPTH_CLOSE] / n;
}

/* ---- normals: counts are a histogram of angles, for the median, and three shares ---- */

enum { BINS = 18001, BINS_PER_DEGREE = 100, NORMALS_SHARES = 3 };

static const double shares[NORMALS_SHARES] = {11.25, 22.5, 30};

int64_t sak_normals_counts(const sak_meter_spec *s)
{
    (void)s;
    return BINS + NORMALS_SHARES;
}

int64_t sak_normals_sums(const sak_meter_spec *s)
{
    (void)s;
    return 1;
}

static void unit(const float *v, double out[3])
{
    const double x = (double)v[0], y = (double)v[1], z = (double)v[2];
    const double n = sqrt(x * x + y * y + z * z), s = n > 0 ? 1 / n : 0;
    out[0] = x * s;
    out[1] = y * s;
    out[2] = z * s;
}

/* Angle in degrees, well-conditioned at 0 and 180; 90 if one vector is zero. */
static double angle_between(const float *p, const float *g)
{
    double a[3], b[3], minus = 0, plus = 0;
    unit(p, a);
    unit(g, b);
    for (int k = 0; k < 3; k++) {
        minus += (a[k] - b[k]) * (a[k] - b[k]);
        plus += (a[k] + b[k]) * (a[k] + b[k]);
    }
    return 2 * atan2(sqrt(minus), sqrt(plus)) * (180 / 3.14159265358979323846);
}

sak_status sak_normals_image(sak_meter *m, const float *out, const float *label, int64_t H,
                             int64_t W, sak_error *err)
{
    (void)err;
    for (int64_t i = 0; i < H * W; i++) {
        const float *g = label + 3 * i;
        if (g[0] == SAK_METER_IGNORE || g[1] == SAK_METER_IGNORE || g[2] == SAK_METER_IGNORE)
            continue;
        const double deg = angle_between(out + 3 * i, g);
        if (!(deg >= 0)) { /* a prediction that is not a number is as wrong as can be */
            m->counts[BINS - 1]++;
            m->sums[0] += 180;
            continue;
        }
        m->sums[0] += deg;
        m->counts[(int)(deg * BINS_PER_DEGREE)]++;
        for (int k = 0; k < NORMALS_SHARES; k++)
            m->counts[BINS + k] += deg < shares[k];
    }
    return SAK_OK;
}

/* The angle below which half of the n pixels lie, linear within its bin. */
static double median_angle(const int64_t *bins, int64_t n)
{
    double below = 0;
    const double half = (double)n / 2;
    for (int b = 0; b < BINS; b++) {
        if (bins[b] && below + (double)bins[b] >= half)
            return (b + (half - below) / (double)bins[b]) / BINS_PER_DEGREE;
        below += (double)bins[b];
    }
    return 180;
}

void sak_normals_score(const sak_meter *m, double *values)
{
    int64_t n = 0;
    for (int b = 0; b < BINS; b++)
        n += m->counts[b];
    if (n == 0)
        return;
    values[0] = m->sums[0] / (double)n;
    values[1] = median_angle(m->counts, n);
    for (int k = 0; k < NORMALS_SHARES; k++)
        values[2 + k] = 100 * (double)m->counts[BINS + k] / (double)n;
}

/* ---- saliency: counts are images, then per threshold true, predicted and labelled positives;
 * sums are per threshold the IoUs of the images ---- */

enum { SAL_T = 19 };

int64_t sak_sal_counts(const sak_meter_spec *s)
{
    (void)s;
    return 1 + 3 * SAL_T;
}

int64_t sak_sal_sums(const sak_meter_spec *s)
{
    (void)s;
    return SAL_T;
}

sak_status sak_sal_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                         sak_error *err)
{
    (void)err;
    int64_t *tp = m->counts + 1, *pred = tp + SAL_T, *pos = pred + SAL_T;
    for (int64_t i = 0; i < H * W; i++) {
        if (label[i] == SAK_METER_IGNORE)
            continue;
        /* two-class softmax, in float: the thresholds are float too in the published meter */
        const float p = 1.0f / (1.0f + expf(out[2 * i] - out[2 * i + 1]));
        const bool g = label[i] != 0;
        for (int k = 0; k < SAL_T; k++) {
            const bool f = p >= (float)(0.05 * (k + 1));
            tp[k] += f && g;
            pred[k] += f;
            pos[k] += g;
        }
    }
    m->counts[0]++;
    for (int k = 0; k < SAL_T; k++) { /* nothing there and nothing found: perfect */
        const int64_t any = pred[k] + pos[k] - tp[k];
        m->sums[k] += any ? (double)tp[k] / (double)any : 1;
    }
    return SAK_OK;
}

void sak_sal_score(const sak_meter *m, double *values)
{
    const int64_t *tp = m->counts + 1, *pred = tp + SAL_T, *pos = pred + SAL_T;
    if (!m->counts[0])
        return;
    values[0] = values[1] = 0;
    for (int k = 0; k < SAL_T; k++) {
        const double precision = (double)tp[k] / ((double)pred[k] + 1e-8);
        const double recall = (double)tp[k] / ((double)pos[k] + 1e-8);
        const double f = 1.3 * precision * recall / (0.3 * precision + recall + 1e-8);
        values[0] = fmax(values[0], 100 * f);
        values[1] = fmax(values[1], 100 * m->sums[k] / (double)m->counts[0]);
    }
}
