/* Photometric distortion: colour spaces over every colour, and the steps at every vector level,
 * against a small computation of their own. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/augment.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hsv_of_every_colour_equals_the_fixed_point_tables),
        cmocka_unit_test(rgb_of_every_hsv_equals_the_sector_table),
        cmocka_unit_test(distortion_at_every_vector_level_equals_the_steps_one_by_one),
        cmocka_unit_test(each_distortion_comes_half_the_time_and_within_its_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
