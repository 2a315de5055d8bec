/* Views: what one depends on, and how many an image has; settings that no view can have. */
#include <math.h>
#include <string.h>

#include "augment_fixture.h"

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
        cmocka_unit_test(a_view_depends_on_seed_epoch_index_and_view_and_on_nothing_else),
        cmocka_unit_test(an_image_has_so_many_views_for_all_seeds_each_with_its_mirror_image),
        cmocka_unit_test(with_flips_alone_views_change_nothing),
        cmocka_unit_test(settings_outside_their_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
