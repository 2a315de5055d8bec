/* Augmentation: every operation against a small computation of its own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/augment.h"

enum {
    EVERYTHING = SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS | SAK_HAS_EDGE |
                 SAK_HAS_SAL | SAK_HAS_PARTS | SAK_HAS_INSTANCE
};

static void must(sak_status st, const sak_error *err)
{
    if (st != SAK_OK)
        fail_msg("status %d: %s", (int)st, err->msg);
}

static sak_sample make(unsigned has, int H, int W)
{
    sak_error err = {0};
    sak_sample s = {0};
    must(sak_sample_reserve(&s, has, H, W, &err), &err);
    return s;
}

/* Noise in every map; labels as a dataset may return them. */
static sak_sample make_noise(unsigned seed, int H, int W)
{
    sak_sample s = make(EVERYTHING, H, W);
    sak_rng r = sak_rng_open(seed, SAK_RNG_TEST, 0, 0);
    for (int i = 0; i < H * W; i++) {
        for (int c = 0; c < 3; c++) {
            s.rgb[3 * i + c] = (uint8_t)sak_rng_int(&r, 256);
            s.normals[3 * i + c] = (float)sak_rng_normal(&r);
        }
        s.semseg[i] = (uint8_t)sak_rng_int(&r, 13);
        s.edge[i] = (uint8_t)sak_rng_int(&r, 2);
        s.sal[i] = (uint8_t)sak_rng_int(&r, 2);
        s.parts[i] = (uint8_t)sak_rng_int(&r, 7);
        s.instance[i] = (uint8_t)sak_rng_int(&r, 9);
        s.depth[i] = (float)sak_rng_range(&r, 0.5, 9);
    }
    return s;
}

/* --- photometric --------------------------------------------------------------------- */

static long round_even(double x)
{
    const double f = floor(x), d = x - f;
    return (long)f + (d > 0.5 || (d == 0.5 && fmod(f, 2) != 0));
}

/* OpenCV's RGB2HSV_b in its integers. */
static void reference_hsv(const uint8_t *rgb, int out[3])
{
    static int sdiv[256], hdiv[256];
    if (!sdiv[1])
        for (int i = 1; i < 256; i++) {
            sdiv[i] = (int)round_even((255 << 12) / (1. * i));
            hdiv[i] = (int)round_even((180 << 12) / (6. * i));
        }
    const int r = rgb[0], g = rgb[1], b = rgb[2];
    const int v = r > g ? (r > b ? r : b) : (g > b ? g : b);
    const int d = v - (r < g ? (r < b ? r : b) : (g < b ? g : b));
    int h = v == r ? g - b : v == g ? b - r + 2 * d : r - g + 4 * d;
    h = (h * hdiv[d] + 2048 + (256 << 12)) / 4096 - 256;
    out[0] = h < 0 ? h + 180 : h;
    out[1] = (d * sdiv[v] + 2048) / 4096;
    out[2] = v;
}

/* The textbook: hue in half degrees, S in 1/255, unrounded. */
static void textbook_hsv(const uint8_t *rgb, double out[2])
{
    const double r = rgb[0], g = rgb[1], b = rgb[2], v = fmax(r, fmax(g, b)),
                 d = v - fmin(r, fmin(g, b));
    out[1] = v > 0 ? 255 * d / v : 0;
    const double h = d == 0 ? 0 : v == r ? (g - b) / d : v == g ? 2 + (b - r) / d : 4 + (r - g) / d;
    out[0] = 30 * (h < 0 ? h + 6 : h);
}

/* The sector table of HSV -> RGB in units of 1/7650, rounded down as OpenCV's vector path does.
 * (OpenCV 4.6 itself equals this but for 0.7% of the values, whose whole numbers it misses by its
 * float error, and the last pixels of a row, which it rounds; its RGB -> HSV is the same.) */
