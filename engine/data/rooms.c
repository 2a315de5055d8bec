/* The `rooms` dataset: builds and renders scene first + index of a seed on demand. */
#include "data/rooms.h"

#include <sha256.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/rooms_scene.h"

enum {
    ROOMS_VERSION = 1, /* of the generator: raise it when a pixel changes */
    HAS = SAK_HAS_IMAGE | SAK_HAS_SEMSEG | SAK_HAS_DEPTH | SAK_HAS_NORMALS | SAK_HAS_EDGE |
          SAK_HAS_SAL | SAK_HAS_PARTS | SAK_HAS_INSTANCE | SAK_HAS_CAPTION
};

typedef struct rooms {
    uint64_t seed;
    int64_t first;
} rooms;

static const char *const class_names[SAK_ROOMS_CLASSES] = {
    "other",   "wall", "floor",   "ceiling", "table", "chair",  "sofa", "bed",
    "cabinet", "lamp", "picture", "window",  "door",  "person", "box",  "plant"};

static sak_status rooms_read(const sak_dataset *d, int64_t index, sak_sample *out, sak_error *err)
{
    const rooms *k = d->state;
    if (index < 0 || index >= d->count)
        return SAK_FAIL(err, SAK_EINVAL, "rooms: sample %lld of %lld", (long long)index,
                        (long long)d->count);
    SAK_TRY(sak_sample_reserve(out, d->has, d->H, d->W, err));
    rooms_scene *scene;
    SAK_TRY(sak_alloc((void **)&scene, 1, sizeof *scene, err));
    const uint64_t number = (uint64_t)(k->first + index);
    sak_rng rng = sak_rng_open(k->seed, SAK_RNG_SCENE, number >> 32, (uint32_t)number);
    sak_rooms_build(scene, &rng);
    const sak_status st = sak_rooms_render(scene, out, err);
    if (st == SAK_OK) {
        sak_rooms_edges(out);
        sak_rooms_saliency(scene, out);
        sak_rooms_caption(scene, out);
        snprintf(out->id, sizeof out->id, "rooms-%llu-%llu", (unsigned long long)k->seed,
                 (unsigned long long)number);
    }
    sak_free(scene);
    return st;
}

static void rooms_close(sak_dataset *d)
{
    sak_free(d->state);
}

sak_status sak_rooms_open(sak_dataset *d, uint64_t seed, int64_t first, int64_t count, int H, int W,
                          sak_error *err)
{
    memset(d, 0, sizeof *d);
    if (H < 8 || W < 8 || H > 4096 || W > 4096)
        return SAK_FAIL(err, SAK_EINVAL, "rooms: size %dx%d is outside 8x8 … 4096x4096", H, W);
    if (first < 0 || count < 0 || count > INT64_MAX - first)
        return SAK_FAIL(err, SAK_EINVAL,
                        "rooms: first %lld and count %lld must not be negative or overflow",
                        (long long)first, (long long)count);
    rooms *k;
    SAK_TRY(sak_alloc((void **)&k, 1, sizeof *k, err));
    *k = (rooms){seed, first};
    *d = (sak_dataset){.has = HAS,
                       .H = H,
                       .W = W,
                       .count = count,
                       .classes = SAK_ROOMS_CLASSES,
                       .parts = SAK_ROOMS_PARTS,
                       .class_names = class_names,
                       .vocabulary = sak_rooms_vocabulary(),
                       .read = rooms_read,
                       .close = rooms_close,
                       .state = k};
    snprintf(d->name, sizeof d->name, "rooms");
    char text[160];
    snprintf(text, sizeof text, "rooms-v%d seed=%llu first=%lld count=%lld size=%dx%d",
             ROOMS_VERSION, (unsigned long long)seed, (long long)first, (long long)count, H, W);
    SHA256Data((const uint8_t *)text, strlen(text), d->identity);
    return SAK_OK;
}
