/* From labels and raw head outputs to what is looked at; see sheet.c. */
#ifndef SAK_BIND_PAINTER_H
#define SAK_BIND_PAINTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* Paints pictures of one size, one after the other, into rgb (H*W*3). */
typedef struct sak_painter {
    int H, W;
    float near, far; /* metres: the range of the true depth painted last, for its prediction too; 0, 0:
                      * each picture its own */
    uint8_t *rgb, *label;
    float *values;
} sak_painter;

/* Close in either case. */
sak_status sak_painter_open(sak_painter *p, int H, int W, sak_error *err);
void sak_painter_close(sak_painter *p);
/* x: (H, W, C) raw head output, or (truth) a label as the loader gives it, with C = 1 or 3. */
void sak_paint_task(sak_painter *p, const char *task, bool truth, const float *x, int64_t C);

/* What a head says of one pixel. */
int sak_best_channel(const float *x, int64_t C);  /* the first of the largest */
void sak_unit_vector(const float *v, float *out); /* 3 numbers; of length 0 as they are */

#endif