static void reference_rgb(const uint8_t *hsv, int out[3])
{
    static const int sector[6][3] = {{0, 3, 1}, {2, 0, 1}, {1, 0, 3},
                                     {1, 2, 0}, {3, 1, 0}, {0, 1, 2}};
    const int s = hsv[1], v = hsv[2], f = hsv[0] % 30;
    const int tab[4] = {7650 * v, v * (7650 - 30 * s), v * (7650 - s * f),
                        v * (7650 - s * (30 - f))};
    for (int c = 0; c < 3; c++)
        out[c] = tab[sector[hsv[0] / 30][c]] / 7650;
}

static void hsv_of_every_colour_equals_the_fixed_point_tables(void **state)
{
    (void)state;
    static uint8_t rgb[3 * 65536], hsv[3 * 65536];
    double worst_h = 0, worst_s = 0;
    for (int r = 0; r < 256; r++) {
        for (int i = 0; i < 65536; i++) {
            rgb[3 * i] = (uint8_t)r;
            rgb[3 * i + 1] = (uint8_t)(i >> 8);
            rgb[3 * i + 2] = (uint8_t)i;
        }
        sak_rgb_to_hsv(rgb, hsv, 65536);
        for (int i = 0; i < 65536; i++) {
            int want[3];
            double exact[2];
            reference_hsv(rgb + 3 * i, want);
            for (int c = 0; c < 3; c++)
                if (hsv[3 * i + c] != want[c])
                    fail_msg("rgb %d %d %d: channel %d is %d, not %d", r, i >> 8, i & 255, c,
                             hsv[3 * i + c], want[c]);
            textbook_hsv(rgb + 3 * i, exact);
            const double dh = fabs(hsv[3 * i] - exact[0]);
            worst_h = fmax(worst_h, fmin(dh, 180 - dh));
            worst_s = fmax(worst_s, fabs(hsv[3 * i + 1] - exact[1]));
        }
    }
    /* 1/2 from rounding; the rest from the tables' 12 bits, up to 5 d / 8192 for hue */
    assert_true(worst_h < 0.5 + 5 * 255 / 8192.0 && worst_s < 0.5 + 255 / 8192.0);
}

static void rgb_of_every_hsv_equals_the_sector_table(void **state)
{
    (void)state;
    static uint8_t rgb[3 * 65536], hsv[3 * 65536];
    for (int h = 0; h < 180; h++) {
        for (int i = 0; i < 65536; i++) {
            hsv[3 * i] = (uint8_t)h;
            hsv[3 * i + 1] = (uint8_t)(i >> 8);
            hsv[3 * i + 2] = (uint8_t)i;
        }
        sak_hsv_to_rgb(hsv, rgb, 65536);
        for (int i = 0; i < 65536; i++) {
            int want[3];
            reference_rgb(hsv + 3 * i, want);
            for (int c = 0; c < 3; c++)
                if (rgb[3 * i + c] != want[c])
                    fail_msg("hsv %d %d %d: channel %d is %d, not %d", h, i >> 8, i & 255, c,
                             rgb[3 * i + c], want[c]);
        }
    }
}

static uint8_t clip(double x)
{
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

/* One pixel, step after step, as the published pipeline does it. */
static void reference_distort(const sak_photometric *p, uint8_t *rgb)
{
    uint8_t hsv[3];
    int t[3];
    for (int c = 0; c < 3 && p->brightness; c++)
        rgb[c] = clip((float)rgb[c] + p->beta);
    for (int c = 0; c < 3 && p->contrast && p->contrast_first; c++)
        rgb[c] = clip((float)rgb[c] * p->alpha);
    for (int step = 0; step < 2; step++) {
        if (!(step == 0 ? p->saturation : p->hue))
            continue;
        reference_hsv(rgb, t);
        for (int c = 0; c < 3; c++)
            hsv[c] = (uint8_t)t[c];
        if (step == 0)
            hsv[1] = clip((float)hsv[1] * p->saturate);
        else
            hsv[0] = (uint8_t)((hsv[0] + p->shift + 180) % 180);
        reference_rgb(hsv, t);
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)t[c];
    }
    for (int c = 0; c < 3 && p->contrast && !p->contrast_first; c++)
        rgb[c] = clip((float)rgb[c] * p->alpha);
    if (p->grey)
        rgb[0] = rgb[1] = rgb[2] =
            (uint8_t)floor((19595.0 * rgb[0] + 38470.0 * rgb[1] + 7471.0 * rgb[2]) / 65536 + 0.5);
}

