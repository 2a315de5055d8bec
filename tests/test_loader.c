/* The loader: same batches for any number of threads, exact seeks, named errors, clean ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/loader.h"

enum {
    HAS = SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS | SAK_HAS_EDGE |
          SAK_HAS_INSTANCE | SAK_HAS_CAPTION,
    H = 24,
    W = 36,
};

static void must(sak_status st, const sak_error *err)
{
    if (st != SAK_OK)
        fail_msg("status %d: %s", (int)st, err->msg);
}

/* Instances: 12 blocks of 8 x 9 pixels, and one of 4 pixels, less than 0.5% of the image. */
static int instance_at(int x, int y)
{
    return y < 4 && x == 0 ? 200 : x / 9 + 4 * (y / 8);
}

/* --- a dataset that can be slow, and broken in places -------------------------------- */

static struct {
    atomic_int reads;
    int64_t broken[4]; /* -1: none */
    int64_t lacking;   /* a sample without its depth */
    int64_t slow;      /* a sample that takes 5 ms longer */
    int delay_us;
} fake;

static sak_status read_fake(const sak_dataset *d, int64_t index, sak_sample *s, sak_error *err)
{
    (void)d;
    atomic_fetch_add(&fake.reads, 1);
    const int delay_us = fake.delay_us + (index == fake.slow ? 5000 : 0);
    if (delay_us)
        nanosleep(&(struct timespec){.tv_nsec = 1000L * delay_us}, NULL);
    for (int i = 0; i < 4; i++)
        if (fake.broken[i] == index) {
            snprintf(s->id, sizeof s->id, "picture-%d", (int)index);
            return SAK_FAIL(err, SAK_EFORMAT, "the file ends in the middle");
        }
    const unsigned has = index == fake.lacking ? HAS & ~SAK_HAS_DEPTH : HAS;
    SAK_TRY(sak_sample_reserve(s, (unsigned)has, H, W, err));
    snprintf(s->id, sizeof s->id, "picture-%d", (int)index);
    sak_rng r = sak_rng_open(77, SAK_RNG_TEST, 0, (uint32_t)index);
    for (int i = 0; i < H * W; i++) {
        const uint32_t x = sak_rng_u32(&r);
        for (int c = 0; c < 3; c++) {
            s->rgb[3 * i + c] = (uint8_t)(x >> 8 * c);
            s->normals[3 * i + c] = c == 2;
        }
        s->semseg[i] = (uint8_t)(x >> 29);
        s->edge[i] = x >> 28 & 1;
        s->instance[i] = (uint8_t)instance_at(i % W, i / W);
        if (s->depth)
            s->depth[i] = 1 + (float)index;
    }
    for (int i = 0; i < SAK_CAPTION_MAX; i++)
        s->caption[i] = (uint16_t)(i < 5 ? 100 + i + index : 0);
    return SAK_OK;
}

static sak_dataset make_dataset(int64_t count)
{
    atomic_store(&fake.reads, 0);
    fake.delay_us = 0;
    fake.lacking = fake.slow = -1;
    for (int i = 0; i < 4; i++)
        fake.broken[i] = -1;
    return (sak_dataset){.name = "fake",
                         .has = HAS,
                         .H = H,
                         .W = W,
                         .count = count,
                         .classes = 8,
                         .read = read_fake};
}

static sak_loader_spec make_spec(const sak_dataset *d, int64_t batch)
{
    return (sak_loader_spec){
        .data = d,
        .augment = {.H = 16,
                    .W = 24,
                    .train = true,
                    .scale_lo = 0.5,
                    .scale_hi = 2,
                    .random_crop = true,
                    .flip = 0.5,
                    .photometric = true},
        .batch = batch,
        .seed = 42,
        .shuffle = true,
        .prompts = 3,
        .prompt_patch = 8,
        .mask_stride = 4,
    };
}

static const char *const fields[] = {"image",   "image2", "semseg",      "edge",    "depth",
                                     "normals", "prompt", "prompt_mask", "caption", "index"};
