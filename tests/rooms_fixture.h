/* Rooms of a given seed, opened and read: what the tests of the rooms dataset share. */
#ifndef SAK_TESTS_ROOMS_FIXTURE_H
#define SAK_TESTS_ROOMS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "data/rooms.h"

enum { SEED = 7 };

static inline sak_dataset open_rooms(uint64_t seed, int64_t first, int64_t count, int H, int W)
{
    sak_dataset d;
    sak_error err = {0};
    if (sak_rooms_open(&d, seed, first, count, H, W, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    return d;
}

static inline void read_sample(const sak_dataset *d, int64_t i, sak_sample *s)
{
    sak_error err = {0};
    if (d->read(d, i, s, &err) != SAK_OK)
        fail_msg("%s", err.msg);
}

#endif