static void check_distortion(sak_isa isa)
{
    enum { N = 300, ROWS = 3, STRIDE = 3 * N + 7 };
    sak_rng r = sak_rng_open(5, SAK_RNG_TEST, 0, 0);
    for (int combination = 0; combination < 256; combination++) {
        uint8_t in[STRIDE * ROWS], out[STRIDE * ROWS];
        for (int i = 0; i < STRIDE * ROWS; i++)
            in[i] = out[i] = (uint8_t)sak_rng_int(&r, 256);
        sak_photometric p = sak_photometric_draw(&r, true, true);
        p.brightness = combination & 1;
        p.contrast = combination & 2;
        p.saturation = combination & 4;
        p.hue = combination & 8;
        p.contrast_first = combination & 16;
        p.grey = (combination & 96) == 96;
        sak_photometric_apply_at(isa, &p, out, N, ROWS, STRIDE);
        for (int y = 0; y < ROWS; y++) {
            for (int x = 0; x < N; x++)
                reference_distort(&p, in + y * STRIDE + 3 * x);
            if (memcmp(in + y * STRIDE, out + y * STRIDE, STRIDE) != 0)
                fail_msg("%s, combination %d: row %d differs", sak_isa_name(isa), combination, y);
        }
    }
}

static void distortion_at_every_vector_level_equals_the_steps_one_by_one(void **state)
{
    (void)state;
    for (int isa = SAK_ISA_BASELINE; isa <= (int)sak_cpu_isa(); isa++)
        check_distortion((sak_isa)isa);
}

static void each_distortion_comes_half_the_time_and_within_its_range(void **state)
{
    (void)state;
    enum { N = 20000 };
    int count[6] = {0}, seen_shift[37] = {0};
    double low[3] = {99, 99, 99}, high[3] = {-99, -99, -99};
    for (int i = 0; i < N; i++) {
        sak_rng r = sak_rng_open(1, SAK_RNG_TEST, 0, (uint32_t)i);
        const sak_photometric p = sak_photometric_draw(&r, true, true);
        const bool on[6] = {p.brightness,     p.contrast, p.saturation,
                            p.contrast_first, p.hue,      p.grey};
        const double value[3] = {p.beta / 32.0, (p.alpha - 1) * 2.0, (p.saturate - 1) * 2.0};
        for (int k = 0; k < 6; k++)
            count[k] += on[k];
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], value[k]);
            high[k] = fmax(high[k], value[k]);
        }
        assert_in_range(p.shift + 18, 0, 36);
        seen_shift[p.shift + 18] = 1;
    }
    for (int k = 0; k < 6; k++) /* 5 sigma */
        assert_true(fabs(count[k] - N * (k == 5 ? 0.2 : 0.5)) < 5 * sqrt(N) / 2);
    for (int k = 0; k < 3; k++)
        assert_true(low[k] >= -1 && low[k] < -0.99 && high[k] <= 1 && high[k] > 0.99);
    assert_true(seen_shift[0] && seen_shift[35]);
    sak_rng r = sak_rng_open(1, SAK_RNG_TEST, 0, 0);
    const sak_photometric none = sak_photometric_draw(&r, false, false);
    assert_false(none.brightness || none.contrast || none.saturation || none.hue || none.grey);
}

/* --- geometry ------------------------------------------------------------------------ */

