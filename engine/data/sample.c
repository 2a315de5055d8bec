/* Samples: the arrays of one labelled image, and the end of a dataset. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset.h"

sak_status sak_sample_reserve(sak_sample *s, unsigned has, int H, int W, sak_error *err)
{
    if (H < 1 || W < 1 || H > 1 << 15 || W > 1 << 15)
        return SAK_FAIL(err, SAK_ESHAPE, "sample: size %dx%d is outside 1x1 … 32768x32768", H, W);
    if (s->has == has && s->H == H && s->W == W)
        return SAK_OK;
    sak_sample_close(s);
    const size_t n = (size_t)H * (size_t)W;
    const struct {
        unsigned flag;
        void **array;
        size_t bytes;
    } want[] = {
        {SAK_HAS_IMAGE, (void **)&s->rgb, 3},
        {SAK_HAS_SEMSEG, (void **)&s->semseg, 1},
        {SAK_HAS_DEPTH, (void **)&s->depth, sizeof(float)},
        {SAK_HAS_NORMALS, (void **)&s->normals, 3 * sizeof(float)},
        {SAK_HAS_EDGE, (void **)&s->edge, 1},
        {SAK_HAS_SAL, (void **)&s->sal, 1},
        {SAK_HAS_PARTS, (void **)&s->parts, 1},
        {SAK_HAS_INSTANCE, (void **)&s->instance, 1},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        if (!(has & want[i].flag))
            continue;
        const sak_status st = sak_alloc(want[i].array, n, want[i].bytes, err);
        if (st != SAK_OK) {
            sak_sample_close(s);
            return st;
        }
    }
    s->has = has;
    s->H = H;
    s->W = W;
    return SAK_OK;
}

void sak_sample_name(sak_sample *s, const char *id)
{
    const size_t n = strlen(id), room = sizeof s->id - 1;
    if (n <= room)
        snprintf(s->id, sizeof s->id, "%s", id);
    else
        snprintf(s->id, sizeof s->id, "...%s", id + n - (room - 3));
}

void sak_sample_close(sak_sample *s)
{
    sak_free(s->rgb);
    sak_free(s->semseg);
    sak_free(s->depth);
    sak_free(s->normals);
    sak_free(s->edge);
    sak_free(s->sal);
    sak_free(s->parts);
    sak_free(s->instance);
    *s = (sak_sample){0};
}

void sak_dataset_close(sak_dataset *d)
{
    if (d->close)
        d->close(d);
    memset(d, 0, sizeof *d);
}
