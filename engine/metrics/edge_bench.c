/* The boundary benchmark of one image, and the scores of summed counts. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/thin.h"
#include "metrics/edge.h"
#include "metrics/internal.h"

const char *const sak_edge_protocol_names[] = {"plain", "seism", "bsds", NULL};

/* One image's working memory. */
typedef struct bench {
    int H, W, annotators, truths; /* truths: over all annotators */
    float *prob;                  /* after suppression */
    uint8_t *map, *hit;
    int *list;
    sak_edge_matcher *matcher; /* one per annotator */
} bench;

static void bench_close(bench *b)
{
    sak_free(b->prob);
    sak_free(b->map);
    sak_free(b->hit);
    sak_free(b->list);
    for (int i = 0; b->matcher && i < b->annotators; i++)
        sak_edge_matcher_close(&b->matcher[i]);
    sak_free(b->matcher);
}

static sak_status bench_open(bench *b, int H, int W, int annotators, sak_error *err)
{
    const size_t n = (size_t)H * (size_t)W;
    *b = (bench){.H = H, .W = W, .annotators = annotators};
    SAK_TRY(sak_alloc((void **)&b->prob, n, sizeof *b->prob, err));
    SAK_TRY(sak_alloc((void **)&b->map, n, sizeof *b->map, err));
    SAK_TRY(sak_alloc((void **)&b->hit, n, sizeof *b->hit, err));
    SAK_TRY(sak_alloc((void **)&b->list, n, sizeof *b->list, err));
    return sak_alloc((void **)&b->matcher, (size_t)annotators, sizeof *b->matcher, err);
}

/* seism writes the suppressed map to an 8-bit image again, which rounds. */
static sak_status suppress(bench *b, const sak_edge_spec *s, const float *prob, sak_error *err)
{
    const int n = b->H * b->W;
    if (s->protocol == SAK_EDGE_BSDS) {
        memcpy(b->prob, prob, (size_t)n * sizeof *prob);
        return SAK_OK;
    }
    const bool seism = s->protocol == SAK_EDGE_SEISM;
    SAK_TRY(sak_edge_nms(prob, b->H, b->W, seism ? 4 : 0, seism ? 4 : 1, 5, 1.01f, b->prob, err));
    for (int i = 0; seism && i < n; i++)
        b->prob[i] = floorf(b->prob[i] * 255 + 0.5f) / 255;
    return SAK_OK;
}

static sak_status open_matchers(bench *b, const sak_edge_spec *s, const uint8_t *const *truth,
                                sak_error *err)
{
    const double radius = s->max_dist * sqrt((double)b->H * b->H + (double)b->W * b->W);
    for (int a = 0; a < b->annotators; a++) {
        int n = 0;
        for (int i = 0; i < b->H * b->W; i++) {
            b->map[i] = truth[a][i] != 0;
            if (b->map[i])
                b->list[n++] = i;
        }
        if (s->protocol != SAK_EDGE_BSDS)
            n = sak_thin(b->map, b->H, b->W, b->list);
        SAK_TRY(sak_edge_matcher_open(&b->matcher[a], b->H, b->W, radius, b->list, n, err));
        b->truths += n;
    }
    return SAK_OK;
}

/* Is p above threshold (k + 1) / (n + 1)?  255 (n + 1) p and 255 (k + 1) are whole numbers but for
 * the rounding of p to float. */
static bool above(float p, int k, int n, bool or_equal)
{
    const double v = (double)p * 255 * (n + 1), t = 255.0 * (k + 1), slack = 0.05;
    return or_equal ? v >= t - slack : v > t + slack;
}

/* Predicted pixels of the list are matched to every annotator in turn. */
static void match(bench *b, int found, int64_t *recalled, int64_t *hit)
{
    *recalled = *hit = 0;
    memset(b->hit, 0, (size_t)found);
    for (int a = 0; a < b->annotators; a++) {
        *recalled += sak_edge_match(&b->matcher[a], b->list, found);
        for (int i = 0; i < found; i++)
            b->hit[i] |= b->matcher[a].mate[i] >= 0;
    }
    for (int i = 0; i < found; i++)
        *hit += b->hit[i];
}