/* A random geometry over an image, covering enlarging, shrinking, windows, parts and flips. */
static sak_geometry draw_geometry(sak_rng *r, int H, int W, int out_H, int out_W)
{
    sak_geometry g = {.sw = W, .sh = H, .depth_divisor = sak_rng_range(r, 0.5, 2)};
    if (sak_rng_int(r, 2)) {
        g.sw = 1 + (int)sak_rng_int(r, W);
        g.sh = 1 + (int)sak_rng_int(r, H);
        g.sx = (int)sak_rng_int(r, W - g.sw + 1);
        g.sy = (int)sak_rng_int(r, H - g.sh + 1);
    }
    g.rw = sak_rng_int(r, 4) ? 1 + (int)sak_rng_int(r, 2 * out_W) : g.sw;
    g.rh = sak_rng_int(r, 4) ? 1 + (int)sak_rng_int(r, 2 * out_H) : g.sh;
    g.w = 1 + (int)sak_rng_int(r, g.rw < out_W ? g.rw : out_W);
    g.h = 1 + (int)sak_rng_int(r, g.rh < out_H ? g.rh : out_H);
    g.cx = (int)sak_rng_int(r, g.rw - g.w + 1);
    g.cy = (int)sak_rng_int(r, g.rh - g.h + 1);
    g.x0 = (int)sak_rng_int(r, out_W - g.w + 1);
    g.y0 = (int)sak_rng_int(r, out_H - g.h + 1);
    g.flip = sak_rng_int(r, 2);
    return g;
}

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

/* --- the chain ----------------------------------------------------------------------- */

static void scaling_divides_depth_by_the_factor_and_shows_more_or_less(void **state)
{
    (void)state;
    enum { N = 40 };
    sak_error err = {0};
    sak_sample in = make(SAK_HAS_IMAGE | SAK_HAS_DEPTH, N, N), out = {0};
    for (int i = 0; i < N * N; i++)
        in.depth[i] = 2;
    const sak_augment a = {
        .H = N, .W = N, .train = true, .scale_lo = 0.5, .scale_hi = 2, .random_crop = true};
    double lowest = 9, highest = 0;
    for (int i = 0; i < 400; i++) {
        must(sak_augment_sample(&a, 1, 0, i, 0, &in, &out, &err), &err);
        int shown = 0;
        double factor = 0;
        for (int k = 0; k < N * N; k++)
            if (out.depth[k] != 255) {
                shown++;
                factor = 2 / out.depth[k];
            }
        const int side = (int)(N * factor + 1e-4) < N ? (int)(N * factor + 1e-4) : N;
        assert_int_equal(shown, side * side);
        lowest = fmin(lowest, factor);
        highest = fmax(highest, factor);
    }
    assert_true(lowest >= 0.5 && lowest < 0.52 && highest <= 2 && highest > 1.96);
    sak_sample_close(&in);
    sak_sample_close(&out);
}

/* Semseg painted into the image: where a pixel still has a painted colour, the label must be that
 * colour's, whatever scale, crop, flip and placement were. */
