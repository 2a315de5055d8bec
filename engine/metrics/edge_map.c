/* Boundary maps: non-maximum suppression along the edge's normal. */
#include <math.h>

#include "base/alloc.h"
#include "metrics/internal.h"

/* ---- orientation and suppression ---- */

/* Index i reflected into 0 … n-1, the border pixel repeated: -1 is 0, n is n-1. */
static int reflect(int i, int n)
{
    while (i < 0 || i >= n)
        i = i < 0 ? -i - 1 : 2 * n - 1 - i;
    return i;
}

/* y = x filtered along one axis with the triangle 1 … r+1 … 1 / (r+1)^2. */
static void triangle(const float *x, int H, int W, int r, bool rows, float *y)
{
    const float norm = 1.0f / (float)((r + 1) * (r + 1));
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            float s = 0;
            for (int d = -r; d <= r; d++) {
                const int at = rows ? i * W + reflect(j + d, W) : reflect(i + d, H) * W + j;
                s += (float)(r + 1 - (d < 0 ? -d : d)) * x[at];
            }
            y[i * W + j] = s * norm;
        }
}

/* Central differences, one-sided at the border; along x if `rows`. */
static void gradient(const float *f, int H, int W, bool rows, float *g)
{
    const int n = rows ? W : H, step = rows ? 1 : W;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++) {
            const int at = rows ? j : i, p = i * W + j;
            const int lo = at > 0 ? p - step : p, hi = at + 1 < n ? p + step : p;
            g[p] = hi == lo ? 0 : (f[hi] - f[lo]) / (float)((hi - lo) / step);
        }
}

/* Direction across the edge in [0, pi): atan(Oyy sign(-Oxy) / (Oxx + 1e-5)), Dollar & Zitnick. */
static float orientation(float xx, float xy, float yy)
{
    const float sign = xy < 0 ? 1.0f : xy > 0 ? -1.0f : 0.0f;
    const float a = atanf(yy * sign / (xx + 1e-5f));
    return a < 0 ? a + 3.14159265f : a;
}

/* e at a real position, bilinear, clamped just inside the map. */
static float at_point(const float *e, int H, int W, float y, float x)
{
    const float top = (float)H - 1.001f, right = (float)W - 1.001f;
    y = y < 0 ? 0 : y > top ? top : y;
    x = x < 0 ? 0 : x > right ? right : x;
    if (!(y >= 0)) /* maps one pixel high or wide */
        y = 0;
    if (!(x >= 0))
        x = 0;
    const int y0 = (int)y, x0 = (int)x, y1 = y0 + 1 < H ? y0 + 1 : y0,
              x1 = x0 + 1 < W ? x0 + 1 : x0;
    const float dy = y - (float)y0, dx = x - (float)x0;
    return (e[y0 * W + x0] * (1 - dx) + e[y0 * W + x1] * dx) * (1 - dy) +
           (e[y1 * W + x0] * (1 - dx) + e[y1 * W + x1] * dx) * dy;
}

static bool is_maximum(const float *e, int H, int W, int y, int x, float angle, int r, float m)
{
    const float c = cosf(angle), s = sinf(angle), own = e[y * W + x] * m;
    for (int d = -r; d <= r; d++)
        if (d && own < at_point(e, H, W, (float)y + (float)d * s, (float)x + (float)d * c))
            return false;
    return true;
}

static float fade(int i, int n, int border)
{
    const int from_end = i < n - 1 - i ? i : n - 1 - i;
    return from_end < border ? (float)from_end / (float)border : 1.0f;
}

sak_status sak_edge_nms(const float *e, int H, int W, int smooth, int r, int border, float m,
                        float *out, sak_error *err)
{
    const size_t n = (size_t)H * (size_t)W;
    float *work = NULL;
    SAK_TRY(sak_alloc((void **)&work, 5 * n, sizeof *work, err));
    float *base = work, *first = work + n, *xx = work + 2 * n, *xy = work + 3 * n,
          *yy = work + 4 * n;
    triangle(e, H, W, smooth, true, first);
    triangle(first, H, W, smooth, false, base);
    gradient(base, H, W, true, first);
    gradient(first, H, W, true, xx);
    gradient(base, H, W, false, first);
    gradient(first, H, W, true, xy);
    gradient(first, H, W, false, yy);
    border = border > W / 2 ? W / 2 : border;
    border = border > H / 2 ? H / 2 : border;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            const int i = y * W + x;
            const float angle = orientation(xx[i], xy[i], yy[i]);
            const bool keep = e[i] != 0 && is_maximum(e, H, W, y, x, angle, r, m);
            out[i] = keep ? e[i] * fade(x, W, border) * fade(y, H, border) : 0;
        }
    sak_free(work);
    return SAK_OK;
}
