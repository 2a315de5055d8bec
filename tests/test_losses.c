/* Losses against the reference's float64 results (tests/fixtures/losses, from
 * reference/make_fixtures.py), against brute-force sums over many chunks, and with other numbers of
 * threads. */
#include <stdio.h>
#include <stdlib.h>

#include "oprun.h"
#include "weights/weights.h"

static sak_weights cases;

static int open_cases(void **state)
{
    (void)state;
    sak_error err;
    if (sak_weights_open(&cases, "tests/fixtures/losses/cases.safetensors", NULL, &err) == SAK_OK)
        return 0;
    fprintf(stderr, "%s\n", err.msg);
    return -1;
}

static int close_cases(void **state)
{
    (void)state;
    sak_weights_close(&cases);
    return 0;
}

/* A (B, C, H, W) tensor of the file as (B, H, W, C). */
static float *load(const char *group, const char *name, sak_shape *shape)
{
    char full[96];
    snprintf(full, sizeof full, "%s/%s", group, name);
    const sak_st_tensor *t = sak_weights_find(&cases, full);
    if (!t)
        fail_msg("no %s in the fixture", full);
    float *x = oprun_take(t->count), *y = oprun_take(t->count);
    sak_st_copy_f32(t, x);
    *shape = t->shape;
    if (t->shape.n == 4) {
        const int64_t B = t->shape.d[0], C = t->shape.d[1], n = t->shape.d[2] * t->shape.d[3];
        for (int64_t b = 0; b < B; b++)
            for (int64_t c = 0; c < C; c++)
                for (int64_t i = 0; i < n; i++)
                    y[(b * n + i) * C + c] = x[(b * C + c) * n + i];
        *shape = SAK_SHAPE(B, t->shape.d[2], t->shape.d[3], C);
    } else {
        memcpy(y, x, t->bytes);
    }
    sak_free(x);
    return y;
}

static double loss_of(const char *name)
{
    sak_shape shape;
    float *v = load("loss", name, &shape);
    const double loss = (double)v[0];
    sak_free(v);
    return loss;
}

/* README of the reference: losses to 2e-6 relative; gradients to 1e-4 in norm where they are
 * larger than 1e-4, else 1e-6 absolute. */
static void compare(const char *name, double loss, double want, const float *g, const float *ref,
                    int64_t n)
{
    if (!(fabs(loss - want) <= 2e-6 * fabs(want)))
        fail_msg("%s: loss %.9g instead of %.9g", name, loss, want);
    double top = 0, diff = 0, norm = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)g[i] - (double)ref[i];
        top = fmax(top, fabs((double)ref[i]));
        worst = fmax(worst, fabs(d));
        diff += d * d;
        norm += (double)ref[i] * (double)ref[i];
    }
    if (!(top > 1e-4 ? sqrt(diff / norm) <= 1e-4 : worst <= 1e-6))
        fail_msg("%s: gradient differs by %g of %g", name, sqrt(diff), sqrt(norm));
}

static void task_losses_match_the_reference(void **state)
{
    (void)state;
    static const struct {
        const char *name, *op, *attr;
    } list[] = {
        {"pascalcontext/semseg", "cross_entropy", NULL},
        {"pascalcontext/human_parts", "cross_entropy", NULL},
        {"pascalcontext/human_parts_all_ignored", "cross_entropy", NULL},
        {"pascalcontext/sal", "cross_entropy", "balanced"},
        {"pascalcontext/normals", "l1_masked", "normalize"},
        {"pascalcontext/normals_all_ignored", "l1_masked", "normalize"},
        {"pascalcontext/edge", "bce_balanced", NULL},
        {"nyud/edge", "bce_balanced", NULL},
        {"nyud/depth", "l1_masked", NULL},
        {"nyud/depth_all_ignored", "l1_masked", NULL},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        sak_shape xs, ts, gs;
        float *x = load("pred", list[i].name, &xs), *t = load("label", list[i].name, &ts);
        float *g = load("grad", list[i].name, &gs);
        oprun r = oprun_of(list[i].op);
        if (list[i].attr)
            oprun_attr(&r, list[i].attr, 1);
        if (strcmp(list[i].op, "cross_entropy") == 0)
            ts.n--; /* (B, H, W, 1): no class dimension */
        oprun_in(&r, xs);
        oprun_in(&r, ts);
        oprun_open(&r, 2);
        memcpy(r.x[0], x, (size_t)sak_shape_count(&xs) * sizeof *x);
        memcpy(r.x[1], t, (size_t)sak_shape_count(&ts) * sizeof *t);
        r.dy[0] = 1;
        oprun_forward(&r);
        oprun_backward(&r);
        compare(list[i].name, (double)r.c.y[0], loss_of(list[i].name), r.dx[0], g,
                sak_shape_count(&gs));
        oprun_close(&r);
        sak_free(x);
        sak_free(t);
        sak_free(g);
    }
}

