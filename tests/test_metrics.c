/* Meters against the published ones, closed forms and brute force.  tests/fixtures/metrics holds
 * the inputs of reference/make_fixtures.py; the expected scores are those of the official meters.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernels/thin.h"
#include "metrics/internal.h"
#include "metrics/meter.h"
#include "weights/weights.h"
#include "must.h"

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %.9g instead of %.9g", what, got, want);
}

static void *take(size_t n, size_t size)
{
    void *p;
    sak_error err;
    must(sak_alloc(&p, n, size, &err), &err);
    return p;
}

/* (B, C, H, W) of the file to (B, H, W, C); class maps (B, H, W) to one-hot logits. */
static float *channels_last(const sak_weights *st, const char *name, int classes)
{
    const sak_st_tensor *t = sak_weights_find(st, name);
    if (!t)
        fail_msg("no %s in the fixture", name);
    const bool map = t->shape.n == 3;
    const int64_t B = t->shape.d[0], C = map ? classes : t->shape.d[1];
    const int64_t n = t->shape.d[t->shape.n - 2] * t->shape.d[t->shape.n - 1];
    float *x = take((size_t)t->count, sizeof *x), *y = take((size_t)(B * C * n), sizeof *y);
    sak_st_copy_f32(t, x);
    for (int64_t b = 0; b < B; b++)
        for (int64_t c = 0; c < C; c++)
            for (int64_t i = 0; i < n; i++)
                y[(b * n + i) * C + c] =
                    map ? (float)(x[b * n + i] == (float)c) : x[(b * C + c) * n + i];
    sak_free(x);
    return y;
}

static void meters_agree_with_the_official_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *task;
        int classes, value;
        double weight, want;
    } cases[] = {
        {"semseg_pascalcontext", "semseg", 21, 0, 0, 35.541969043444794},
        {"semseg_nyud", "semseg", 40, 0, 0, 23.302361738148562},
        {"human_parts", "human_parts", 7, 0, 0, 55.42326563216021},
        {"normals", "normals", 0, 0, 0, 21.695440118963067},
        {"sal", "sal", 0, 0, 0, 93.23485493659973},
        {"sal", "sal", 0, 1, 0, 84.18433032364588},
        {"depth", "depth", 0, 0, 0, 1.4086293065752729},
        {"edge_pascalcontext", "edge", 0, 4, 0.95, 0.06887332669326238},
        {"edge_nyud", "edge", 0, 4, 0.8, 0.17773676654399437},
    };
    sak_error err;
    sak_weights st;
    must(sak_weights_open(&st, "tests/fixtures/metrics/cases.safetensors", NULL, &err), &err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sak_meter m, whole;
        const sak_meter_spec spec = {.classes = cases[i].classes, .edge_weight = cases[i].weight};
        must(sak_meter_open(&m, cases[i].task, &spec, &err), &err);
        must(sak_meter_open(&whole, cases[i].task, &spec, &err), &err);
        for (int u = 0; u < 2; u++) {
            char name[64];
            snprintf(name, sizeof name, "%s/%s%d", cases[i].name,
                     strcmp(cases[i].task, "semseg") == 0 ? "pred" : "logits", u);
            float *x = channels_last(&st, name, cases[i].classes);
            snprintf(name, sizeof name, "%s/gt%d", cases[i].name, u);
            float *t = channels_last(&st, name, 1);
            must(sak_meter_update(&m, x, t, 2, 32, 40, &err), &err);
            sak_meter_merge(&whole, &m);
            sak_meter_reset(&m);
            sak_free(x);
            sak_free(t);
        }
        double v[SAK_METER_VALUES];
        sak_meter_score(&whole, v);
        near(cases[i].name, v[cases[i].value], cases[i].want, 1e-5);
        sak_meter_close(&m);
        sak_meter_close(&whole);
    }
    sak_weights_close(&st);
}

static void an_empty_meter_scores_nothing(void **state)
{
    (void)state;
    const sak_meter_row *row;
    sak_error err;
    for (int i = 0; (row = sak_meter_at(i)); i++) {
        sak_meter m;
        must(sak_meter_open(&m, row->task, &(sak_meter_spec){.classes = 3, .edge_match = true},
                            &err),
             &err);
        float out[3 * 12], label[3 * 12];
        for (int k = 0; k < 36; k++) {
            out[k] = 0.5f;
            label[k] = 255;
        }
        const bool sal = strcmp(row->task, "sal") == 0; /* an image without any label is perfect */
        if (!sal)
            must(sak_meter_update(&m, out, label, 1, 3, 4, &err), &err);
        double v[SAK_METER_VALUES];
        sak_meter_score(&m, v);
        for (int k = 0; k < sak_meter_values(row); k++)
            if (!isnan(v[k]))
                fail_msg("%s/%s of nothing is %g", row->task, row->values[k].name, v[k]);
        sak_meter_close(&m);
    }
    sak_meter m;
    assert_int_equal(sak_meter_open(&m, "colour", NULL, &err), SAK_ENOENT);
    assert_int_equal(sak_meter_open(&m, "semseg", NULL, &err), SAK_EINVAL);
}

