/* Samples with noise in every map, and random geometries: what the tests of augmentation share. */
#ifndef SAK_TESTS_AUGMENT_FIXTURE_H
#define SAK_TESTS_AUGMENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "data/augment.h"
#include "must.h"

enum {
    EVERYTHING = SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS | SAK_HAS_EDGE |
                 SAK_HAS_SAL | SAK_HAS_PARTS | SAK_HAS_INSTANCE
};

static inline sak_sample make(unsigned has, int H, int W)
{
    sak_error err = {0};
    sak_sample s = {0};
    must(sak_sample_reserve(&s, has, H, W, &err), &err);
    return s;
}

/* Noise in every map; labels as a dataset may return them. */
static inline sak_sample make_noise(unsigned seed, int H, int W)
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

/* A random geometry over an image, covering enlarging, shrinking, windows, parts and flips. */
static inline sak_geometry draw_geometry(sak_rng *r, int H, int W, int out_H, int out_W)
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

#endif
