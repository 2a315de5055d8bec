/* Resizing against stored PyTorch results (interpolate in double), and the adjoint. */
#include "kernels/resample.h"
#include "oprun.h"
#include "weights/weights.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const modes[] = {"bilinear", "bicubic", "bicubic_antialias"};

/* A stored (1, C, H, W) tensor as (H, W, C). */
static float *channels_last(const sak_weights *st, const char *name, sak_shape *shape)
{
    const sak_st_tensor *t = sak_weights_find(st, name);
    if (!t)
        fail_msg("%s is not in %s", name, st->path);
    const int64_t C = t->shape.d[1], n = t->shape.d[2] * t->shape.d[3];
    float *from = malloc((size_t)t->count * sizeof *from), *to = malloc((size_t)t->count * sizeof *to);
    sak_st_copy_f32(t, from);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < C; c++)
            to[i * C + c] = from[c * n + i];
    free(from);
    *shape = SAK_SHAPE(1, t->shape.d[2], t->shape.d[3], C);
    return to;
}

static void near_all(const char *what, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        oprun_near(what, i, (double)got[i], (double)want[i], 1e-6);
}

static void resize_agrees_with_pytorch(void **state)
{
    (void)state;
    sak_weights in, out;
    sak_error err;
    if (sak_weights_open(&in, "tests/fixtures/resize/inputs.safetensors", NULL, &err) != SAK_OK ||
        sak_weights_open(&out, "tests/fixtures/resize/expected.safetensors", NULL, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    for (int k = 0; k < 8; k++)
        for (int mode = 0; mode < 3; mode++) {
            char name[64];
            sak_shape xs, ys;
            snprintf(name, sizeof name, "x%d", k);
            float *x = channels_last(&in, name, &xs);
            snprintf(name, sizeof name, "y%d/%s", k, modes[mode]);
            float *y = channels_last(&out, name, &ys);
            const int64_t nx = sak_shape_count(&xs), ny = sak_shape_count(&ys);

            oprun r = oprun_of("resize");
            oprun_attr(&r, "mode", mode);
            r.attrs.dims = SAK_SHAPE(ys.d[1], ys.d[2]);
            oprun_in(&r, xs);
            oprun_open(&r, 2);
            memcpy(r.x[0], x, (size_t)nx * sizeof *x);
            oprun_forward(&r);
            near_all(name, r.c.y, y, ny);

            float *plain = malloc((size_t)ny * sizeof *plain);
            assert_int_equal(sak_resize_hwc(x, xs.d[1], xs.d[2], xs.d[3], plain, ys.d[1], ys.d[2],
                                            (sak_resize_mode)mode, &err), SAK_OK);
            oprun_same_bits(name, plain, r.c.y, ny);
            free(plain);

            if (mode == SAK_RESIZE_BILINEAR) {
                snprintf(name, sizeof name, "gy%d", k);
                float *gy = channels_last(&in, name, &ys);
                snprintf(name, sizeof name, "gx%d/%s", k, modes[mode]);
                float *gx = channels_last(&out, name, &xs);
                memcpy(r.dy, gy, (size_t)ny * sizeof *gy);
                oprun_backward(&r);
                near_all(name, r.dx[0], gx, nx);
                free(gy), free(gx);
            }
            oprun_close(&r);
            free(x), free(y);
        }
    sak_weights_close(&in);
    sak_weights_close(&out);
}

/* <R x, g> = <x, R^T g> for every mode, and each row of R sums to one. */
static void taps_sum_to_one_and_transpose(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1}, {1, 5}, {5, 1}, {7, 7}, {4, 9}, {9, 4}, {100, 7},
                                       {7, 100}, {37, 27}, {2, 3}};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int mode = 0; mode < 4; mode++) {
            const int64_t n = sizes[k][0], m = sizes[k][1];
            const size_t bytes = (size_t)sak_resize_taps_bytes(n, m, (sak_resize_mode)mode);
            void *mem = malloc(bytes), *mem2 = malloc(bytes);
            const sak_taps t = sak_resize_taps(n, m, (sak_resize_mode)mode, mem);
            const sak_taps u = sak_resize_taps_transpose(&t, n, mem2);
            double *a = calloc((size_t)(n * m), sizeof *a), *b = calloc((size_t)(n * m), sizeof *b);
            for (int64_t i = 0; i < m; i++) {
                double sum = 0;
                for (int64_t e = t.at[i]; e < t.at[i + 1]; e++) {
                    const int64_t j = t.first[i] + e - t.at[i];
                    assert_true(j >= 0 && j < n);
                    a[i * n + j] = (double)t.weight[e];
                    sum += (double)t.weight[e];
                }
                oprun_near("sum of taps", i, sum, 1, 1e-6);
            }
            for (int64_t j = 0; j < n; j++)
                for (int64_t e = u.at[j]; e < u.at[j + 1]; e++)
                    b[(u.first[j] + e - u.at[j]) * n + j] = (double)u.weight[e];
            assert_memory_equal(a, b, (size_t)(n * m) * sizeof *a);
            free(a), free(b), free(mem), free(mem2);
        }
}