static void normals_have_exact_angles(void **state)
{
    (void)state;
    const float g[5 * 3] = {0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 255, 255, 255};
    const float p[5 * 3] = {0, 0, 9, 0, 3, 3, 0, 0, -1, 0, 0, 0, 1, 2, 3};
    sak_meter m;
    sak_error err;
    double v[SAK_METER_VALUES];
    must(sak_meter_open(&m, "normals", NULL, &err), &err);
    must(sak_meter_update(&m, p, g, 1, 1, 5, &err), &err);
    sak_meter_score(&m, v);
    near("mErr", v[0], (0 + 45 + 180 + 90) / 4.0, 1e-5);
    near("median", v[1], 45, 0.011);
    near("within 11.25", v[2], 25, 0);
    near("within 22.5", v[3], 25, 0);
    sak_meter_close(&m);
}

static void depth_has_closed_forms(void **state)
{
    (void)state;
    const float g[6] = {1, 2, 4, 0, 90, 255}, p[6] = {2, 2, -3, 7, 7, 7};
    sak_meter m;
    sak_error err;
    double v[SAK_METER_VALUES];
    must(sak_meter_open(&m, "depth", NULL, &err), &err);
    must(sak_meter_update(&m, p, g, 1, 2, 3, &err), &err);
    sak_meter_score(&m, v);
    near("RMSE", v[0], sqrt((1 + 0 + 16) / 3.0), 1e-8);
    near("absRel", v[1], (1 + 0 + 1) / 3.0, 1e-8);
    near("delta1", v[2], 100 / 3.0, 1e-8);
    sak_meter_close(&m);
}

/* Images scored one by one, all at once, and with another number of threads: the same bits. */
static void scores_do_not_depend_on_threads_or_batching(void **state)
{
    (void)state;
    enum { B = 5, H = 24, W = 31, N = B * H * W };
    static float out[N * 4], label[N * 3];
    static const char *const tasks[] = {"semseg", "depth", "normals", "sal", "edge"};
    sak_error err;
    for (size_t t = 0; t < sizeof tasks / sizeof *tasks; t++) {
        sak_rng rng = sak_rng_open(7, SAK_RNG_TEST, t, 0);
        for (int i = 0; i < N * 4; i++)
            out[i] = (float)sak_rng_normal(&rng);
        const bool continuous = strcmp(tasks[t], "depth") == 0 || strcmp(tasks[t], "normals") == 0;
        for (int i = 0; i < N * 3; i++)
            label[i] =
                continuous ? (float)sak_rng_range(&rng, 0.1, 9) : (float)sak_rng_int(&rng, 2);
        double ref[SAK_METER_VALUES], v[SAK_METER_VALUES];
        for (int mode = 0; mode < 3; mode++) {
            must(sak_pool_open(mode == 2 ? 3 : 1, &err), &err);
            sak_meter m;
            must(sak_meter_open(
                     &m, tasks[t],
                     &(sak_meter_spec){.classes = 4, .edge_match = true, .max_dist = 0.05}, &err),
                 &err);
            const int step = mode == 0 ? 1 : B, C = sak_meter_channels(&m);
            for (int b = 0; b < B; b += step)
                must(sak_meter_update(&m, out + b * H * W * C,
                                      label + b * H * W * m.row->label_channels, step, H, W, &err),
                     &err);
            sak_meter_score(&m, mode == 0 ? ref : v);
            sak_meter_close(&m);
            sak_pool_close();
            if (mode && memcmp(ref, v, sizeof v) != 0)
                fail_msg("%s: %.17g in mode %d, %.17g image by image", tasks[t], v[0], mode,
                         ref[0]);
        }
    }
}

static void delta_m_follows_its_definition(void **state)
{
    (void)state;
    const double m[2] = {55, 0.45}, s[2] = {50, 0.5};
    near("delta m", sak_delta_m(2, m, s, (bool[]){true, false}), 10, 1e-12);
}

