/* What the loader reads: each sample once within the bounds of a cache; and how long it waits. */
#include "loader_fixture.h"

static void the_cache_reads_each_sample_once_within_its_bounds(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(12);
    for (int threads = 1; threads <= 4; threads += 3) {
        sak_loader_spec spec = make_spec(&d, 3);
        spec.threads = threads;
        spec.cache_bytes = 1 << 20;
        atomic_store(&fake.reads, 0);
        sak_loader *l = must_open(&spec);
        for (int s = 0; s < 40; s++)
            (void)must_next(l);
        const sak_loader_stats st = sak_loader_get_stats(l);
        sak_loader_close(l);
        /* Two threads may read one sample at once, where an epoch ends and the next begins. */
        assert_in_range(st.read, 12, 12 + threads - 1);
        assert_true(atomic_load(&fake.reads) == st.read);
        assert_true(st.read + st.cached >= 40 * 3);

        spec.cache_bytes = 5 * (sizeof(sak_sample) + (size_t)H * W * (3 + 1 + 4 + 12 + 1 + 1));
        l = must_open(&spec);
        for (int s = 0; s < 40; s++)
            (void)must_next(l);
        const sak_loader_stats tight = sak_loader_get_stats(l);
        sak_loader_close(l);
        /* 10 epochs: 5 samples are read once, 7 each time; 3 batches may be under way */
        assert_in_range(tight.read, 5 + 7 * 10, 5 + 7 * 10 + 9 + threads - 1);
        assert_int_equal(tight.bad, 0);

        spec.cache_bytes = 1000; /* less than one sample */
        l = must_open(&spec);
        for (int s = 0; s < 10; s++)
            (void)must_next(l);
        assert_int_equal(sak_loader_get_stats(l).cached, 0);
        sak_loader_close(l);
    }
}

static void loaders_that_share_a_cache_read_each_sample_once_between_them(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(12);
    sak_sample_cache cache;
    sak_error err;
    assert_int_equal(sak_sample_cache_open(&cache, d.count, 1 << 20, &err), SAK_OK);
    sak_loader_spec spec = make_spec(&d, 3), alone = spec;
    spec.cache = &cache;
    atomic_store(&fake.reads, 0);
    for (int stage = 0; stage < 3; stage++) {
        alone.seed = spec.seed = (uint64_t)stage;
        alone.limit = spec.limit = stage == 1 ? 6 : 0; /* fewer samples, the same indices */
        sak_loader *l = must_open(&spec), *own = must_open(&alone);
        for (int s = 0; s < 8; s++) {
            const sak_batch *a = must_next(l), *b = must_next(own);
            assert_memory_equal(a->index, b->index, 3 * sizeof *a->index);
            assert_memory_equal(a->field[0], b->field[0], sizeof(sak_real) * 3);
        }
        const sak_loader_stats st = sak_loader_get_stats(l);
        assert_int_equal(st.read, stage ? 0 : 12);
        sak_loader_close(l);
        sak_loader_close(own);
    }
    sak_sample_cache_close(&cache);
}

static void waiting_is_measured(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(50);
    sak_loader_spec spec = make_spec(&d, 5);
    fake.delay_us = 4000;
    sak_loader *l = must_open(&spec);
    (void)must_next(l);
    (void)must_next(l);
    const double waited = sak_loader_get_stats(l).wait_s; /* about 10 reads of 4 ms */
    assert_true(waited > 0.02 && waited < 5);
    sak_loader_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_reads_each_sample_once_within_its_bounds),
        cmocka_unit_test(loaders_that_share_a_cache_read_each_sample_once_between_them),
        cmocka_unit_test(waiting_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
