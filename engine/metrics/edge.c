/* Edge meter: the training monitor, and the boundary benchmark (odsF, OIS, AP) in two protocols. */
#include <math.h>

#include "base/alloc.h"
#include "metrics/internal.h"

enum { THRESHOLDS = 99 }; /* 0.01 … 0.99 */

/* counts */
enum {
    MONITOR_N = 0,
    TRUTHS,                           /* ground-truth pixels */
    MATCHED,                          /* per threshold */
    FOUND = MATCHED + THRESHOLDS,     /* per threshold: predicted pixels */
    OIS_MATCHED = FOUND + THRESHOLDS, /* at each image's own best threshold */
    OIS_FOUND,
    IMAGES,
    EDGE_COUNTS,
};

int64_t sak_edge_counts(const sak_meter_spec *s)
{
    (void)s;
    return EDGE_COUNTS;
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

/* One image's working memory. */
typedef struct bench {
    int H, W;
    float *prob, *thin_prob;
    uint8_t *map;
    int *list;
    sak_edge_matcher matcher;
} bench;

static void bench_close(bench *b)
{
    sak_free(b->prob);
    sak_free(b->thin_prob);
    sak_free(b->map);
    sak_free(b->list);
    sak_edge_matcher_close(&b->matcher);
}

static sak_status bench_open(bench *b, const box *v, sak_error *err)
{
    const size_t n = (size_t)v->H * (size_t)v->W;
    *b = (bench){.H = v->H, .W = v->W};
    SAK_TRY(sak_alloc((void **)&b->prob, n, sizeof *b->prob, err));
    SAK_TRY(sak_alloc((void **)&b->thin_prob, n, sizeof *b->thin_prob, err));
    SAK_TRY(sak_alloc((void **)&b->map, n, sizeof *b->map, err));
    return sak_alloc((void **)&b->list, n, sizeof *b->list, err);
}

/* Suppressed probabilities of the valid box.  The prediction passes through an 8-bit image, which
 * truncates; seism writes the suppressed map to one again, which rounds. */
static sak_status suppress(bench *b, const sak_meter *m, const float *out, const float *label,
                           const box *v, int W, sak_error *err)
{
    for (int y = 0; y < v->H; y++)
        for (int x = 0; x < v->W; x++) {
            const int from = (v->y0 + y) * W + v->x0 + x;
            const bool valid = label[from] != SAK_METER_IGNORE;
            b->prob[y * v->W + x] = valid ? floorf(probability(out[from]) * 255) / 255 : 0;
        }
    const bool seism = m->spec.protocol == SAK_EDGE_SEISM;
    SAK_TRY(sak_edge_nms(b->prob, v->H, v->W, seism ? 4 : 0, seism ? 4 : 1, 5, 1.01f, b->thin_prob,
                         err));
    for (int i = 0; seism && i < v->H * v->W; i++)
        b->thin_prob[i] = floorf(b->thin_prob[i] * 255 + 0.5f) / 255;
    return SAK_OK;
}

/* Is p above threshold k (0-based)?  100 * 255 * p and 255 * (k + 1) are whole numbers but for the
 * rounding of p to float. */
static bool above(float p, int k, bool seism)
{
    const double v = (double)p * 255 * 100, t = 255.0 * (k + 1), slack = 0.05;
    return seism ? v >= t - slack : v > t + slack;
}

static double f_measure(double matched, double found, double truths)
{
    /* 2PR / (P + R) with P = matched / found and R = matched / truths */
    return matched > 0 ? 2 * matched / (found + truths) : 0;
}

static sak_status benchmark(sak_meter *m, bench *b, const float *out, const float *label,
                            const box *v, int W, sak_error *err)
{
    SAK_TRY(suppress(b, m, out, label, v, W, err));
    for (int y = 0; y < v->H; y++)
        for (int x = 0; x < v->W; x++)
            b->map[y * v->W + x] = label[(v->y0 + y) * W + v->x0 + x] == 1;
    const int truths = sak_edge_thin(b->map, v->H, v->W, b->list);
    const double radius = m->spec.max_dist * sqrt((double)v->H * v->H + (double)v->W * v->W);
    SAK_TRY(sak_edge_matcher_open(&b->matcher, v->H, v->W, radius, b->list, truths, err));
    m->counts[TRUTHS] += truths;
    int best = 0, before = -1, found = 0, matched = 0;
    double best_f = -1;
    for (int k = 0; k < THRESHOLDS; k++) {
        int on = 0;
        for (int i = 0; i < v->H * v->W; i++)
            on += b->map[i] = above(b->thin_prob[i], k, m->spec.protocol == SAK_EDGE_SEISM);
        if (on != before) { /* as many pixels as one threshold lower: the same pixels */
            found = sak_edge_thin(b->map, v->H, v->W, b->list);
            matched = sak_edge_match(&b->matcher, b->list, found);
        }
        before = on;
        m->counts[MATCHED + k] += matched;
        m->counts[FOUND + k] += found;
        const double f = f_measure(matched, found, truths);
        if (f > best_f) {
            best_f = f;
            best = k;
        }
    }
    m->counts[OIS_MATCHED] += m->counts[MATCHED + best];
    m->counts[OIS_FOUND] += m->counts[FOUND + best];
    return SAK_OK;
}

sak_status sak_edge_image(sak_meter *m, const float *out, const float *label, int64_t H, int64_t W,
                          sak_error *err)
{
    monitor(m, out, label, H * W);
    if (!m->spec.edge_match)
        return SAK_OK;
    const box v = valid_box(label, (int)H, (int)W);
    if (!v.H)
        return SAK_OK;
    m->counts[IMAGES]++;
    bench b;
    sak_status st = bench_open(&b, &v, err);
    if (st == SAK_OK)
        st = benchmark(m, &b, out, label, &v, (int)W, err);
    bench_close(&b);
    return st;
}

/* Precision, linear between the measured recalls, summed over recalls 0, 0.01, … 1 and divided by
 * 100.  The benchmark's own rules: nothing outside the measured range, and a threshold above every
 * prediction is the point (recall 0, precision 0). */
static double average_precision(const sak_meter *m)
{
    double recall[THRESHOLDS], precision[THRESHOLDS];
    int n = 0;
    for (int k = THRESHOLDS - 1; k >= 0; k--) { /* recall grows as the threshold falls */
        const double found = (double)m->counts[FOUND + k], hit = (double)m->counts[MATCHED + k];
        const double r = hit / (double)m->counts[TRUTHS], p = found > 0 ? hit / found : 0;
        int at = n++;
        while (at > 0 && recall[at - 1] > r) { /* almost sorted: thinning makes exceptions */
            recall[at] = recall[at - 1];
            precision[at] = precision[at - 1];
            at--;
        }
        recall[at] = r;
        precision[at] = p;
    }
    int kept = 0; /* of equal recalls the best precision stays */
    for (int i = 0; i < n; i++) {
        if (kept && recall[kept - 1] == recall[i]) {
            precision[kept - 1] = fmax(precision[kept - 1], precision[i]);
            continue;
        }
        recall[kept] = recall[i];
        precision[kept++] = precision[i];
    }
    double sum = 0;
    for (int j = 0, i = 0; j <= 100 && kept > 1; j++) {
        const double r = j / 100.0;
        if (r < recall[0] || r > recall[kept - 1])
            continue;
        while (i + 2 < kept && recall[i + 1] < r)
            i++;
        const double t = (r - recall[i]) / (recall[i + 1] - recall[i]);
        sum += precision[i] + t * (precision[i + 1] - precision[i]);
    }
    return sum / 100;
}

void sak_edge_score(const sak_meter *m, double *values)
{
    if (m->counts[MONITOR_N])
        values[4] = m->sums[0] / (double)m->counts[MONITOR_N];
    if (!m->counts[IMAGES] || !m->counts[TRUTHS])
        return;
    const double truths = (double)m->counts[TRUTHS];
    double best = -1;
    for (int k = 0; k < THRESHOLDS; k++) {
        const double f =
            f_measure((double)m->counts[MATCHED + k], (double)m->counts[FOUND + k], truths);
        if (f > best) {
            best = f;
            values[3] = (k + 1) / 100.0;
        }
    }
    values[0] = 100 * best;
    values[1] =
        100 * f_measure((double)m->counts[OIS_MATCHED], (double)m->counts[OIS_FOUND], truths);
    values[2] = 100 * average_precision(m);
}