/* Bilinear weights (align_corners false) of output i: lo, lo + 1 and the share of the latter. */
static void weights(int64_t n_in, int64_t n_out, int64_t i, int64_t *lo, int64_t *hi, double *w)
{
    const double src = fmax(((double)i + 0.5) * (double)n_in / (double)n_out - 0.5, 0);
    *lo = (int64_t)src;
    *hi = *lo + 1 < n_in ? *lo + 1 : n_in - 1;
    *w = src - (double)*lo;
}

/* y = resized x, or (back) the transpose: x gains from y.  Both (B, H, W, C). */
static void resize(float *x, const sak_shape *xs, float *y, const sak_shape *ys, bool back)
{
    const int64_t H = xs->d[1], W = xs->d[2], C = xs->d[3];
    for (int64_t b = 0; b < ys->d[0]; b++)
        for (int64_t i = 0; i < ys->d[1]; i++)
            for (int64_t j = 0; j < ys->d[2]; j++)
                for (int64_t c = 0; c < C; c++) {
                    int64_t y0, y1, x0, x1;
                    double v, u;
                    weights(H, ys->d[1], i, &y0, &y1, &v);
                    weights(W, ys->d[2], j, &x0, &x1, &u);
                    float *at[4] = {
                        x + ((b * H + y0) * W + x0) * C + c, x + ((b * H + y0) * W + x1) * C + c,
                        x + ((b * H + y1) * W + x0) * C + c, x + ((b * H + y1) * W + x1) * C + c};
                    const double w[4] = {(1 - v) * (1 - u), (1 - v) * u, v * (1 - u), v * u};
                    float *out = y + ((b * ys->d[1] + i) * ys->d[2] + j) * C + c;
                    double sum = 0;
                    for (int k = 0; k < 4; k++) {
                        if (back)
                            *at[k] += (float)(w[k] * (double)*out);
                        else
                            sum += w[k] * (double)*at[k];
                    }
                    if (!back)
                        *out = (float)sum;
                }
}

/* value += weight * loss, grad += weight * its gradient, of one row at (s, t). */
static void add_loss(const char *op, double weight, const float *s, const float *t,
                     const sak_shape *shape, double *value, float *grad)
{
    oprun r = oprun_of(op);
    oprun_in(&r, *shape);
    oprun_in(&r, *shape);
    oprun_open(&r, 2);
    const int64_t n = sak_shape_count(shape);
    memcpy(r.x[0], s, (size_t)n * sizeof *s);
    memcpy(r.x[1], t, (size_t)n * sizeof *t);
    r.dy[0] = (float)weight;
    oprun_forward(&r);
    oprun_backward(&r);
    *value += weight * (double)r.c.y[0];
    for (int64_t i = 0; i < n; i++)
        grad[i] += r.dx[0][i];
    oprun_close(&r);
}

static void distillation_losses_match_the_reference(void **state)
{
    (void)state;
    static const char *const kinds[] = {"cos+l1", "cos", "l2"};
    for (size_t k = 0; k < 3; k++) {
        char name[32];
        snprintf(name, sizeof name, "kd/%s", kinds[k]);
        sak_shape ss, ts, gs;
        float *s = load("student", kinds[k], &ss), *t = load("teacher", kinds[k], &ts);
        float *g = load("grad", name, &gs);
        const int64_t n = sak_shape_count(&ts), m = sak_shape_count(&ss);
        float *big = oprun_take(n), *dbig = oprun_take(n), *ds = oprun_take(m);
        memset(dbig, 0, (size_t)n * sizeof *dbig);
        memset(ds, 0, (size_t)m * sizeof *ds);
        resize(s, &ss, big, &ts, false);
        double loss = 0;
        if (k == 2) {
            add_loss("mse", 1, big, t, &ts, &loss, dbig);
        } else {
            add_loss("cosine_loss", k == 0 ? 0.9 : 1, big, t, &ts, &loss, dbig);
            if (k == 0)
                add_loss("smooth_l1", 0.1, big, t, &ts, &loss, dbig);
        }
        resize(ds, &ss, dbig, &ts, true);
        compare(name, loss, loss_of(name), ds, g, m);
        float *const all[] = {s, t, g, big, dbig, ds};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            sak_free(all[i]);
    }
}

/* ---- many chunks: the value against a plain double sum ---- */