static void check_alignment(const sak_augment *a)
{
    enum { H = 60, W = 80, CELL = 10, LABELS = H / CELL * (W / CELL) };
    sak_error err = {0};
    uint8_t colour[LABELS][3];
    sak_rng r = sak_rng_open(10, SAK_RNG_TEST, 0, 0);
    for (int i = 0; i < 3 * LABELS; i++)
        colour[i / 3][i % 3] = (uint8_t)sak_rng_int(&r, 256);
    sak_sample in = make(SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH, H, W), out = {0};
    for (int i = 0; i < H * W; i++) {
        const int label = (i / W / CELL) * (W / CELL) + i % W / CELL;
        in.semseg[i] = (uint8_t)label;
        in.depth[i] = (float)(1 + label);
        memcpy(in.rgb + 3 * i, colour[label], 3);
    }
    for (int64_t k = 0; k < 100; k++) {
        must(sak_augment_sample(a, 9, 2, k, 0, &in, &out, &err), &err);
        int pure = 0, labelled = 0;
        double ratio = 0;
        for (int i = 0; i < a->H * a->W; i++) {
            if (out.semseg[i] == 255)
                continue;
            labelled++;
            ratio = ratio == 0 ? out.depth[i] / (1 + out.semseg[i]) : ratio;
            assert_true(fabs(out.depth[i] / (1 + out.semseg[i]) / ratio - 1) < 1e-6);
            int painted = 0;
            while (painted < LABELS && memcmp(out.rgb + 3 * i, colour[painted], 3) != 0)
                painted++;
            if (painted == LABELS)
                continue; /* blended across a border */
            pure++;
            if (painted != out.semseg[i])
                fail_msg("sample %lld, pixel %d: colour of %d, label %d", (long long)k, i, painted,
                         out.semseg[i]);
        }
        assert_true(labelled > 0 && pure > labelled / 2);
    }
    sak_sample_close(&in);
    sak_sample_close(&out);
}

static void labels_stay_on_their_pixels_through_scale_crop_and_flip(void **state)
{
    (void)state;
    check_alignment(&(sak_augment){.H = 60,
                                   .W = 80,
                                   .train = true,
                                   .scale_lo = 0.5,
                                   .scale_hi = 2,
                                   .random_crop = true,
                                   .flip = 0.5});
}

static void labels_stay_on_their_pixels_through_resized_crops(void **state)
{
    (void)state;
    check_alignment(
        &(sak_augment){.H = 48, .W = 56, .train = true, .resized_crop_lo = 0.2, .flip = 0.5});
}

static double fill_of(const sak_sample *s)
{
    int count[256] = {0}, total = 0, top = 0;
    for (int i = 0; i < s->H * s->W; i++)
        count[s->semseg[i]]++;
    for (int c = 0; c < 255; c++) {
        total += count[c];
        top = count[c] > top ? count[c] : top;
    }
    return total ? (double)top / total : 1;
}

/* One class fills 60% of every crop: the limit decides whether the first draw is kept. */
static void the_share_that_is_too_much_can_be_set(void **state)
{
    (void)state;
    enum { H = 20, W = 80, C = 20, N = 40 };
    sak_error err = {0};
    sak_sample in = make(SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_NORMALS, H, W), out = {0};
    for (int i = 0; i < H * W; i++) {
        in.semseg[i] = i % 5 < 3 ? 3 : (uint8_t)(4 + i % 2);
        in.normals[3 * i] = (float)(i % W); /* tells where a crop begins */
        in.normals[3 * i + 1] = in.normals[3 * i + 2] = 1;
    }
    const double share[] = {0.75, 0, 1, 0.5};
    float first[N];
    for (int k = 0; k < 4; k++) {
        const sak_augment a = {
            .H = C, .W = C, .train = true, .random_crop = true, .max_class = share[k]};
        int moved = 0;
        for (int i = 0; i < N; i++) {
            must(sak_augment_sample(&a, 1, 0, i, 0, &in, &out, &err), &err);
            if (k == 0)
                first[i] = out.normals[0];
            moved += out.normals[0] != first[i];
        }
        assert_true(k < 3 ? moved == 0 : moved > N / 2);
    }
    sak_sample_close(&in);
    sak_sample_close(&out);
}

