/* Separable resampling: tables of taps, their transposes, and the loops that apply them. */
#include "kernels/resample.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Keys, "Cubic convolution interpolation for digital image processing", 1981. */
static double keys_cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

int64_t sak_resize_most_taps(int64_t n_in, int64_t n_out, sak_resize_mode mode)
{
    const double s = (double)n_in / (double)n_out;
    const int64_t wide = 4 * (int64_t)ceil(s < 1 ? 1 : s) + 2;
    switch (mode) {
    case SAK_RESIZE_NEAREST: return 1;
    case SAK_RESIZE_BILINEAR:
    case SAK_RESIZE_BILINEAR_CORNERS: return 2;
    case SAK_RESIZE_BICUBIC: return 4;
    case SAK_RESIZE_BICUBIC_ANTIALIAS: return wide < n_in ? wide : n_in;
    }
    return 0;
}

static int64_t clamp(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

int64_t sak_resize_taps_bytes(int64_t n_in, int64_t n_out, sak_resize_mode mode)
{
    const int64_t n = n_in > n_out ? n_in : n_out;
    return (2 * n + 1) * (int64_t)sizeof(int64_t) +
           n_out * sak_resize_most_taps(n_in, n_out, mode) * (int64_t)sizeof(sak_real);
}

/* Tables lie in one block: first[n], at[n + 1], weight[]. */
typedef struct table {
    int64_t *first, *at;
    sak_real *weight;
} table;

static table table_in(void *mem, int64_t n)
{
    int64_t *p = mem;
    return (table){p, p + n, (sak_real *)(p + 2 * n + 1)};
}

/* Weights of target i at positions base … base + n, clamped to the source, into w[first …]. */
static int64_t clamped(const double *v, int64_t base, int64_t n, int64_t n_in, int64_t *first,
                       sak_real *w)
{
    double sum[4] = {0};
    *first = clamp(base, n_in);
    for (int64_t k = 0; k < n; k++)
        sum[clamp(base + k, n_in) - *first] += v[k];
    const int64_t count = clamp(base + n - 1, n_in) - *first + 1;
    for (int64_t k = 0; k < count; k++)
        w[k] = (sak_real)sum[k];
    return count;
}

static int64_t antialias(int64_t i, int64_t n_in, double s, int64_t *first, sak_real *w)
{
    const double stretch = s > 1 ? s : 1, support = 2 * stretch, centre = s * ((double)i + 0.5);
    int64_t lo = (int64_t)(centre - support + 0.5), hi = (int64_t)(centre + support + 0.5);
    lo = lo < 0 ? 0 : lo;
    hi = hi > n_in ? n_in : hi;
    double sum = 0;
    for (int64_t j = lo; j < hi; j++)
        sum += keys_cubic(((double)j - centre + 0.5) / stretch, -0.5);
    for (int64_t j = lo; j < hi; j++)
        w[j - lo] = (sak_real)(keys_cubic(((double)j - centre + 0.5) / stretch, -0.5) / sum);
    *first = lo;
    return hi - lo;
}

sak_taps sak_resize_taps(int64_t n_in, int64_t n_out, sak_resize_mode mode, void *mem)
{
    assert(n_in >= 1 && n_out >= 1);
    const table t = table_in(mem, n_out);
    const double s = (double)n_in / (double)n_out;
    t.at[0] = 0;
    for (int64_t i = 0; i < n_out; i++) {
        sak_real *w = t.weight + t.at[i];
        double src = ((double)i + 0.5) * s - 0.5, v[4];
        int64_t count = 0;
        if (mode == SAK_RESIZE_NEAREST) {
            v[0] = 1;
            count = clamped(v, i * n_in / n_out, 1, n_in, &t.first[i], w);
        } else if (mode == SAK_RESIZE_BILINEAR || mode == SAK_RESIZE_BILINEAR_CORNERS) {
            if (mode == SAK_RESIZE_BILINEAR_CORNERS)
                src = n_out > 1 ? (double)(i * (n_in - 1)) / (double)(n_out - 1) : 0;
            src = src < 0 ? 0 : src;
            const int64_t base = (int64_t)src;
            v[1] = src - (double)base;
            v[0] = 1 - v[1];
            count = clamped(v, base, 2, n_in, &t.first[i], w);
        } else if (mode == SAK_RESIZE_BICUBIC) {
            const double base = floor(src);
            for (int k = 0; k < 4; k++)
                v[k] = keys_cubic(k - 1 - (src - base), -0.75);
            count = clamped(v, (int64_t)base - 1, 4, n_in, &t.first[i], w);
        } else {
            count = antialias(i, n_in, s, &t.first[i], w);
        }
        assert(count >= 1 && count <= sak_resize_most_taps(n_in, n_out, mode));
        t.at[i + 1] = t.at[i] + count;
    }
    return (sak_taps){n_out, t.first, t.at, t.weight};
}

/* Both ends of the tapped range never decrease with i, so the targets that tap one source element
 * are neighbours too. */
sak_taps sak_resize_taps_transpose(const sak_taps *f, int64_t n_in, void *mem)
{
    const table t = table_in(mem, n_in);
    int64_t lo = 0, hi = 0, n = 0;
    for (int64_t j = 0; j < n_in; j++) {
        while (lo < f->n && f->first[lo] + f->at[lo + 1] - f->at[lo] <= j)
            lo++;
        while (hi < f->n && f->first[hi] <= j)
            hi++;
        t.first[j] = lo < hi ? lo : 0;
        t.at[j] = n;
        for (int64_t i = lo; i < hi; i++)
            t.weight[n++] = f->weight[f->at[i] + j - f->first[i]];
    }
    t.at[n_in] = n;
    return (sak_taps){n_in, t.first, t.at, t.weight};
}

/* out += w x, or = for the first tap. */
static void add_scaled(int64_t n, sak_real w, const sak_real *restrict x, sak_real *restrict out,
                       bool first)
{
    if (first)
        for (int64_t i = 0; i < n; i++)
            out[i] = w * x[i];
    else
        for (int64_t i = 0; i < n; i++)
            out[i] += w * x[i];
}

/* out[i] = (out[i] +) sum_t w[t] x[t * C + i]. */
static void tap_columns(int64_t C, int64_t n, const sak_real *w, const sak_real *restrict x,
                        sak_real *restrict out, bool acc)
{
    if (n == 2) {
        const sak_real *restrict x1 = x + C, w0 = w[0], w1 = w[1];
        if (acc)
            for (int64_t i = 0; i < C; i++)
                out[i] += w0 * x[i] + w1 * x1[i];
        else
            for (int64_t i = 0; i < C; i++)
                out[i] = w0 * x[i] + w1 * x1[i];
        return;
    }
    if (n == 0 && !acc)
        memset(out, 0, (size_t)C * sizeof *out);
    for (int64_t t = 0; t < n; t++)
        add_scaled(C, w[t], x + t * C, out, t == 0 && !acc);
}

/* The same over a line of targets for maps of few channels (labels, depth, RGB). */
static void tap_pixels(const sak_taps *cols, int64_t C, const sak_real *restrict x,
                       sak_real *restrict y, bool acc)
{
    for (int64_t j = 0; j < cols->n; j++) {
        const sak_real *w = cols->weight + cols->at[j], *from = x + cols->first[j] * C;
        const int64_t n = cols->at[j + 1] - cols->at[j];
        for (int64_t c = 0; c < C; c++, y++) {
            sak_real sum = 0;
            for (int64_t t = 0; t < n; t++)
                sum += w[t] * from[t * C + c];
            *y = acc ? *y + sum : sum;
        }
    }
}

void sak_resize_line(const sak_taps *rows, const sak_taps *cols, int64_t W, int64_t C,
                     const sak_real *x, int64_t line, sak_real *y, bool acc, sak_real *tmp)
{
    const int64_t r0 = rows->at[line], n = rows->at[line + 1] - r0;
    tap_columns(W * C, n, rows->weight + r0, x + rows->first[line] * W * C, tmp, false);
    if (C <= 4) {
        tap_pixels(cols, C, tmp, y, acc);
        return;
    }
    for (int64_t j = 0; j < cols->n; j++)
        tap_columns(C, cols->at[j + 1] - cols->at[j], cols->weight + cols->at[j],
                    tmp + cols->first[j] * C, y + j * C, acc);
}

sak_status sak_resize_hwc(const sak_real *x, int64_t H, int64_t W, int64_t C, sak_real *y,
                          int64_t h, int64_t w, sak_resize_mode mode, sak_error *err)
{
    if (H < 1 || W < 1 || h < 1 || w < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "cannot resize (%lld, %lld) to (%lld, %lld)",
                        (long long)H, (long long)W, (long long)h, (long long)w);
    const int64_t bytes_h = (sak_resize_taps_bytes(H, h, mode) + 63) / 64 * 64;
    const int64_t bytes_w = (sak_resize_taps_bytes(W, w, mode) + 63) / 64 * 64;
    void *mem = NULL;
    SAK_TRY(sak_alloc(&mem, (size_t)(bytes_h + bytes_w) + (size_t)(W * C) * sizeof *x, 1, err));
    const sak_taps rows = sak_resize_taps(H, h, mode, mem);
    const sak_taps cols = sak_resize_taps(W, w, mode, (char *)mem + bytes_h);
    for (int64_t i = 0; i < h; i++)
        sak_resize_line(&rows, &cols, W, C, x, i, y + i * w * C, false,
                        (sak_real *)((char *)mem + bytes_h + bytes_w));
    sak_free(mem);
    return SAK_OK;
}
