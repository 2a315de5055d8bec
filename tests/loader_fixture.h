/* A loader over a dataset that can be slow, and broken in places: what the tests of the loader
 * share. */
#ifndef SAK_TESTS_LOADER_FIXTURE_H
#define SAK_TESTS_LOADER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/loader.h"
#include "must.h"

enum {
    HAS = SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS | SAK_HAS_EDGE |
          SAK_HAS_INSTANCE | SAK_HAS_CAPTION,
    H = 24,
    W = 36,
};

/* Instances: 12 blocks of 8 x 9 pixels, and one of 4 pixels, less than 0.5% of the image. */
static inline int instance_at(int x, int y)
{
    return y < 4 && x == 0 ? 200 : x / 9 + 4 * (y / 8);
}

static struct {
    atomic_int reads;
    int64_t broken[4]; /* -1: none */
    int64_t lacking;   /* a sample without its depth */
    int64_t slow;      /* a sample that takes 5 ms longer */
    int delay_us;
} fake;

static inline sak_status read_fake(const sak_dataset *d, int64_t index, sak_sample *s,
                                   sak_error *err)
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

static inline sak_dataset make_dataset(int64_t count)
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

static inline sak_loader_spec make_spec(const sak_dataset *d, int64_t batch)
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

static inline sak_loader *must_open(const sak_loader_spec *spec)
{
    sak_error err = {0};
    sak_loader *l;
    must(sak_loader_open(spec, fields, N_FIELDS, &l, &err), &err);
    return l;
}

static inline const sak_batch *must_next(sak_loader *l)
{
    sak_error err = {0};
    const sak_batch *b;
    must(sak_loader_next(l, &b, &err), &err);
    return b;
}

#endif
