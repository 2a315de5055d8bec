/* Geometry: image and labels under resizing, windows, flips and padding, each pixel against the
 * definition; and what is ignored. */
#include <math.h>

#include "augment_fixture.h"

/* Resized image at (x, y), in double, from nothing but the definition. */
static double bilinear_at(const sak_geometry *g, const sak_sample *in, int x, int y, int c)
{
    const double fx = fmin(fmax((x + 0.5) * g->sw / g->rw - 0.5, 0), g->sw - 1),
                 fy = fmin(fmax((y + 0.5) * g->sh / g->rh - 0.5, 0), g->sh - 1);
    double sum = 0;
    for (int j = 0; j < g->sh; j++)
        for (int i = 0; i < g->sw; i++) {
            const double wx = 1 - fabs(fx - i), wy = 1 - fabs(fy - j);
            if (wx > 0 && wy > 0)
                sum += wx * wy * in->rgb[3 * ((g->sy + j) * in->W + g->sx + i) + c];
        }
    return sum;
}

/* The source pixel whose square holds the centre of (x, y). */
static int nearest_at(const sak_geometry *g, const sak_sample *in, int x, int y)
{
    int i = 0, j = 0;
    while ((int64_t)(i + 1) * 2 * g->rw <= (int64_t)(2 * x + 1) * g->sw)
        i++;
    while ((int64_t)(j + 1) * 2 * g->rh <= (int64_t)(2 * y + 1) * g->sh)
        j++;
    return (g->sy + j) * in->W + g->sx + i;
}

static void image_is_bilinear_and_labels_are_nearest_under_every_geometry(void **state)
{
    (void)state;
    enum { H = 19, W = 23, OUT_H = 21, OUT_W = 18 };
    sak_error err = {0};
    sak_rng r = sak_rng_open(2, SAK_RNG_TEST, 0, 0);
    sak_sample in = make_noise(3, H, W);
    sak_view v = {.s = make(EVERYTHING, OUT_H, OUT_W)};
    sak_scratch scratch = {0};
    for (int round = 0; round < 300; round++) {
        const sak_geometry g = draw_geometry(&r, H, W, OUT_H, OUT_W);
        must(sak_geometry_apply(&g, &in, &scratch, &v, &err), &err);
        for (int y = 0; y < g.h; y++)
            for (int x = 0; x < g.w; x++) {
                const int rx = g.cx + (g.flip ? g.w - 1 - x : x), ry = g.cy + y;
                const int to = (g.y0 + y) * OUT_W + g.x0 + x, from = nearest_at(&g, &in, rx, ry);
                for (int c = 0; c < 3; c++) {
                    const double want = bilinear_at(&g, &in, rx, ry, c);
                    if (fabs(v.s.rgb[3 * to + c] - want) > 0.5 + 1e-3)
                        fail_msg("round %d (%d, %d): %d, not %g", round, y, x, v.s.rgb[3 * to + c],
                                 want);
                }
                assert_int_equal(v.s.semseg[to], in.semseg[from]);
                assert_int_equal(v.s.edge[to], in.edge[from]);
                assert_int_equal(v.s.sal[to], in.sal[from]);
                assert_int_equal(v.s.parts[to], in.parts[from]);
                assert_int_equal(v.s.instance[to], in.instance[from]);
                assert_true(v.s.depth[to] == in.depth[from] / (float)g.depth_divisor);
                assert_true(v.s.normals[3 * to] == in.normals[3 * from] * (g.flip ? -1 : 1));
                assert_true(v.s.normals[3 * to + 1] == in.normals[3 * from + 1]);
                assert_true(v.s.normals[3 * to + 2] == in.normals[3 * from + 2]);
            }
    }
    sak_scratch_close(&scratch);
    sak_sample_close(&v.s);
    sak_sample_close(&in);
}

static void flipping_twice_changes_nothing_and_once_mirrors_normals(void **state)
{
    (void)state;
    enum { H = 7, W = 10 };
    sak_error err = {0};
    sak_sample in = make_noise(4, H, W), once = {0}, twice = {0};
    const sak_augment a = {.H = H, .W = W, .train = true, .flip = 1};
    must(sak_augment_sample(&a, 1, 0, 0, 0, &in, &once, &err), &err);
    must(sak_augment_sample(&a, 1, 0, 1, 0, &once, &twice, &err), &err);
    assert_memory_equal(in.rgb, twice.rgb, 3 * H * W);
    assert_memory_equal(in.semseg, twice.semseg, H * W);
    assert_memory_equal(in.instance, twice.instance, H * W);
    assert_memory_equal(in.depth, twice.depth, sizeof(float) * H * W);
    assert_memory_equal(in.normals, twice.normals, 3 * sizeof(float) * H * W);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const float *n = in.normals + 3 * (y * W + x),
                        *m = once.normals + 3 * (y * W + W - 1 - x);
            assert_true(m[0] == -n[0] && m[1] == n[1] && m[2] == n[2]);
            assert_int_equal(once.parts[y * W + W - 1 - x], in.parts[y * W + x]);
        }
    sak_sample_close(&in);
    sak_sample_close(&once);
    sak_sample_close(&twice);
}