static double plain(const char *op, const float *x, const float *t, int64_t B, int64_t n, int64_t K)
{
    double sum = 0, valid = 0;
    if (strcmp(op, "cross_entropy") == 0) {
        for (int64_t r = 0; r < B * n / K; r++) {
            if (t[r] == 255)
                continue;
            double z = 0;
            for (int64_t k = 0; k < K; k++)
                z += exp((double)x[r * K + k]);
            sum += log(z) - (double)x[r * K + (int64_t)t[r]];
            valid += 1;
        }
        return sum / valid;
    }
    if (strcmp(op, "cosine_loss") == 0) {
        for (int64_t b = 0; b < B; b++) {
            double d = 0, xx = 1e-12, tt = 1e-12;
            for (int64_t i = b * n; i < (b + 1) * n; i++) {
                d += (double)x[i] * (double)t[i];
                xx += (double)x[i] * (double)x[i];
                tt += (double)t[i] * (double)t[i];
            }
            sum += 1 - d / sqrt(xx * tt);
        }
        return sum / (double)B;
    }
    if (strcmp(op, "dice") == 0) {
        for (int64_t b = 0; b < B; b++) {
            double both = 0, all = 0;
            for (int64_t i = b * n; i < (b + 1) * n; i++) {
                const double p = 1 / (1 + exp(-(double)x[i]));
                both += p * (double)t[i];
                all += p + (double)t[i];
            }
            sum += 1 - (2 * both + 1) / (all + 1);
        }
        return sum / (double)B;
    }
    for (int64_t i = 0; i < B * n; i++) {
        const double d = (double)x[i] - (double)t[i], a = fabs(d), z = exp((double)x[i]);
        if (strcmp(op, "mse") == 0)
            sum += d * d;
        else if (strcmp(op, "smooth_l1") == 0)
            sum += a < 1 ? d * d / 2 : a - 0.5;
        else
            sum += log1p(z) - (double)x[i] * (double)t[i]; /* bce_logits */
    }
    return sum / (double)(B * n);
}

static void sums_over_many_chunks_are_right(void **state)
{
    (void)state;
    static const char *const ops[] = {"cross_entropy", "cosine_loss", "dice",
                                      "mse",           "smooth_l1",   "bce_logits"};
    enum { B = 3, N = 37000, K = 5 };
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
        const bool classes = o == 0;
        oprun r = oprun_of(ops[o]);
        oprun_in(&r, classes ? SAK_SHAPE(B, N / K, K) : SAK_SHAPE(B, N));
        oprun_in(&r, classes ? SAK_SHAPE(B, N / K) : SAK_SHAPE(B, N));
        oprun_open(&r, 2);
        sak_rng rng = sak_rng_open(1, SAK_RNG_TEST, o, 0);
        for (int64_t i = 0; i < sak_shape_count(&r.s.x[1]); i++) {
            if (classes)
                r.x[1][i] = i % 7 ? (float)sak_rng_int(&rng, K) : 255;
            else if (o == 2 || o == 5)
                r.x[1][i] = (float)sak_rng_int(&rng, 2);
        }
        oprun_forward(&r);
        const double want = plain(ops[o], r.x[0], r.x[1], B, N, K);
        if (!(fabs((double)r.c.y[0] - want) <= 1e-6 * want))
            fail_msg("%s: %.9g instead of %.9g", ops[o], (double)r.c.y[0], want);
        oprun_close(&r);
    }
}

static const char *threaded;

static oprun make_threaded(void)
{
    oprun r = oprun_of(threaded);
    const bool classes = strcmp(threaded, "cross_entropy") == 0;
    oprun_in(&r, SAK_SHAPE(2, 9001, 3));
    oprun_in(&r, classes ? SAK_SHAPE(2, 9001) : SAK_SHAPE(2, 9001, 3));
    return r;
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    static const char *const ops[] = {"cross_entropy", "soft_cross_entropy", "l1_masked",
                                      "bce_balanced",  "bce_logits",         "dice",
                                      "cosine_loss",   "smooth_l1",          "mse"};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        threaded = ops[i];
        oprun_any_threads(make_threaded);
    }
}

/* ---- edges of the definitions ---- */