static void trivial_predictors_are_the_best_constants(void **state)
{
    (void)state;
    sak_trivial t;
    sak_error err;
    float out[4];
    must(sak_trivial_open(&t, "semseg", 4, &err), &err);
    sak_trivial_fit(&t, (float[]){1, 2, 2, 255, 255, 255, 3}, 7);
    sak_trivial_output(&t, out);
    assert_true(out[2] > out[0] && out[2] > out[1] && out[2] > out[3]);
    sak_trivial_close(&t);
    must(sak_trivial_open(&t, "depth", 0, &err), &err);
    sak_trivial_fit(&t, (float[]){1, 2, 6, 255, 0}, 5);
    sak_trivial_output(&t, out);
    near("mean depth", (double)out[0], 3, 1e-6);
    sak_trivial_close(&t);
    must(sak_trivial_open(&t, "normals", 0, &err), &err);
    sak_trivial_fit(&t, (float[]){1, 0, 0, 0, 1, 0, 255, 255, 255}, 3);
    sak_trivial_output(&t, out);
    near("mean normal", (double)out[0], sqrt(0.5), 1e-6);
    near("mean normal", (double)out[2], 0, 1e-6);
    sak_trivial_close(&t);
    must(sak_trivial_open(&t, "edge", 0, &err), &err);
    sak_trivial_fit(&t, (float[]){0, 0, 0, 0, 0, 1, 1, 255}, 8);
    sak_trivial_output(&t, out);
    near("base rate", (double)out[0], log(3.0 / 6.0), 1e-6);
    sak_trivial_close(&t);
}

/* ---- edges ---- */

/* Maximum matching by Kuhn's recursion over an explicit list of pairs. */
typedef struct kuhn {
    const int *a, *b;
    int n, m, W;
    double radius;
    int mate[512];
    bool seen[512];
} kuhn;

static bool kuhn_try(kuhn *k, int i)
{
    for (int j = 0; j < k->m; j++) {
        const int dy = k->a[i] / k->W - k->b[j] / k->W, dx = k->a[i] % k->W - k->b[j] % k->W;
        if (k->seen[j] || dy * dy + dx * dx > k->radius * k->radius)
            continue;
        k->seen[j] = true;
        if (k->mate[j] < 0 || kuhn_try(k, k->mate[j])) {
            k->mate[j] = i;
            return true;
        }
    }
    return false;
}

static void matching_is_of_maximum_size(void **state)
{
    (void)state;
    enum { H = 17, W = 23 };
    for (uint32_t trial = 0; trial < 300; trial++) {
        sak_rng rng = sak_rng_open(3, SAK_RNG_TEST, trial, 0);
        const double pa = sak_rng_range(&rng, 0.02, 0.5), pb = sak_rng_range(&rng, 0.02, 0.5);
        int a[H * W], b[H * W], n = 0, m = 0;
        for (int i = 0; i < H * W; i++) {
            if (sak_rng_uniform(&rng) < pa)
                a[n++] = i;
            if (sak_rng_uniform(&rng) < pb)
                b[m++] = i;
        }
        kuhn k = {.a = a, .b = b, .n = n, .m = m, .W = W, .radius = sak_rng_range(&rng, 0.5, 4)};
        int want = 0, got;
        memset(k.mate, -1, sizeof k.mate);
        for (int i = 0; i < n; i++) {
            memset(k.seen, 0, sizeof k.seen);
            want += kuhn_try(&k, i);
        }
        sak_edge_matcher match;
        sak_error err;
        must(sak_edge_matcher_open(&match, H, W, k.radius, b, m, &err), &err);
        for (int again = 0; again < 2; again++) {
            got = sak_edge_match(&match, a, n);
            if (got != want)
                fail_msg("trial %u: %d pairs, %d are possible", trial, got, want);
        }
        sak_edge_matcher_close(&match);
    }
}

/* bwmorph's 'thin' as its manual states it, on the whole image at a time. */
static bool on(const uint8_t *p, int H, int W, int y, int x)
{
    return y >= 0 && y < H && x >= 0 && x < W && p[y * W + x];
}