static void evaluation_pads_centrally_with_the_value_of_each_label(void **state)
{
    (void)state;
    enum { H = 5, W = 6, OUT_H = 10, OUT_W = 9 }; /* 2 above, 3 below, 1 left, 2 right */
    sak_error err = {0};
    sak_sample in = make_noise(6, H, W);
    const sak_augment a = {.H = OUT_H, .W = OUT_W};
    sak_view v = {0};
    sak_scratch scratch = {0};
    must(sak_augment_view(&a, 1, 0, 0, 0, &in, EVERYTHING, &scratch, &v, &err), &err);
    assert_int_equal(v.y0, 2);
    assert_int_equal(v.x0, 1);
    float image[3 * OUT_H * OUT_W];
    sak_normalise(&v, image);
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int y = 0; y < OUT_H; y++)
        for (int x = 0; x < OUT_W; x++) {
            const int at = y * OUT_W + x, from = (y - 2) * W + x - 1;
            const bool inside = y >= 2 && y < 2 + H && x >= 1 && x < 1 + W;
            assert_int_equal(v.s.semseg[at], inside ? in.semseg[from] : 255);
            assert_int_equal(v.s.edge[at], inside ? in.edge[from] : 255);
            assert_int_equal(v.s.sal[at], inside ? in.sal[from] : 255);
            assert_int_equal(v.s.parts[at], inside ? in.parts[from] : 255);
            assert_int_equal(v.s.instance[at], inside ? in.instance[from] : 0);
            assert_true(v.s.depth[at] == (inside ? in.depth[from] : 255)); /* 0, then ignored */
            for (int c = 0; c < 3; c++) {
                assert_true(v.s.normals[3 * at + c] == (inside ? in.normals[3 * from + c] : 255));
                const double want = inside ? (in.rgb[3 * from + c] / 255.0 - mean[c]) / std[c] : 0;
                assert_true(inside ? fabs(image[3 * at + c] - want) < 1e-6
                                   : image[3 * at + c] == 0);
            }
        }
    sak_scratch_close(&scratch);
    sak_sample_close(&v.s);
    sak_sample_close(&in);
}

static void evaluation_crops_the_centre_of_a_larger_image(void **state)
{
    (void)state;
    enum { H = 12, W = 11 };
    sak_error err = {0};
    sak_sample in = make_noise(7, H, W), out = {0};
    const sak_augment a = {.H = 6, .W = 4, .flip = 1, .scale_lo = 2, .scale_hi = 2};
    must(sak_augment_sample(&a, 1, 0, 0, 0, &in, &out, &err), &err);
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 4; x++) {
            assert_memory_equal(out.rgb + 3 * (y * 4 + x), in.rgb + 3 * ((y + 3) * W + x + 3), 3);
            assert_int_equal(out.semseg[y * 4 + x], in.semseg[(y + 3) * W + x + 3]);
        }
    sak_sample_close(&in);
    sak_sample_close(&out);
}

/* --- ignore rules -------------------------------------------------------------------- */

static void ignore_rules_mark_what_carries_no_label(void **state)
{
    (void)state;
    float depth[] = {0, 1.5f, 10, 10.5f, NAN, -1, 80};
    float far[] = {0, 1.5f, 10, 10.5f, 300};
    sak_ignore_depth(depth, 7, 10);
    sak_ignore_depth(far, 5, 0);
    const float depth_want[] = {255, 1.5f, 10, 255, 255, 255, 255};
    const float far_want[] = {255, 1.5f, 10, 10.5f, 300};
    assert_memory_equal(depth, depth_want, sizeof depth);
    assert_memory_equal(far, far_want, sizeof far);

    float normals[] = {0, 0, 0, 0, -1, 0, 0.6f, 0, 0.8f, -0.0f, 0, 0};
    sak_ignore_normals(normals, 4);
    const float normals_want[] = {255, 255, 255, 0, -1, 0, 0.6f, 0, 0.8f, 255, 255, 255};
    assert_memory_equal(normals, normals_want, sizeof normals);

    uint8_t none[] = {0, 255, 0, 0}, some[] = {0, 255, 3, 0};
    sak_ignore_parts(none, 4);
    sak_ignore_parts(some, 4);
    assert_memory_equal(none, ((uint8_t[]){255, 255, 255, 255}), 4);
    assert_memory_equal(some, ((uint8_t[]){0, 255, 3, 0}), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_is_bilinear_and_labels_are_nearest_under_every_geometry),
        cmocka_unit_test(flipping_twice_changes_nothing_and_once_mirrors_normals),
        cmocka_unit_test(evaluation_pads_centrally_with_the_value_of_each_label),
        cmocka_unit_test(evaluation_crops_the_centre_of_a_larger_image),
        cmocka_unit_test(ignore_rules_mark_what_carries_no_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
