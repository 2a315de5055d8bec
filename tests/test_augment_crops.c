/* Random scales and crops: labels stay on their pixels, depth follows the scale, and a crop that
 * one class fills is drawn again. */
#include <math.h>
#include <string.h>

#include "augment_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scaling_divides_depth_by_the_factor_and_shows_more_or_less),
        cmocka_unit_test(labels_stay_on_their_pixels_through_scale_crop_and_flip),
        cmocka_unit_test(labels_stay_on_their_pixels_through_resized_crops),
        cmocka_unit_test(crops_filled_by_one_class_are_redrawn),
        cmocka_unit_test(the_share_that_is_too_much_can_be_set),
        cmocka_unit_test(the_share_of_a_class_equals_a_count_of_the_crop),
        cmocka_unit_test(resized_crops_keep_to_their_area_and_aspect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