static void nearest_repeats_and_drops(void **state)
{
    (void)state;
    const float x[6] = {1, 2, 3, 4, 5, 6};
    float y[12];
    sak_error err;
    assert_int_equal(sak_resize_hwc(x, 1, 6, 1, y, 1, 3, SAK_RESIZE_NEAREST, &err), SAK_OK);
    assert_true(y[0] == 1 && y[1] == 3 && y[2] == 5);
    assert_int_equal(sak_resize_hwc(x, 2, 3, 1, y, 4, 3, SAK_RESIZE_NEAREST, &err), SAK_OK);
    for (int i = 0; i < 12; i++)
        assert_true(y[i] == x[i / 6 * 3 + i % 3]);
    assert_int_equal(sak_resize_hwc(x, 0, 6, 1, y, 1, 3, SAK_RESIZE_NEAREST, &err), SAK_ESHAPE);
}

static void the_same_size_changes_nothing(void **state)
{
    (void)state;
    float x[5 * 7 * 3], y[5 * 7 * 3];
    sak_error err;
    oprun_fill(x, 105, 5);
    for (int mode = 0; mode < 4; mode++) {
        assert_int_equal(sak_resize_hwc(x, 5, 7, 3, y, 5, 7, (sak_resize_mode)mode, &err), SAK_OK);
        assert_memory_equal(x, y, sizeof x);
    }
}

static oprun enlarge(void)
{
    oprun r = oprun_of("resize");
    r.attrs.dims = SAK_SHAPE(61, 83);
    oprun_attr(&r, "mode", SAK_RESIZE_BICUBIC);
    oprun_in(&r, SAK_SHAPE(3, 16, 24, 21));
    return r;
}

static void resize_has_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    oprun_any_threads(enlarge);
}

/* align_corners true is linear in the index: it reproduces a plane, and its corners exactly. */
static void aligned_corners_stay_where_they_are(void **state)
{
    (void)state;
    oprun r = oprun_of("resize");
    oprun_attr(&r, "mode", SAK_RESIZE_BILINEAR_CORNERS);
    r.attrs.dims = SAK_SHAPE(7, 3);
    oprun_in(&r, SAK_SHAPE(1, 4, 9, 1));
    oprun_open(&r, 1);
    for (int i = 0; i < 36; i++)
        r.x[0][i] = (sak_real)(2 * (i / 9) - 3 * (i % 9));
    oprun_forward(&r);
    for (int i = 0; i < 21; i++)
        oprun_near("plane", i, (double)r.c.y[i], 2 * (i / 3) * 3 / 6.0 - 3 * (i % 3) * 8 / 2.0, 1e-6);
    oprun_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resize_agrees_with_pytorch),
        cmocka_unit_test(aligned_corners_stay_where_they_are),
        cmocka_unit_test(taps_sum_to_one_and_transpose),
        cmocka_unit_test(nearest_repeats_and_drops),
        cmocka_unit_test(the_same_size_changes_nothing),
        cmocka_unit_test(resize_has_the_same_bits_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
