/* The rooms dataset: a sample depends on seed and number only, and reading keeps to the contract of
 * a dataset. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "rooms_fixture.h"

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
    for (const uint8_t *b = p; n--; b++)
        h = (h ^ *b) * 1099511628211ull;
    return h;
}

static uint64_t digest(const sak_sample *s)
{
    const size_t n = (size_t)s->H * (size_t)s->W;
    uint64_t h = 1469598103934665603ull;
    h = fnv(h, s->rgb, 3 * n);
    h = fnv(h, s->semseg, n);
    h = fnv(h, s->depth, n * sizeof *s->depth);
    h = fnv(h, s->normals, 3 * n * sizeof *s->normals);
    h = fnv(h, s->edge, n);
    h = fnv(h, s->sal, n);
    h = fnv(h, s->parts, n);
    h = fnv(h, s->instance, n);
    h = fnv(h, s->caption, sizeof s->caption);
    return fnv(h, s->id, strlen(s->id));
}

/* --- determinism ------------------------------------------------------------------------------ */

static void a_sample_depends_on_seed_and_number_only(void **state)
{
    (void)state;
    sak_dataset a = open_rooms(SEED, 0, 20, 48, 64), b = open_rooms(SEED, 5, 9, 48, 64);
    sak_sample x = {0}, y = {0};
    for (int i = 8; i >= 0; i--) { /* another order, a reused sample, another first */
        read_sample(&b, i, &y);
        read_sample(&a, 5 + i, &x);
        assert_int_equal(digest(&x), digest(&y));
    }
    sak_sample_close(&x);
    sak_sample_close(&y);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

static void other_numbers_and_other_seeds_give_other_scenes(void **state)
{
    (void)state;
    enum { N = 40 };
    sak_dataset a = open_rooms(SEED, 0, N, 16, 24), b = open_rooms(SEED + 1, 0, N, 16, 24);
    const size_t bytes = 16 * 24 * 3;
    uint8_t *seen = malloc(2 * N * bytes);
    sak_sample x = {0};
    for (int i = 0; i < 2 * N; i++) {
        read_sample(i < N ? &a : &b, i % N, &x);
        memcpy(seen + (size_t)i * bytes, x.rgb, bytes);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(seen + (size_t)j * bytes, x.rgb, bytes);
    }
    free(seen);
    sak_sample_close(&x);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

typedef struct reader {
    const sak_dataset *d;
    int turn;
    uint64_t digest[12];
    int failures;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    sak_sample x = {0};
    for (int i = 0; i < 12; i++) {
        const int index = (i + r->turn) % 12;
        r->failures += r->d->read(r->d, index, &x, NULL) != SAK_OK;
        r->digest[index] = digest(&x);
    }
    sak_sample_close(&x);
    return NULL;
}

static void threads_reading_at_once_get_what_one_thread_gets(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(SEED, 0, 12, 32, 48);
    reader alone = {.d = &d}, many[4];
    read_all(&alone);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++) {
        many[i] = (reader){.d = &d, .turn = 3 * i};
        assert_int_equal(pthread_create(&thread[i], NULL, read_all, &many[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(many[i].failures, 0);
        assert_memory_equal(many[i].digest, alone.digest, sizeof alone.digest);
    }
    sak_dataset_close(&d);
}

static void a_larger_image_shows_the_same_scene(void **state)
{
    (void)state;
    /* At three times the size, every pixel centre of the small image is one of the large image. */
    sak_dataset a = open_rooms(SEED, 0, 6, 32, 48), b = open_rooms(SEED, 0, 6, 96, 144);
    sak_sample x = {0}, y = {0};
    int wrong = 0;
    for (int i = 0; i < 6; i++) {
        read_sample(&a, i, &x);
        read_sample(&b, i, &y);
        for (int p = 0; p < 32 * 48; p++) {
            const int q = (3 * (p / 48) + 1) * 144 + 3 * (p % 48) + 1;
            wrong += fabsf(x.depth[p] - y.depth[q]) > 1e-3f * x.depth[p];
            wrong += x.semseg[p] != y.semseg[q];
        }
    }
    assert_in_range(wrong, 0, 6 * 32 * 48 / 1000); /* rays along a silhouette may fall either way */
    sak_sample_close(&x);
    sak_sample_close(&y);
    sak_dataset_close(&a);
    sak_dataset_close(&b);
}

/* Counts of classes in scene 0; a change of the generator must raise its version and these. */
static void the_content_is_that_of_version_1(void **state)
{
    (void)state;
    static const int want[SAK_ROOMS_CLASSES] = {303, 6389, 1470, 351, 357, 156, 725, 0,
                                                905, 47,   114,  194, 387, 571, 120, 199};
    sak_dataset d = open_rooms(SEED, 0, 8, 32, 48);
    sak_sample x = {0};
    int count[SAK_ROOMS_CLASSES] = {0};
    for (int i = 0; i < 8; i++) {
        read_sample(&d, i, &x);
        for (int p = 0; p < 32 * 48; p++)
            count[x.semseg[p]]++;
    }
    for (int c = 0; c < SAK_ROOMS_CLASSES; c++)
        if (abs(count[c] - want[c]) >
            8 + want[c] / 100) /* other math libraries may round otherwise */
            fail_msg("class %s: %d pixels, version 1 had %d", d.class_names[c], count[c], want[c]);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void the_identity_is_the_digest_of_what_determines_the_content(void **state)
{
    (void)state;
    sak_dataset d = open_rooms(7, 0, 10, 64, 96);
    /* printf 'rooms-v1 seed=7 first=0 count=10 size=64x96' | sha256sum */
    assert_string_equal(d.identity,
                        "2f3fbe4e9b5643382fed3d63751429ef39b09112c4945afba70a622bfd9eb490");
    sak_dataset_close(&d);
}

/* --- the contract ----------------------------------------------------------------------------- */

static void wrong_arguments_are_errors_that_name_the_value(void **state)
{
    (void)state;
    sak_dataset d;
    sak_error err = {0};
    assert_int_equal(sak_rooms_open(&d, 1, 0, 10, 4, 96, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "4x96"));
    assert_int_equal(sak_rooms_open(&d, 1, -1, 10, 64, 96, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "-1"));
    sak_dataset_close(&d); /* safe on one that did not open */
    d = open_rooms(1, 0, 10, 16, 24);
    sak_sample x = {0};
    assert_int_equal(d.read(&d, 10, &x, &err), SAK_EINVAL);
    assert_non_null(strstr(err.msg, "10 of 10"));
    assert_int_equal(d.read(&d, -1, &x, &err), SAK_EINVAL);
    sak_sample_close(&x);
    sak_dataset_close(&d);
}

static void a_sample_is_reserved_again_only_when_it_must(void **state)
{
    (void)state;
    sak_sample s = {0};
    sak_error err = {0};
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_IMAGE | SAK_HAS_DEPTH, 6, 7, &err), SAK_OK);
    assert_non_null(s.rgb);
    assert_non_null(s.depth);
    assert_null(s.semseg);
    s.rgb[6 * 7 * 3 - 1] = 9;
    s.depth[6 * 7 - 1] = 1.0f;
    const uint8_t *before = s.rgb;
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_IMAGE | SAK_HAS_DEPTH, 6, 7, &err), SAK_OK);
    assert_ptr_equal(s.rgb, before);
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_EDGE, 5, 5, &err), SAK_OK);
    assert_null(s.rgb);
    assert_non_null(s.edge);
    assert_int_equal(sak_sample_reserve(&s, SAK_HAS_EDGE, 0, 5, &err), SAK_ESHAPE);
    sak_sample_close(&s);
    sak_sample_close(&s); /* twice is harmless */
}