static double f_measure(double precision, double recall)
{
    return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

static double ratio(int64_t part, int64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static void count_thresholds(bench *b, const sak_edge_spec *s, int64_t *counts)
{
    int before = -1;
    int64_t found = 0, recalled = 0, hit = 0, best[3] = {0};
    double best_f = -1;
    for (int k = 0; k < s->thresholds; k++) {
        int on = 0;
        for (int i = 0; i < b->H * b->W; i++)
            on += b->map[i] = above(b->prob[i], k, s->thresholds, s->protocol != SAK_EDGE_PLAIN);
        if (on != before) { /* as many pixels as one threshold lower: the same pixels */
            found = sak_thin(b->map, b->H, b->W, b->list);
            match(b, (int)found, &recalled, &hit);
        }
        before = on;
        int64_t *at = counts + SAK_EDGE_CURVE + 3 * k;
        at[0] += recalled;
        at[1] += hit;
        at[2] += found;
        const double f = f_measure(ratio(hit, found), ratio(recalled, b->truths));
        if (f > best_f) {
            best_f = f;
            best[0] = recalled;
            best[1] = hit;
            best[2] = found;
        }
    }
    counts[SAK_EDGE_IMAGES]++;
    counts[SAK_EDGE_TRUTHS] += b->truths;
    for (int i = 0; i < 3; i++)
        counts[SAK_EDGE_OIS_RECALLED + i] += best[i];
}

sak_status sak_edge_count(const sak_edge_spec *s, const float *prob, int H, int W,
                          const uint8_t *const *truth, int annotators, int64_t *counts,
                          sak_error *err)
{
    bench b;
    sak_status st = bench_open(&b, H, W, annotators, err);
    if (st == SAK_OK)
        st = suppress(&b, s, prob, err);
    if (st == SAK_OK)
        st = open_matchers(&b, s, truth, err);
    if (st == SAK_OK)
        count_thresholds(&b, s, counts);
    bench_close(&b);
    return st;
}

typedef struct point {
    double threshold, recall, precision;
} point;

static point point_at(const sak_edge_spec *s, const int64_t *counts, int k)
{
    const int64_t *at = counts + SAK_EDGE_CURVE + 3 * k;
    return (point){(k + 1.0) / (s->thresholds + 1), ratio(at[0], counts[SAK_EDGE_TRUTHS]),
                   ratio(at[1], at[2])};
}

static void keep_best(sak_edge_scores *out, const point *p)
{
    const double f = f_measure(p->precision, p->recall);
    if (f > out->ods)
        *out = (sak_edge_scores){.ods = f, .ods_precision = p->precision, .ods_recall = p->recall,
                                 .ods_threshold = p->threshold};
}

/* The benchmark's area: nothing outside the measured recalls, and a threshold above every prediction
 * is the point (recall 0, precision 0). */
static double average_precision(const sak_edge_spec *s, const int64_t *counts)
{
    point kept[SAK_EDGE_MAX_THRESHOLDS];
    int n = 0;
    for (int k = s->thresholds - 1; k >= 0; k--) { /* recall grows as the threshold falls */
        const point p = point_at(s, counts, k);
        int at = n;
        while (at > 0 && kept[at - 1].recall > p.recall) /* almost sorted: thinning makes exceptions */
            at--;
        if (at > 0 && kept[at - 1].recall == p.recall) { /* of equal recalls the best precision stays */
            kept[at - 1].precision = fmax(kept[at - 1].precision, p.precision);
            continue;
        }
        memmove(kept + at + 1, kept + at, (size_t)(n - at) * sizeof *kept);
        kept[at] = p;
        n++;
    }
    double sum = 0;
    for (int j = 0, i = 0; j <= 100 && n > 1; j++) {
        const double r = j / 100.0;
        if (r < kept[0].recall || r > kept[n - 1].recall)
            continue;
        while (i + 2 < n && kept[i + 1].recall < r)
            i++;
        const double t = (r - kept[i].recall) / (kept[i + 1].recall - kept[i].recall);
        sum += kept[i].precision + t * (kept[i + 1].precision - kept[i].precision);
    }
    return sum / 100;
}

void sak_edge_score_counts(const sak_edge_spec *s, const int64_t *counts, sak_edge_scores *out)
{
    enum { STEPS = 99 }; /* between two thresholds, as the benchmark has it */
    if (!counts[SAK_EDGE_IMAGES] || !counts[SAK_EDGE_TRUTHS]) {
        *out = (sak_edge_scores){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
        return;
    }
    *out = (sak_edge_scores){.ods = -1};
    point before = {0};
    for (int k = 0; k < s->thresholds; k++) {
        const point p = point_at(s, counts, k);
        for (int d = 1; k > 0 && s->protocol == SAK_EDGE_BSDS && d < STEPS; d++) {
            const double t = (double)d / STEPS;
            keep_best(out, &(point){before.threshold + t * (p.threshold - before.threshold),
                                    before.recall + t * (p.recall - before.recall),
                                    before.precision + t * (p.precision - before.precision)});
        }
        keep_best(out, &p);
        before = p;
    }
    out->ois_recall = ratio(counts[SAK_EDGE_OIS_RECALLED], counts[SAK_EDGE_TRUTHS]);
    out->ois_precision = ratio(counts[SAK_EDGE_OIS_HIT], counts[SAK_EDGE_OIS_FOUND]);
    out->ois = f_measure(out->ois_precision, out->ois_recall);
    out->ap = average_precision(s, counts);
}
