/* Windows of a picture that is predicted part by part. */
#ifndef SAK_DATA_WINDOW_H
#define SAK_DATA_WINDOW_H

#include <stdint.h>

#include "base/status.h"

/* h x w pixels whose first one is pixel (y, x) of an H x W picture, which may lie outside. */
typedef struct sak_window {
    int h, w, y, x;
    int top, left, height, width; /* its part within the picture, from its own corner */
} sak_window;

/* SAK_EINVAL: it shows nothing of the picture. */
sak_status sak_window_init(sak_window *v, int h, int w, int y, int x, int H, int W, sak_error *err);

/* What it shows of rgb (H*W*3), as evaluation gives images to a graph: out (h, w, 3), ImageNet-normalised,
 * 0 outside the picture. */
sak_status sak_window_show(const sak_window *v, const uint8_t *rgb, int W, float *out, sak_error *err);

#endif