enum { N_FIELDS = sizeof fields / sizeof *fields };

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

static sak_loader *must_open(const sak_loader_spec *spec)
{
    sak_error err = {0};
    sak_loader *l;
    must(sak_loader_open(spec, fields, N_FIELDS, &l, &err), &err);
    return l;
}

static const sak_batch *must_next(sak_loader *l)
{
    sak_error err = {0};
    const sak_batch *b;
    must(sak_loader_next(l, &b, &err), &err);
    return b;
}

/* --- order and determinism ----------------------------------------------------------- */

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

/* --- content ------------------------------------------------------------------------- */

static void a_batch_holds_what_one_augmented_sample_shows(void **state)
{
    (void)state;
    sak_error err = {0};
    const sak_dataset d = make_dataset(6);
    sak_loader_spec spec = make_spec(&d, 2);
    spec.threads = 2;
    sak_loader *l = must_open(&spec);
    sak_sample raw = {0}, view[2] = {{0}, {0}};
    enum { OUT = 16 * 24 };
    static const double mean[3] = {0.485, 0.456, 0.406}, std[3] = {0.229, 0.224, 0.225};
    for (int s = 0; s < 6; s++) {
        const sak_batch *b = must_next(l);
        for (int k = 0; k < 2; k++) {
            const int64_t index = b->index[k];
            must(d.read(&d, index, &raw, &err), &err);
            for (int v = 0; v < 2; v++)
                must(sak_augment_sample(&spec.augment, spec.seed, b->epoch, index, v, &raw,
                                        &view[v], &err),
                     &err);
            for (int i = 0; i < OUT; i++) {
                assert_true(b->field[2][k * OUT + i] == view[0].semseg[i]);
                assert_true(b->field[3][k * OUT + i] == view[0].edge[i]);
                assert_true(b->field[4][k * OUT + i] == view[0].depth[i]);
                for (int c = 0; c < 3; c++) {
                    assert_true(b->field[5][3 * (k * OUT + i) + c] == view[0].normals[3 * i + c]);
                    for (int v = 0; v < 2; v++) {
                        const double x = b->field[v][3 * (k * OUT + i) + c];
                        const double want = (view[v].rgb[3 * i + c] / 255.0 - mean[c]) / std[c];
                        /* padding shows as the rounded mean in the sample, as 0 in the batch */
                        assert_true(fabs(x - want) < (x == 0 ? 0.01 : 1e-6));
                    }
                }
            }
            assert_memory_not_equal(b->field[0] + 3 * k * OUT, b->field[1] + 3 * k * OUT,
                                    3 * OUT * sizeof(sak_real));
            for (int i = 0; i < SAK_CAPTION_MAX; i++)
                assert_true(b->field[8][k * SAK_CAPTION_MAX + i] == raw.caption[i]);
        }
    }
    sak_sample_close(&raw);
    sak_sample_close(&view[0]);
    sak_sample_close(&view[1]);
    sak_loader_close(l);
}

static void fields_have_the_shapes_that_the_header_states(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(6);
    const sak_loader_spec spec = make_spec(&d, 2);
    sak_loader *l = must_open(&spec);
    const struct {
        const char *field;
        sak_shape shape;
    } want[] = {{"image", SAK_SHAPE(2, 16, 24, 3)}, {"image2", SAK_SHAPE(2, 16, 24, 3)},
                {"semseg", SAK_SHAPE(2, 16, 24)},   {"edge", SAK_SHAPE(2, 16, 24, 1)},
                {"depth", SAK_SHAPE(2, 16, 24, 1)}, {"normals", SAK_SHAPE(2, 16, 24, 3)},
                {"prompt", SAK_SHAPE(2, 3, 6)},     {"prompt_mask", SAK_SHAPE(2, 4, 6, 3)},
                {"caption", SAK_SHAPE(2, 32)},      {"index", SAK_SHAPE(2, 1)}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        sak_error err = {0};
        sak_shape s;
        must(sak_loader_shape(l, want[i].field, &s, &err), &err);
        if (!sak_shape_equal(&s, &want[i].shape))
            fail_msg("%s is %s", want[i].field, SAK_SHAPE_TEXT(&s));
    }
    sak_error err = {0};
    sak_shape s;
    assert_int_equal(sak_loader_shape(l, "sal", &s, &err), SAK_EINVAL);
    sak_loader_close(l);
}