static void extreme_logits_stay_finite(void **state)
{
    (void)state;
    static const char *const ops[] = {"cross_entropy", "bce_balanced", "bce_logits", "dice"};
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++) {
        oprun r = oprun_of(ops[o]);
        oprun_in(&r, SAK_SHAPE(2, 2));
        oprun_in(&r, o == 0 ? SAK_SHAPE(2) : SAK_SHAPE(2, 2));
        oprun_open(&r, 1);
        const float x[4] = {-1e4f, 1e4f, 3e3f, -3e3f}, t[4] = {0, 1, 1, 0};
        memcpy(r.x[0], x, sizeof x);
        memcpy(r.x[1], t, (size_t)sak_shape_count(&r.s.x[1]) * sizeof *t);
        r.dy[0] = 1;
        oprun_forward(&r);
        oprun_backward(&r);
        assert_true(isfinite(r.c.y[0]));
        for (int i = 0; i < 4; i++)
            assert_true(isfinite(r.dx[0][i]));
        oprun_close(&r);
    }
}

static void without_valid_pixels_loss_and_gradient_are_zero(void **state)
{
    (void)state;
    static const struct {
        const char *op, *attr;
    } list[] = {{"cross_entropy", NULL},
                {"cross_entropy", "balanced"},
                {"l1_masked", NULL},
                {"bce_balanced", NULL}};
    for (size_t o = 0; o < sizeof list / sizeof *list; o++) {
        oprun r = oprun_of(list[o].op);
        if (list[o].attr)
            oprun_attr(&r, list[o].attr, 1);
        oprun_in(&r, SAK_SHAPE(3, 2));
        oprun_in(&r, o < 2 ? SAK_SHAPE(3) : SAK_SHAPE(3, 2));
        oprun_open(&r, 1);
        for (int64_t i = 0; i < sak_shape_count(&r.s.x[1]); i++)
            r.x[1][i] = 255;
        oprun_forward(&r);
        oprun_backward(&r);
        assert_true(r.c.y[0] == 0);
        for (int i = 0; i < 6; i++)
            assert_true(r.dx[0][i] == 0);
        oprun_close(&r);
    }
}

/* Labels outside the classes must not read outside the logits: they count as ignored. */
static void labels_outside_the_classes_are_ignored(void **state)
{
    (void)state;
    oprun r = oprun_of("cross_entropy");
    oprun_in(&r, SAK_SHAPE(5, 3));
    oprun_in(&r, SAK_SHAPE(5));
    oprun_open(&r, 1);
    const float t[5] = {3, -1, 1e9f, NAN, 2};
    memcpy(r.x[1], t, sizeof t);
    oprun_forward(&r);
    oprun_backward(&r);
    const float *x = r.x[0] + 12;
    const double z = exp((double)x[0]) + exp((double)x[1]) + exp((double)x[2]);
    oprun_near("loss of the one valid row", 0, (double)r.c.y[0], log(z) - (double)x[2], 1e-6);
    for (int i = 0; i < 12; i++)
        assert_true(r.dx[0][i] == 0);
    oprun_close(&r);
}

static void refuse(const char *op, const char *attr, double v, sak_shape a, sak_shape b,
                   const char *why)
{
    oprun r = oprun_of(op);
    if (attr)
        oprun_attr(&r, attr, v);
    oprun_in(&r, a);
    oprun_in(&r, b);
    r.s.op = r.op;
    r.s.attr = &r.attrs;
    sak_error err = {0};
    if (r.op->shape(&r.s, &err) == SAK_OK || !strstr(err.msg, why) || !strstr(err.msg, op))
        fail_msg("%s: '%s' instead of '%s'", op, err.msg, why);
}

static void shapes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    refuse("cross_entropy", NULL, 0, SAK_SHAPE(2, 3, 4), SAK_SHAPE(2, 4), "(2, 4)");
    refuse("cross_entropy", NULL, 0, SAK_SHAPE(2, 3, 4), SAK_SHAPE(2, 3, 1), "(2, 3, 1)");
    refuse("cross_entropy", NULL, 0, SAK_SHAPE(2, 300), SAK_SHAPE(2), "ignore=-1");
    refuse("cross_entropy", "balanced", 1, SAK_SHAPE(2, 3), SAK_SHAPE(2), "2 classes");
    refuse("mse", NULL, 0, SAK_SHAPE(2, 3), SAK_SHAPE(3, 2), "(3, 2)");
    refuse("l1_masked", NULL, 0, SAK_SHAPE(0, 3), SAK_SHAPE(0, 3), "empty");
    refuse("smooth_l1", "beta", 0, SAK_SHAPE(2), SAK_SHAPE(2), "beta");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_losses_match_the_reference),
        cmocka_unit_test(distillation_losses_match_the_reference),
        cmocka_unit_test(sums_over_many_chunks_are_right),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(extreme_logits_stay_finite),
        cmocka_unit_test(without_valid_pixels_loss_and_gradient_are_zero),
        cmocka_unit_test(labels_outside_the_classes_are_ignored),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, open_cases, close_cases);
}
