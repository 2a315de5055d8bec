/* Edge meter: the training monitor, and the boundary benchmark (odsF, OIS, AP). */
#include <math.h>

#include "base/alloc.h"
#include "metrics/edge.h"
#include "metrics/internal.h"

enum { MONITOR_N = 0, BENCH }; /* counts: pixels of the monitor, then the benchmark's */

int64_t sak_edge_counts(const sak_meter_spec *s)
{
    (void)s;
    return BENCH + sak_edge_counts_size(SAK_EDGE_THRESHOLDS);
}

int64_t sak_edge_sums(const sak_meter_spec *s)
{
    (void)s;
    return 1;
}

static float probability(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

uint8_t sak_edge_grey(float logit)
{
    const float p = probability(logit);
    return p > 0 ? (uint8_t)(p * 255) : 0; /* the cast is the floor */
}

/* The published monitor: the probability is fed to the loss in the place of the logit. */
static void monitor(sak_meter *m, const float *out, const float *label, int64_t n)
{
    const double w = m->spec.edge_weight;
    for (int64_t i = 0; i < n; i++) {
        if (label[i] == SAK_METER_IGNORE)
            continue;
        const double p = (double)probability(out[i]), y = (double)label[i];
        const double plus = log1p(exp(p)), minus = plus - p; /* softplus of p and of -p */
        m->sums[0] += w * y * minus + (1 - w) * (1 - y) * plus;
        m->counts[MONITOR_N]++;
    }
}

/* What of the label is not padding: the box around its valid pixels. */
typedef struct box {
    int y0, x0, H, W;
} box;

static box valid_box(const float *label, int H, int W)
{
    int y0 = H, y1 = 0, x0 = W, x1 = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            if (label[y * W + x] != SAK_METER_IGNORE) {
                y0 = y < y0 ? y : y0;
                y1 = y + 1 > y1 ? y + 1 : y1;
                x0 = x < x0 ? x : x0;
                x1 = x + 1 > x1 ? x + 1 : x1;
            }
    return y1 > y0 ? (box){y0, x0, y1 - y0, x1 - x0} : (box){0};
}

static sak_edge_spec bench_spec(const sak_meter *m)
{
    return (sak_edge_spec){m->spec.protocol, m->spec.max_dist, SAK_EDGE_THRESHOLDS};
}

/* Padding is cropped; the prediction passes through an 8-bit image. */
static sak_status benchmark(sak_meter *m, const float *out, const float *label, const box *v, int W,
                            sak_error *err)
{
    const size_t n = (size_t)v->H * (size_t)v->W;
    const sak_edge_spec spec = bench_spec(m);
    float *prob = NULL;
    uint8_t *truth = NULL;
    sak_status st = sak_alloc((void **)&prob, n, sizeof *prob, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&truth, n, sizeof *truth, err);
    for (int y = 0; st == SAK_OK && y < v->H; y++)
        for (int x = 0; x < v->W; x++) {
            const int from = (v->y0 + y) * W + v->x0 + x, to = y * v->W + x;
            const bool valid = label[from] != SAK_METER_IGNORE;
            prob[to] = valid ? (float)sak_edge_grey(out[from]) / 255 : 0;
            truth[to] = label[from] == 1;
        }
    if (st == SAK_OK)
        st = sak_edge_count(&spec, prob, v->H, v->W, &(const uint8_t *){truth}, 1,
                            m->counts + BENCH, err);
    sak_free(prob);
    sak_free(truth);
    return st;
}

sak_status sak_edge_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                          sak_error *err)
{
    monitor(m, out, label, H * W);
    if (!m->spec.edge_match)
        return SAK_OK;
    const box v = valid_box(label, (int)H, (int)W);
    return v.H ? benchmark(m, out, label, &v, (int)W, err) : SAK_OK;
}

void sak_edge_score(const sak_meter *m, double *values)
{
    if (m->counts[MONITOR_N])
        values[4] = m->sums[0] / (double)m->counts[MONITOR_N];
    const sak_edge_spec spec = bench_spec(m);
    sak_edge_scores s;
    sak_edge_score_counts(&spec, m->counts + BENCH, &s);
    values[0] = 100 * s.ods;
    values[1] = 100 * s.ois;
    values[2] = 100 * s.ap;
    values[3] = s.ods_threshold;
}