static void prompts_lie_in_the_instance_that_their_mask_shows(void **state)
{
    (void)state;
    const sak_dataset d = make_dataset(40);
    sak_loader_spec spec = make_spec(&d, 4);
    spec.augment = (sak_augment){.H = 24, .W = 40}; /* 2 columns of padding on each side */
    spec.prompts = 2;
    spec.prompt_patch = 4;
    spec.mask_stride = 2;
    const char *const only[] = {"prompt", "prompt_mask"};
    sak_error err = {0};
    sak_loader *l;
    must(sak_loader_open(&spec, only, 2, &l, &err), &err);
    enum { L = 6 * 10, CELLS = 12 * 20 };
    int chosen[12] = {0};
    for (int s = 0; s < 100; s++) {
        const sak_batch *b = must_next(l);
        for (int k = 0; k < 4 * 2; k++) {
            const float *one_hot = b->field[0] + k * L;
            const float *mask = b->field[1] + (k / 2) * CELLS * 2 + k % 2;
            int at = -1;
            for (int i = 0; i < L; i++)
                if (one_hot[i] != 0) {
                    assert_true(one_hot[i] == 1 && at < 0);
                    at = i;
                }
            assert_true(at >= 0);
            int id = -1, covered = 0;
            for (int i = 0; i < CELLS; i++) {
                const int y = i / 20 * 2 + 1, x = i % 20 * 2 + 1 - 2; /* in the raw image */
                const int here = x < 0 || x >= W ? -2 : instance_at(x, y);
                if (mask[2 * i] != 0) {
                    assert_true(here >= 0 && (id < 0 || id == here));
                    id = here;
                    covered++;
                }
            }
            assert_in_range(id, 0, 11);
            int cells = 0;
            for (int i = 0; i < CELLS; i++) {
                const int y = i / 20 * 2 + 1, x = i % 20 * 2 + 1 - 2;
                cells += x >= 0 && x < W && instance_at(x, y) == id;
            }
            assert_int_equal(covered, cells);
            chosen[id]++;
            /* the patch under the point touches the block */
            const int py = at / 10 * 4, px = at % 10 * 4 - 2, by = id / 4 * 8, bx = id % 4 * 9;
            assert_true(py < by + 8 && py + 4 > by && px < bx + 9 && px + 4 > bx);
        }
    }
    for (int i = 0; i < 12; i++)
        assert_true(chosen[i] > 30); /* of 800 points */
    sak_loader_close(l);
}

/* --- cache and errors ---------------------------------------------------------------- */

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
        cmocka_unit_test(batches_do_not_depend_on_threads_or_cache),
        cmocka_unit_test(digests_differ_exactly_where_images_do),
        cmocka_unit_test(every_epoch_is_another_permutation_without_its_partial_batch),
        cmocka_unit_test(an_ordered_pass_ends_with_a_repeated_batch_and_its_true_count),
        cmocka_unit_test(seeking_shows_what_would_have_come),
        cmocka_unit_test(a_batch_holds_what_one_augmented_sample_shows),
        cmocka_unit_test(fields_have_the_shapes_that_the_header_states),
        cmocka_unit_test(prompts_lie_in_the_instance_that_their_mask_shows),
        cmocka_unit_test(the_cache_reads_each_sample_once_within_its_bounds),
        cmocka_unit_test(loaders_that_share_a_cache_read_each_sample_once_between_them),
        cmocka_unit_test(an_unreadable_sample_stops_the_batch_with_its_name),
        cmocka_unit_test(broken_samples_are_skipped_and_counted_once_on_request),
        cmocka_unit_test(closing_at_any_moment_returns),
        cmocka_unit_test(waiting_is_measured),
        cmocka_unit_test(wrong_specifications_are_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