static void odd_and_tall_sizes_are_filled_to_the_last_pixel(void **state)
{
    (void)state;
    static const int size[][2] = {{8, 8}, {9, 31}, {61, 17}, {33, 65}};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        sak_dataset d = open_rooms(3, 0, 2, size[k][0], size[k][1]);
        sak_sample x = {0};
        read_sample(&d, 1, &x);
        assert_int_equal(x.H, size[k][0]);
        assert_int_equal(x.W, size[k][1]);
        for (int p = 0; p < x.H * x.W; p++)
            assert_true(x.depth[p] > 0.0f); /* reserve zeroes: a pixel left out would be 0 */
        sak_sample_close(&x);
        sak_dataset_close(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_depends_on_seed_and_number_only),
        cmocka_unit_test(other_numbers_and_other_seeds_give_other_scenes),
        cmocka_unit_test(threads_reading_at_once_get_what_one_thread_gets),
        cmocka_unit_test(a_larger_image_shows_the_same_scene),
        cmocka_unit_test(the_content_is_that_of_version_1),
        cmocka_unit_test(the_identity_is_the_digest_of_what_determines_the_content),
        cmocka_unit_test(wrong_arguments_are_errors_that_name_the_value),
        cmocka_unit_test(a_sample_is_reserved_again_only_when_it_must),
        cmocka_unit_test(odd_and_tall_sizes_are_filled_to_the_last_pixel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