static void thin_by_the_manual(uint8_t *p, int H, int W)
{
    static const int dy[9] = {0, 0, -1, -1, -1, 0, 1, 1, 1}, dx[9] = {0, 1, 1, 0, -1, -1, -1, 0, 1};
    uint8_t *old = take((size_t)(H * W), 1);
    for (bool changed = true; changed;) {
        changed = false;
        for (int sub = 0; sub < 2; sub++) {
            memcpy(old, p, (size_t)(H * W));
            for (int i = 0; i < H * W; i++) {
                bool x[10];
                for (int k = 1; k <= 9; k++) {
                    const int j = (k - 1) % 8 + 1;
                    x[k] = on(old, H, W, i / W + dy[j], i % W + dx[j]);
                }
                const int b = (!x[1] && (x[2] || x[3])) + (!x[3] && (x[4] || x[5])) +
                              (!x[5] && (x[6] || x[7])) + (!x[7] && (x[8] || x[9]));
                const int n1 = (x[1] || x[2]) + (x[3] || x[4]) + (x[5] || x[6]) + (x[7] || x[8]);
                const int n2 = (x[2] || x[3]) + (x[4] || x[5]) + (x[6] || x[7]) + (x[8] || x[9]);
                const int least = n1 < n2 ? n1 : n2;
                const bool g3 = sub ? ((x[6] || x[7] || !x[4]) && x[5]) == 0
                                    : ((x[2] || x[3] || !x[8]) && x[1]) == 0;
                if (old[i] && b == 1 && least >= 2 && least <= 3 && g3) {
                    p[i] = 0;
                    changed = true;
                }
            }
        }
    }
    sak_free(old);
}

static void thinning_follows_the_manual(void **state)
{
    (void)state;
    enum { H = 19, W = 27 };
    for (uint32_t trial = 0; trial < 200; trial++) {
        sak_rng rng = sak_rng_open(4, SAK_RNG_TEST, trial, 0);
        uint8_t a[H * W], b[H * W];
        for (int i = 0; i < H * W; i++)
            a[i] = b[i] = sak_rng_uniform(&rng) < 0.2 + 0.7 * trial / 200;
        int list[H * W], left = 0;
        thin_by_the_manual(b, H, W);
        const int n = sak_thin(a, H, W, list);
        for (int i = 0; i < H * W; i++) {
            if (a[i] != b[i])
                fail_msg("trial %u: pixel (%d, %d) differs", trial, i / W, i % W);
            if (a[i])
                assert_int_equal(list[left++], i);
        }
        assert_int_equal(n, left);
    }
}

static void a_thick_bar_thins_to_its_middle_line(void **state)
{
    (void)state;
    enum { H = 9, W = 30 };
    uint8_t map[H * W] = {0};
    int list[H * W];
    for (int y = 2; y < 7; y++)
        for (int x = 3; x < 27; x++)
            map[y * W + x] = 1;
    const int n = sak_thin(map, H, W, list);
    assert_in_range(n, 18, 24);
    for (int i = 0; i < n; i++)
        assert_int_equal(list[i] / W, 4);
}

static void score_edges(const float *out, const float *label, int H, int W,
                        sak_edge_protocol protocol, double v[SAK_METER_VALUES])
{
    sak_meter m;
    sak_error err;
    must(sak_meter_open(&m, "edge", &(sak_meter_spec){.edge_match = true, .protocol = protocol},
                        &err),
         &err);
    must(sak_meter_update(&m, out, label, 1, H, W, &err), &err);
    sak_meter_score(&m, v);
    sak_meter_close(&m);
}

enum { EH = 60, EW = 80 };

/* A smooth ridge along the main diagonal (plus `shift` columns), as logits. */
static void draw_ridge(float *out, float shift)
{
    for (int y = 0; y < EH; y++)
        for (int x = 0; x < EW; x++) {
            const float d = ((float)x - (float)y - shift) * 0.70710678f;
            out[y * EW + x] = 4 - d * d;
        }
}

static void draw_diagonal(float *label, int pad)
{
    for (int y = 0; y < EH; y++)
        for (int x = 0; x < EW; x++) {
            const bool padding = y < pad || y >= EH - pad || x < pad || x >= EW - pad;
            label[y * EW + x] = padding ? 255 : x - y == 10;
        }
}

static void a_perfect_edge_map_scores_near_one_hundred(void **state)
{
    (void)state;
    static float out[EH * EW], label[EH * EW];
    draw_ridge(out, 10);
    draw_diagonal(label, 0);
    for (int p = 0; p < 2; p++) {
        double v[SAK_METER_VALUES];
        score_edges(out, label, EH, EW, p ? SAK_EDGE_SEISM : SAK_EDGE_PLAIN, v);
        /* AP: thresholds above every prediction count as precision 0 at recall 0, from where the
         * benchmark interpolates to the first real point */
        if (!(v[0] > 95 && v[1] >= v[0] - 1e-9 && v[1] <= 100 && v[2] > 50 && v[2] <= 101))
            fail_msg("protocol %d: ods %g ois %g ap %g", p, v[0], v[1], v[2]);
    }
}