/* The left two thirds are one class: a crop drawn once would be filled by it half the time. */
static void crops_filled_by_one_class_are_redrawn(void **state)
{
    (void)state;
    enum { H = 32, W = 96, C = 32 };
    sak_error err = {0};
    sak_sample in = make(SAK_HAS_IMAGE | SAK_HAS_SEMSEG, H, W), out = {0};
    for (int i = 0; i < H * W; i++)
        in.semseg[i] = i % W < 64 ? (i % 7 == 0 ? 255 : 3) : (uint8_t)(i % 5);
    const sak_augment a = {.H = C, .W = C, .train = true, .random_crop = true};
    int filled = 0;
    for (int i = 0; i < 500; i++) {
        must(sak_augment_sample(&a, 1, 0, i, 0, &in, &out, &err), &err);
        filled += fill_of(&out) >= 0.75;
    }
    assert_true(filled <= 2); /* 0.6^11 = 0.4% each */

    memset(in.semseg, 3, H * W); /* nothing to be had: the draws end */
    must(sak_augment_sample(&a, 1, 0, 0, 0, &in, &out, &err), &err);
    assert_true(fill_of(&out) == 1);
    sak_sample_close(&in);
    sak_sample_close(&out);
}

static void the_share_of_a_class_equals_a_count_of_the_crop(void **state)
{
    (void)state;
    enum { H = 17, W = 29, OUT = 20 };
    sak_error err = {0};
    sak_rng r = sak_rng_open(8, SAK_RNG_TEST, 0, 0);
    sak_sample in = make(SAK_HAS_SEMSEG, H, W);
    sak_view v = {.s = make(SAK_HAS_SEMSEG, OUT, OUT)};
    sak_scratch scratch = {0};
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < H * W; i++)
            in.semseg[i] = sak_rng_int(&r, 3) ? 255 : (uint8_t)sak_rng_int(&r, 3);
        const sak_geometry g = draw_geometry(&r, H, W, OUT, OUT);
        double share;
        must(sak_geometry_fill(&g, in.semseg, W, &scratch, &share, &err), &err);
        must(sak_geometry_apply(&g, &in, &scratch, &v, &err), &err);
        sak_geometry_pad(&v);
        assert_true(fabs(share - fill_of(&v.s)) < 1e-12);
    }
    sak_scratch_close(&scratch);
    sak_sample_close(&v.s);
    sak_sample_close(&in);
}

static void resized_crops_keep_to_their_area_and_aspect(void **state)
{
    (void)state;
    enum { H = 300, W = 400, OUT = 160 };
    sak_error err = {0};
    sak_sample in = make(SAK_HAS_IMAGE | SAK_HAS_NORMALS, H, W), out = {0};
    for (int i = 0; i < H * W; i++) {
        in.normals[3 * i] = (float)(i % W);
        in.normals[3 * i + 1] = (float)(i / W);
        in.normals[3 * i + 2] = 1;
    }
    const sak_augment a = {.H = OUT, .W = OUT, .train = true, .resized_crop_lo = 0.25};
    double least = 9, most = 0, narrow = 9, wide = 0;
    for (int k = 0; k < 300; k++) {
        must(sak_augment_sample(&a, 3, 0, k, 0, &in, &out, &err), &err);
        const float *first = out.normals, *last = out.normals + 3 * (OUT * OUT - 1);
        const double w = (last[0] - first[0]) * OUT / (OUT - 1.0),
                     h = (last[1] - first[1]) * OUT / (OUT - 1.0);
        least = fmin(least, w * h / (H * W));
        most = fmax(most, w * h / (H * W));
        narrow = fmin(narrow, w / h);
        wide = fmax(wide, w / h);
    }
    assert_true(least > 0.24 && least < 0.28 && most < 1.01 && most > 0.8);
    assert_true(narrow > 0.73 && narrow < 0.78 && wide > 1.28 && wide < 1.37);

    /* an image so long that no draw fits: the centre, of aspect 4/3 */
    sak_sample strip = make(SAK_HAS_IMAGE | SAK_HAS_NORMALS, 30, 400);
    for (int i = 0; i < 30 * 400; i++) {
        strip.normals[3 * i] = (float)(i % 400);
        strip.normals[3 * i + 2] = 1;
    }
    const sak_augment whole = {.H = 30, .W = 40, .train = true, .resized_crop_lo = 0.9};
    must(sak_augment_sample(&whole, 3, 0, 0, 0, &strip, &out, &err), &err);
    for (int x = 0; x < 40; x++)
        assert_true(out.normals[3 * x] == (float)(180 + x));
    sak_sample_close(&in);
    sak_sample_close(&strip);
    sak_sample_close(&out);
}

