/* The order of the loader: same batches for any number of threads, permutations, exact seeks. */
#include <string.h>

#include "loader_fixture.h"

static int64_t elements(const sak_loader *l, const char *field)
{
    sak_error err = {0};
    sak_shape s;
    must(sak_loader_shape(l, field, &s, &err), &err);
    return sak_shape_count(&s);
}

/* FNV-1a over everything in a batch. */
static uint64_t digest(const sak_loader *l, const sak_batch *b)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (int f = 0; f < N_FIELDS; f++) {
        const unsigned char *p = (const unsigned char *)b->field[f];
        for (int64_t i = 0, n = elements(l, fields[f]) * (int64_t)sizeof(sak_real); i < n; i++)
            h = (h ^ p[i]) * 0x100000001b3ull;
    }
    return h ^ (uint64_t)b->epoch << 32 ^ (uint64_t)b->step;
}

static void batches_do_not_depend_on_threads_or_cache(void **state)
{
    (void)state;
    enum { STEPS = 25 };
    const sak_dataset d = make_dataset(13);
    uint64_t want[STEPS] = {0};
    for (int threads = 0; threads <= 4; threads++) {
        sak_loader_spec spec = make_spec(&d, 3);
        spec.threads = threads;
        spec.cache_bytes = threads >= 3 ? 100000 : 0; /* room for a few samples */
        fake.delay_us = threads == 4 ? 100 : 0;
        sak_loader *l = must_open(&spec);
        for (int s = 0; s < STEPS; s++) {
            const sak_batch *b = must_next(l);
            const uint64_t got = digest(l, b);
            assert_int_equal(b->step, s);
            assert_int_equal(b->epoch, s / 4);
            assert_int_equal(b->valid, 3);
            if (threads == 0)
                want[s] = got;
            if (got != want[s])
                fail_msg("%d threads: batch %d differs", threads, s);
        }
        sak_loader_close(l);
    }
    for (int s = 1; s < STEPS; s++)
        assert_true(want[s] != want[s - 1]);
}

static void digests_differ_exactly_where_images_do(void **state)
{
    (void)state;
    enum { COUNT = 8, STEPS = 24, PIXELS = 16 * 24 * 3 };
    const sak_dataset d = make_dataset(COUNT);
    sak_loader_spec spec = make_spec(&d, COUNT);
    spec.threads = 3;
    spec.digests = true;
    spec.augment.photometric = false;
    spec.augment.views = 2;
    static float image[STEPS * COUNT][PIXELS];
    static uint8_t digest_of[STEPS * COUNT][SAK_HASH_BYTES];
    sak_loader *l = must_open(&spec);
    for (int s = 0; s < STEPS; s++) {
        const sak_batch *b = must_next(l);
        for (int i = 0; i < COUNT; i++) {
            memcpy(image[COUNT * s + i], b->field[0] + (size_t)PIXELS * (size_t)i, sizeof *image);
            memcpy(digest_of[COUNT * s + i], b->digest[i], SAK_HASH_BYTES);
        }
    }
    sak_loader_close(l);
    int equal = 0;
    for (int i = 0; i < STEPS * COUNT; i++)
        for (int j = 0; j < i; j++) {
            const bool same = memcmp(image[i], image[j], sizeof *image) == 0;
            assert_int_equal(memcmp(digest_of[i], digest_of[j], SAK_HASH_BYTES) == 0, same);
            equal += same;
        }
    assert_true(equal > 100);
    const char *const labels[] = {"semseg"};
    sak_error err = {0};
    assert_int_equal(sak_loader_open(&spec, labels, 1, &l, &err), SAK_EINVAL);
}