static void an_edge_beyond_the_radius_does_not_match(void **state)
{
    (void)state;
    static float out[EH * EW], label[EH * EW];
    draw_diagonal(label, 0); /* radius: 0.011 * 100 = 1.1 pixels */
    double v[SAK_METER_VALUES];
    draw_ridge(out, 20);
    score_edges(out, label, EH, EW, SAK_EDGE_PLAIN, v);
    near("odsF of a distant edge", v[0], 0, 1e-9);
    draw_ridge(out, 11); /* one column aside */
    score_edges(out, label, EH, EW, SAK_EDGE_PLAIN, v);
    assert_true(v[0] > 90);
}

/* Padding is cropped before anything else happens: a padded image scores as the bare one. */
static void padding_does_not_change_the_benchmark(void **state)
{
    (void)state;
    enum { PAD = 6, H = EH - 2 * PAD, W = EW - 2 * PAD };
    static float out[EH * EW], label[EH * EW], bare_out[H * W], bare_label[H * W];
    draw_ridge(out, 9.3f);
    draw_diagonal(label, PAD);
    sak_rng rng = sak_rng_open(5, SAK_RNG_TEST, 0, 0);
    for (int i = 0; i < EH * EW; i++)
        out[i] += (float)sak_rng_normal(&rng);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            bare_out[y * W + x] = out[(y + PAD) * EW + x + PAD];
            bare_label[y * W + x] = label[(y + PAD) * EW + x + PAD];
        }
    for (int p = 0; p < 2; p++) {
        double a[SAK_METER_VALUES], b[SAK_METER_VALUES];
        score_edges(out, label, EH, EW, p ? SAK_EDGE_SEISM : SAK_EDGE_PLAIN, a);
        score_edges(bare_out, bare_label, H, W, p ? SAK_EDGE_SEISM : SAK_EDGE_PLAIN, b);
        for (int k = 0; k < 4; k++)
            near("padded", a[k], b[k], 0);
        assert_true(a[0] > 20 && a[0] < 100);
    }
}

static void suppression_keeps_a_ridge_one_pixel_wide(void **state)
{
    (void)state;
    static float e[EH * EW], out[EH * EW];
    sak_error err;
    for (int y = 0; y < EH; y++) /* a slightly tilted ridge, so that its orientation is defined */
        for (int x = 0; x < EW; x++) {
            const float d = (float)x - 30 - 0.2f * (float)y;
            e[y * EW + x] = expf(-d * d / 18);
        }
    must(sak_edge_nms(e, EH, EW, 4, 4, 5, 1.01f, out, &err), &err);
    for (int y = 8; y < EH - 8; y++) {
        int kept = 0;
        for (int x = 0; x < EW; x++)
            if (out[y * EW + x] > 0) {
                kept++;
                if (fabsf((float)x - 30 - 0.2f * (float)y) > 2)
                    fail_msg("row %d keeps column %d", y, x);
            }
        assert_in_range(kept, 1, 3);
    }
    for (int x = 0; x < EW; x++)
        assert_true(out[x] == 0 && out[(EH - 1) * EW + x] == 0);
}

static void tiny_maps_are_safe(void **state)
{
    (void)state;
    for (int H = 1; H <= 3; H++)
        for (int W = 1; W <= 3; W++) {
            float out[9], label[9];
            for (int i = 0; i < 9; i++) {
                out[i] = (float)i - 4;
                label[i] = (float)(i % 2);
            }
            double v[SAK_METER_VALUES];
            for (int p = 0; p < 2; p++)
                score_edges(out, label, H, W, p ? SAK_EDGE_SEISM : SAK_EDGE_PLAIN, v);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meters_agree_with_the_official_ones),
        cmocka_unit_test(an_empty_meter_scores_nothing),
        cmocka_unit_test(normals_have_exact_angles),
        cmocka_unit_test(depth_has_closed_forms),
        cmocka_unit_test(scores_do_not_depend_on_threads_or_batching),
        cmocka_unit_test(delta_m_follows_its_definition),
        cmocka_unit_test(trivial_predictors_are_the_best_constants),
        cmocka_unit_test(matching_is_of_maximum_size),
        cmocka_unit_test(thinning_follows_the_manual),
        cmocka_unit_test(a_thick_bar_thins_to_its_middle_line),
        cmocka_unit_test(a_perfect_edge_map_scores_near_one_hundred),
        cmocka_unit_test(an_edge_beyond_the_radius_does_not_match),
        cmocka_unit_test(padding_does_not_change_the_benchmark),
        cmocka_unit_test(suppression_keeps_a_ridge_one_pixel_wide),
        cmocka_unit_test(tiny_maps_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