static void a_view_depends_on_seed_epoch_index_and_view_and_on_nothing_else(void **state)
{
    (void)state;
    enum { H = 24, W = 30 };
    sak_error err = {0};
    sak_sample in = make_noise(11, H, W), first = {0}, other = {0};
    const sak_augment a = {.H = H,
                           .W = W,
                           .train = true,
                           .scale_lo = 0.5,
                           .scale_hi = 2,
                           .random_crop = true,
                           .flip = 0.5,
                           .photometric = true,
                           .greyscale = true};
    must(sak_augment_sample(&a, 1, 2, 3, 0, &in, &first, &err), &err);
    const int64_t key[][4] = {{1, 2, 3, 0}, {2, 2, 3, 0}, {1, 3, 3, 0}, {1, 2, 4, 0}, {1, 2, 3, 1}};
    for (int k = 0; k < 5; k++) {
        must(sak_augment_sample(&a, (uint64_t)key[k][0], key[k][1], key[k][2], (int)key[k][3], &in,
                                &other, &err),
             &err);
        const bool same = memcmp(first.rgb, other.rgb, 3 * H * W) == 0;
        assert_int_equal(same, k == 0);
    }
    sak_sample_close(&in);
    sak_sample_close(&first);
    sak_sample_close(&other);
}

/* Which of the images seen so far this one is; a new one is added. */
static int number_of(const uint8_t *rgb, size_t bytes, uint8_t (*seen)[3 * 16 * 24], int *n)
{
    for (int i = 0; i < *n; i++)
        if (memcmp(seen[i], rgb, bytes) == 0)
            return i;
    memcpy(seen[*n], rgb, bytes);
    return (*n)++;
}

static void an_image_has_so_many_views_for_all_seeds_each_with_its_mirror_image(void **state)
{
    (void)state;
    enum { H = 16, W = 24, VIEWS = 5, BYTES = 3 * H * W };
    sak_sample in = make_noise(21, 30, 40), out = {0};
    sak_error err = {0};
    const sak_augment a = {.H = H, .W = W, .train = true, .resized_crop_lo = 0.2, .flip = 0.5,
                           .photometric = true, .views = VIEWS};
    static uint8_t seen[400][BYTES], mirror[BYTES];
    int n = 0, way[4][20], first_of[2 * VIEWS];
    for (int seed = 0; seed < 4; seed++)
        for (int epoch = 0; epoch < 20; epoch++) {
            must(sak_augment_sample(&a, (uint64_t)seed, epoch, 7, 0, &in, &out, &err), &err);
            way[seed][epoch] = number_of(out.rgb, BYTES, seen, &n);
        }
    assert_int_equal(n, 2 * VIEWS);
    for (int i = 0; i < n; i++) { /* a view and its mirror image get one number */
        for (int p = 0; p < H * W; p++)
            memcpy(mirror + 3 * p, seen[i] + 3 * (p / W * W + W - 1 - p % W), 3);
        const int other = number_of(mirror, BYTES, seen, &n);
        assert_true(other != i && n == 2 * VIEWS);
        first_of[i] = other < i ? other : i;
    }
    int starts = 0;
    for (int seed = 0; seed < 4; seed++) {
        starts |= 1 << first_of[way[seed][0]];
        for (int epoch = 0; epoch + VIEWS <= 20; epoch++) { /* any five epochs in a row show all */
            unsigned shown = 0;
            for (int k = 0; k < VIEWS; k++)
                shown |= 1u << first_of[way[seed][epoch + k]];
            assert_int_equal(__builtin_popcount(shown), VIEWS);
        }
    }
    assert_true(__builtin_popcount((unsigned)starts) > 1);
    sak_sample_close(&in);
    sak_sample_close(&out);
}