static void every_epoch_is_another_permutation_without_its_partial_batch(void **state)
{
    (void)state;
    enum { COUNT = 23, BATCH = 4, EPOCHS = 6 };
    const sak_dataset d = make_dataset(COUNT);
    sak_loader_spec spec = make_spec(&d, BATCH);
    spec.threads = 2;
    sak_loader *l = must_open(&spec);
    assert_int_equal(sak_loader_batches(l), COUNT / BATCH);
    int64_t order[EPOCHS][COUNT / BATCH * BATCH];
    for (int e = 0; e < EPOCHS; e++) {
        int seen[COUNT] = {0};
        for (int s = 0; s < COUNT / BATCH; s++) {
            const sak_batch *b = must_next(l);
            for (int i = 0; i < BATCH; i++) {
                const int64_t index = b->index[i];
                assert_in_range(index, 0, COUNT - 1);
                assert_int_equal(seen[index]++, 0);
                assert_true(b->field[N_FIELDS - 1][i] == (float)index);
                order[e][s * BATCH + i] = index;
            }
        }
        for (int before = 0; before < e; before++)
            assert_memory_not_equal(order[e], order[before], sizeof order[e]);
    }
    sak_loader_close(l);
}

static void an_ordered_pass_ends_with_a_repeated_batch_and_its_true_count(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(11);
    sak_loader_spec spec = make_spec(&d, 4);
    spec.shuffle = false;
    spec.limit = 10;
    sak_loader *l = must_open(&spec);
    assert_int_equal(sak_loader_batches(l), 3);
    for (int s = 0; s < 7; s++) {
        const sak_batch *b = must_next(l);
        const int from = s % 3 * 4;
        assert_int_equal(b->epoch, s / 3);
        assert_int_equal(b->valid, s % 3 == 2 ? 2 : 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(b->index[i], from + i % b->valid);
    }
    sak_loader_close(l);
}

/* NYUD's list runs scene by scene, ImageNet's class by class: a part has some of each. */
static void a_part_of_the_samples_is_spread_over_all(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(12);
    sak_loader_spec spec = make_spec(&d, 3);
    spec.limit = 5;
    spec.shuffle = false;
    sak_loader *l = must_open(&spec);
    for (int s = 0; s < 4; s++) {
        static const int64_t want[6] = {0, 2, 4, 7, 9, 7};
        const sak_batch *b = must_next(l);
        assert_int_equal(b->valid, s % 2 ? 2 : 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(b->index[i], want[s % 2 * 3 + i]);
    }
    sak_loader_close(l);

    fake.broken[0] = 4; /* what is read instead is in use too */
    spec.skip_bad = spec.shuffle = true;
    spec.batch = 5;
    l = must_open(&spec);
    for (int s = 0; s < 8; s++) {
        const sak_batch *b = must_next(l);
        int times[12] = {0};
        for (int i = 0; i < 5; i++)
            times[b->index[i]]++;
        static const int want[12] = {[0] = 1, [2] = 1, [7] = 2, [9] = 1};
        assert_memory_equal(times, want, sizeof want);
    }
    sak_loader_close(l);
}

static void seeking_shows_what_would_have_come(void **state)
{
    (void)state;
    enum { STEPS = 30 };
    const sak_dataset d = make_dataset(10);
    sak_loader_spec spec = make_spec(&d, 3);
    uint64_t want[STEPS];
    sak_loader *l = must_open(&spec);
    for (int s = 0; s < STEPS; s++)
        want[s] = digest(l, must_next(l));
    sak_loader_close(l);

    spec.threads = 2;
    l = must_open(&spec);
    sak_rng r = sak_rng_open(1, SAK_RNG_TEST, 0, 0);
    for (int round = 0; round < 60; round++) {
        sak_error err = {0};
        const int64_t to = sak_rng_int(&r, STEPS), take = sak_rng_int(&r, 4);
        must(sak_loader_seek(l, to, &err), &err);
        for (int64_t s = to; s < to + take && s < STEPS; s++) {
            const sak_batch *b = must_next(l);
            assert_int_equal(b->step, s);
            assert_true(digest(l, b) == want[s]);
        }
    }
    sak_error err = {0};
    assert_int_equal(sak_loader_seek(l, -1, &err), SAK_EINVAL);
    sak_loader_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_threads_or_cache),
        cmocka_unit_test(digests_differ_exactly_where_images_do),
        cmocka_unit_test(every_epoch_is_another_permutation_without_its_partial_batch),
        cmocka_unit_test(an_ordered_pass_ends_with_a_repeated_batch_and_its_true_count),
        cmocka_unit_test(a_part_of_the_samples_is_spread_over_all),
        cmocka_unit_test(seeking_shows_what_would_have_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
