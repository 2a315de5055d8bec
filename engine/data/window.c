/* Windows of a picture that is predicted part by part. */
#include "data/window.h"

#include <string.h>

#include "base/alloc.h"
#include "data/augment.h"

static int least(int a, int b)
{
    return a < b ? a : b;
}

sak_status sak_window_init(sak_window *v, int h, int w, int y, int x, int H, int W, sak_error *err)
{
    *v = (sak_window){.h = h, .w = w, .y = y, .x = x, .top = y < 0 ? -y : 0, .left = x < 0 ? -x : 0};
    v->height = least(H - y, h) - v->top;
    v->width = least(W - x, w) - v->left;
    if (v->height < 1 || v->width < 1)
        return SAK_FAIL(err, SAK_EINVAL, "a window of %dx%d at (%d, %d) misses the picture of %dx%d", h, w,
                        y, x, H, W);
    return SAK_OK;
}

sak_status sak_window_show(const sak_window *v, const uint8_t *rgb, int W, float *out, sak_error *err)
{
    uint8_t *shown;
    SAK_TRY(sak_alloc((void **)&shown, (size_t)v->h * (size_t)v->w, 3, err));
    for (int r = 0; r < v->height; r++)
        memcpy(shown + 3 * ((size_t)(v->top + r) * (size_t)v->w + (size_t)v->left),
               rgb + 3 * ((size_t)(v->y + v->top + r) * (size_t)W + (size_t)(v->x + v->left)),
               3 * (size_t)v->width);
    const sak_view view = {.s = {.H = v->h, .W = v->w, .rgb = shown}, .x0 = v->left, .y0 = v->top,
                           .w = v->width, .h = v->height};
    sak_normalise(&view, out);
    sak_free(shown);
    return SAK_OK;
}
