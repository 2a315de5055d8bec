/* What the losses share.
 *
 * Sums over large arrays: every chunk leaves partial sums in double in the shared scratch, and one
 * thread adds them in chunk order, so that the bits do not depend on the number of threads.
 *
 * Label 255 means "not labelled": such pixels count in neither sum nor divisor; where a batch has no
 * labelled pixel at all the loss is 0, with gradient 0.  Every loss has shape (1). */
#ifndef SAK_OPS_LOSS_PARTS_H
#define SAK_OPS_LOSS_PARTS_H

#include "ops/op.h"

#define LOSS_IGNORED ((sak_real)255)

enum { LOSS_GRAIN = 16384 }; /* elements or pixels per chunk */

/* A loop over one call: `part` points at m doubles per chunk. */
typedef struct loss_loop {
    const sak_opcall *c;
    double *part;
    int m;
    int64_t grain, per_image; /* per_image: chunks of one image, where images are kept apart */
} loss_loop;

/* Chunks of one image, where images (the first axis) are kept apart. */
static inline int64_t loss_chunks_per_image(const sak_opshape *s)
{
    return sak_chunks(sak_shape_count(&s->x[0]) / s->x[0].d[0], LOSS_GRAIN);
}

/* Scratch elements for m doubles in each of `chunks` chunks. */
static inline int64_t loss_part_room(int64_t chunks, int m)
{
    return chunks * m * (int64_t)(sizeof(double) / sizeof(sak_real));
}

/* The opcall's shared scratch seen as doubles; it is 64-byte aligned and has no other use. */
static inline double *loss_parts(const sak_opcall *c)
{
    return (double *)(void *)c->shared;
}

/* Sum j of m over chunks [begin, end). */
static inline double loss_sum(const double *part, int64_t begin, int64_t end, int m, int j)
{
    double s = 0;
    for (int64_t i = begin; i < end; i++)
        s += part[i * m + j];
    return s;
}

/* One element kept for backward: 1 / #valid. */
static inline int64_t loss_save_one(const sak_opshape *s)
{
    (void)s;
    return 1;
}

/* Two inputs of one non-empty shape; the loss has shape (1). */
static inline sak_status loss_shape_pair(sak_opshape *s, sak_error *err)
{
    if (!sak_shape_equal(&s->x[0], &s->x[1]))
        return SAK_FAIL(err, SAK_ESHAPE, "%s: the inputs have shapes %s and %s; they must agree",
                        s->op->name, SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    if (sak_shape_count(&s->x[0]) < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: the inputs %s are empty", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]));
    s->y = SAK_SHAPE(1);
    return SAK_OK;
}

#endif
