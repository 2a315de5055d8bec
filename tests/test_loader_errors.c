/* Errors of the loader: named samples, skipped ones, refused specifications, clean ends. */
#include <string.h>

#include "loader_fixture.h"

static void an_unreadable_sample_stops_the_batch_with_its_name(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(12);
    sak_loader_spec spec = make_spec(&d, 2);
    spec.shuffle = false;
    for (int threads = 1; threads <= 4; threads++) {
        sak_error err = {0};
        const sak_batch *b;
        spec.threads = threads;
        fake.broken[0] = 7;
        fake.broken[1] = 6;
        fake.slow = 6;
        sak_loader *l = must_open(&spec);
        for (int s = 0; s < 3; s++)
            (void)must_next(l);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(sak_loader_next(l, &b, &err), SAK_EFORMAT);
            assert_string_equal(err.msg, "fake: sample 6 'picture-6': the file ends in the middle");
            assert_null(b);
        }
        must(sak_loader_seek(l, 4, &err), &err);
        assert_int_equal(must_next(l)->index[0], 8);
        sak_loader_close(l);
    }
}

static void broken_samples_are_skipped_and_counted_once_on_request(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(12);
    sak_loader_spec spec = make_spec(&d, 3);
    spec.skip_bad = true;
    spec.shuffle = false;
    spec.threads = 3;
    fake.broken[0] = 4;
    fake.broken[1] = 5;
    fake.broken[2] = 11;
    fake.lacking = 7;
    sak_loader *l = must_open(&spec);
    for (int s = 0; s < 12; s++) {
        static const int64_t want[12] = {0, 1, 2, 3, 6, 6, 6, 8, 8, 9, 10, 0};
        const sak_batch *b = must_next(l);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(b->index[i], want[s % 4 * 3 + i]);
            assert_true(b->field[9][i] == (float)b->index[i]);
        }
    }
    assert_int_equal(sak_loader_get_stats(l).bad, 4);
    sak_loader_close(l);

    sak_error err = {0};
    const sak_batch *b;
    const sak_dataset small = make_dataset(2);
    fake.broken[0] = 0;
    fake.broken[1] = 1;
    spec = make_spec(&small, 1);
    spec.skip_bad = true;
    l = must_open(&spec);
    assert_int_equal(sak_loader_next(l, &b, &err), SAK_EFORMAT);
    assert_non_null(strstr(err.msg, "none of 2 samples"));
    sak_loader_close(l);
}

static void closing_at_any_moment_returns(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(50);
    sak_loader_spec spec = make_spec(&d, 4);
    fake.delay_us = 200;
    for (int round = 0; round < 60; round++) {
        spec.threads = 1 + round % 4;
        spec.cache_bytes = round % 3 ? 1 << 20 : 0;
        sak_loader *l = must_open(&spec);
        for (int s = 0; s < round % 5; s++)
            (void)must_next(l);
        if (round % 7 == 3) {
            sak_error err = {0};
            must(sak_loader_seek(l, 1000 + round, &err), &err);
        }
        if (round % 2)
            nanosleep(&(struct timespec){.tv_nsec = 37000L * round}, NULL);
        sak_loader_close(l);
    }
    sak_loader_close(NULL);
}

static void wrong_specifications_are_refused_with_a_reason(void **state)
{
    (void)state;
    sak_dataset d = make_dataset(6), empty = make_dataset(0);
    const struct {
        const char *field, *says;
        int64_t batch;
        int threads, prompts, patch, stride;
        const sak_dataset *data;
    } bad[] = {
        {"imag", "'imag'; there are image", 2, 1, 1, 8, 4, &d},
        {"human_parts", "nothing for field 'human_parts'", 2, 1, 1, 8, 4, &d},
        {"image", "batch 0", 0, 1, 1, 8, 4, &d},
        {"image", "do not fill one batch of 7", 7, 1, 1, 8, 4, &d},
        {"image", "threads", 2, -1, 1, 8, 4, &d},
        {"prompt", "prompts >= 1", 2, 1, 0, 8, 4, &d},
        {"prompt", "prompt_patch must divide", 2, 1, 1, 7, 4, &d},
        {"prompt_mask", "mask_stride must divide", 2, 1, 1, 8, 5, &d},
        {"image", "empty", 2, 1, 1, 8, 4, &empty},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sak_error err = {0};
        sak_loader *l;
        sak_loader_spec spec = make_spec(bad[i].data, bad[i].batch);
        spec.threads = bad[i].threads;
        spec.prompts = bad[i].prompts;
        spec.prompt_patch = bad[i].patch;
        spec.mask_stride = bad[i].stride;
        assert_int_equal(sak_loader_open(&spec, &bad[i].field, 1, &l, &err), SAK_EINVAL);
        assert_null(l);
        if (!strstr(err.msg, bad[i].says))
            fail_msg("case %zu says: %s", i, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unreadable_sample_stops_the_batch_with_its_name),
        cmocka_unit_test(broken_samples_are_skipped_and_counted_once_on_request),
        cmocka_unit_test(closing_at_any_moment_returns),
        cmocka_unit_test(wrong_specifications_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