static void with_flips_alone_views_change_nothing(void **state)
{
    (void)state;
    sak_sample in = make_noise(22, 16, 24), fresh = {0}, view = {0};
    sak_error err = {0};
    sak_augment a = {.H = 16, .W = 24, .train = true, .flip = 0.5};
    for (int epoch = 0; epoch < 20; epoch++) {
        a.views = 0;
        must(sak_augment_sample(&a, 3, epoch, 1, 0, &in, &fresh, &err), &err);
        a.views = 4;
        must(sak_augment_sample(&a, 3, epoch, 1, 0, &in, &view, &err), &err);
        assert_memory_equal(fresh.rgb, view.rgb, 3 * 16 * 24);
        assert_memory_equal(fresh.normals, view.normals, sizeof(float) * 3 * 16 * 24);
    }
    sak_sample_close(&in);
    sak_sample_close(&fresh);
    sak_sample_close(&view);
}

static void settings_outside_their_range_are_refused(void **state)
{
    (void)state;
    sak_sample in = make_noise(12, 4, 4), out = {0};
    const sak_augment bad[] = {
        {.H = 0, .W = 4},
        {.H = 4, .W = 4, .depth_max = -1},
        {.H = 4, .W = 4, .train = true, .scale_lo = 2, .scale_hi = 1},
        {.H = 4, .W = 4, .train = true, .scale_lo = -1, .scale_hi = 1},
        {.H = 4, .W = 4, .train = true, .flip = 1.5},
        {.H = 4, .W = 4, .train = true, .max_class = 1.5},
        {.H = 4, .W = 4, .train = true, .max_class = -0.5},
        {.H = 4, .W = 4, .train = true, .resized_crop_lo = NAN},
        {.H = 4, .W = 4, .train = true, .views = -1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sak_error err = {0};
        assert_int_equal(sak_augment_sample(&bad[i], 1, 0, 0, 0, &in, &out, &err), SAK_EINVAL);
        assert_non_null(strstr(err.msg, "augment"));
    }
    sak_sample_close(&in);
    sak_sample_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hsv_of_every_colour_equals_the_fixed_point_tables),
        cmocka_unit_test(rgb_of_every_hsv_equals_the_sector_table),
        cmocka_unit_test(distortion_at_every_vector_level_equals_the_steps_one_by_one),
        cmocka_unit_test(each_distortion_comes_half_the_time_and_within_its_range),
        cmocka_unit_test(image_is_bilinear_and_labels_are_nearest_under_every_geometry),
        cmocka_unit_test(flipping_twice_changes_nothing_and_once_mirrors_normals),
        cmocka_unit_test(evaluation_pads_centrally_with_the_value_of_each_label),
        cmocka_unit_test(evaluation_crops_the_centre_of_a_larger_image),
        cmocka_unit_test(ignore_rules_mark_what_carries_no_label),
        cmocka_unit_test(scaling_divides_depth_by_the_factor_and_shows_more_or_less),
        cmocka_unit_test(labels_stay_on_their_pixels_through_scale_crop_and_flip),
        cmocka_unit_test(labels_stay_on_their_pixels_through_resized_crops),
        cmocka_unit_test(crops_filled_by_one_class_are_redrawn),
        cmocka_unit_test(the_share_that_is_too_much_can_be_set),
        cmocka_unit_test(the_share_of_a_class_equals_a_count_of_the_crop),
        cmocka_unit_test(resized_crops_keep_to_their_area_and_aspect),
        cmocka_unit_test(a_view_depends_on_seed_epoch_index_and_view_and_on_nothing_else),
        cmocka_unit_test(an_image_has_so_many_views_for_all_seeds_each_with_its_mirror_image),
        cmocka_unit_test(with_flips_alone_views_change_nothing),
        cmocka_unit_test(settings_outside_their_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
