/* Convolutions on (B, H, W, C) maps: dense (im2col in chunks of pixels, then a product), depthwise,
 * and the cutting of images into patches. */
#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "ops/op.h"

#include <string.h>

/* --- windows of pixels ----------------------------------------------------------------------------*/

/* For every pixel (y, x) of an (h, w) grid: the kh x kw window of src (B, H, W, C) whose first pixel
 * is (y + oy, x + ox); zero outside. */
typedef struct windows {
    const sak_real *src;
    int64_t H, W, C, h, w, kh, kw, oy, ox;
} windows;

static void copy_window(const windows *v, int64_t pixel, sak_real *to)
{
    const int64_t b = pixel / (v->h * v->w), y = pixel / v->w % v->h, x = pixel % v->w + v->ox;
    const int64_t line = v->kw * v->C;
    const int64_t lo = x < 0 ? (-x < v->kw ? -x : v->kw) : 0;
    const int64_t hi = v->W - x < v->kw ? (v->W - x > lo ? v->W - x : lo) : v->kw;
    for (int64_t ky = 0; ky < v->kh; ky++, to += line) {
        const int64_t iy = y + v->oy + ky;
        if (iy < 0 || iy >= v->H || hi <= lo) {
            memset(to, 0, (size_t)line * sizeof *to);
            continue;
        }
        const sak_real *from = v->src + ((b * v->H + iy) * v->W + x + lo) * v->C;
        memset(to, 0, (size_t)(lo * v->C) * sizeof *to);
        memcpy(to + lo * v->C, from, (size_t)((hi - lo) * v->C) * sizeof *to);
        memset(to + hi * v->C, 0, (size_t)((v->kw - hi) * v->C) * sizeof *to);
    }
}

static void copy_windows(const windows *v, int64_t begin, int64_t end, sak_real *to)
{
    const int64_t n = v->kh * v->kw * v->C;
    for (int64_t i = begin; i < end; i++, to += n)
        copy_window(v, i, to);
}

/* Pixels per chunk for windows of n elements: about half a megabyte of float. */
static int64_t window_grain(int64_t n)
{
    const int64_t grain = 131072 / n;
    return grain < 24 ? 24 : grain > 480 ? 480 : grain / 12 * 12;
}

/* --- dense ----------------------------------------------------------------------------------------*/

typedef struct conv {
    const sak_opcall *c;
    int64_t B, H, W, I, O, kh, kw, pad, h, w;
    sak_real *weight; /* repacked */
} conv;

static conv conv_sizes(const sak_opshape *s)
{
    const sak_shape *x = &s->x[0], *k = &s->x[1];
    conv v = {.B = x->d[0], .H = x->d[1], .W = x->d[2], .I = x->d[3], .O = k->d[0]};
    v.kh = k->d[2];
    v.kw = k->d[3];
    v.pad = (int64_t)SAK_ATTR(s, 0);
    v.h = v.H + 2 * v.pad - v.kh + 1;
    v.w = v.W + 2 * v.pad - v.kw + 1;
    return v;
}

static sak_status conv_check(sak_opshape *s, int64_t in, int64_t out, sak_error *err)
{
    const char *name = s->op->name;
    const conv v = conv_sizes(s);
    if (v.pad < 0)
        return SAK_FAIL(err, SAK_EINVAL, "%s: padding must not be negative, got %lld", name,
                        (long long)v.pad);
    if (in != s->x[1].d[1])
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x is %s but weight is %s", name,
                        SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    if (s->n_in > 2 && (s->x[2].n != 1 || s->x[2].d[0] != out))
        return SAK_FAIL(err, SAK_ESHAPE, "%s: bias must be (%lld), got %s", name, (long long)out,
                        SAK_SHAPE_TEXT(&s->x[2]));
    if (v.h < 1 || v.w < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: a %lld x %lld kernel does not fit into %s with "
                        "padding %lld", name, (long long)v.kh, (long long)v.kw,
                        SAK_SHAPE_TEXT(&s->x[0]), (long long)v.pad);
    s->y = SAK_SHAPE(v.B, v.h, v.w, out);
    return SAK_OK;
}

static sak_status conv_dims(sak_opshape *s, const char *weight, sak_error *err)
{
    if (s->x[0].n != 4 || s->x[1].n != 4)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x must be (B, H, W, C) and weight %s, got %s and %s",
                        s->op->name, weight, SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    return SAK_OK;
}

static sak_status conv2d_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(conv_dims(s, "(out, in, kh, kw)", err));
    return conv_check(s, s->x[0].d[3], s->x[1].d[0], err);
}

static bool pointwise(const conv *v)
{
    return v->kh == 1 && v->kw == 1 && v->pad == 0;
}

#define TAP_OUT 64     /* output channels of one task of the weight's gradient */
#define TAP_PIXELS 384 /* pixels of one of its products */

static sak_scratch conv2d_scratch(const sak_opshape *s)
{
    const conv v = conv_sizes(s);
    const int64_t taps = v.kh * v.kw, in = taps * v.I, out = taps * v.O;
    sak_scratch need = {0};
    if (!pointwise(&v)) {
        const int64_t cols = window_grain(in) * in, dcols = window_grain(out) * out;
        need.each = cols > dcols ? cols : dcols;
        if (need.each < TAP_PIXELS * v.I)
            need.each = TAP_PIXELS * v.I;
    }
    need.shared = in * v.O;
    const int64_t sums = sak_column_sums_scratch(v.B * v.h * v.w, v.O);
    if (s->n_in > 2 && need.shared < sums)
        need.shared = sums;
    return need;
}

static double conv2d_flops(const sak_opshape *s)
{
    return 2.0 * (double)sak_shape_count(&s->y) * (double)sak_shape_count(&s->x[1]) /
           (double)s->x[1].d[0];
}

static void conv2d_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t in = v->kh * v->kw * v->I, n = end - begin;
    const windows win = {c->x[0], v->H, v->W, v->I, v->h, v->w, v->kh, v->kw, -v->pad, -v->pad};
    const sak_real *cols = c->x[0] + begin * v->I;
    if (!pointwise(v)) {
        copy_windows(&win, begin, end, sak_each(c, worker));
        cols = sak_each(c, worker);
    }
    sak_real *y = c->y + begin * v->O;
    const bool bias = c->s->n_in > 2;
    for (int64_t i = 0; bias && i < n; i++)
        memcpy(y + i * v->O, c->x[2], (size_t)v->O * sizeof *y);
    sak_gemm(n, v->O, in, (sak_mat){cols, in, 1}, (sak_mat){v->weight, v->O, 1}, y, v->O, 1, bias);
}

typedef struct repacking {
    const conv *v;
    const sak_real *weight;
    bool flip;
} repacking;

/* Rows of outputs: (O, I, kh, kw) to (kh, kw, I, O), or with `flip` to (kh, kw, O, I) turned by 180
 * degrees. */
static void repack_outputs(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const repacking *r = ctx;
    const conv *v = r->v;
    const int64_t taps = v->kh * v->kw;
    for (int64_t t = 0; t < taps; t++) {
        const sak_real *from = r->weight + (r->flip ? taps - 1 - t : t);
        sak_real *to = v->weight + t * v->I * v->O;
        for (int64_t i = 0; i < v->I; i++)
            for (int64_t o = begin; o < end; o++)
                to[r->flip ? o * v->I + i : i * v->O + o] = from[(o * v->I + i) * taps];
    }
}

static void repack(const conv *v, const sak_real *weight, bool flip)
{
    sak_parallel_for(v->O, 16, repack_outputs, &(repacking){v, weight, flip});
}

static void conv2d_forward(const sak_opcall *c)
{
    conv v = conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    repack(&v, c->x[1], false);
    sak_parallel_for(v.B * v.h * v.w, window_grain(v.kh * v.kw * v.I), conv2d_rows, &v);
}

/* dx: the convolution of dy with the turned kernel. */
static void conv2d_dx_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t in = v->kh * v->kw * v->O;
    const windows win = {c->dy, v->h, v->w,  v->O,
                         v->H,  v->W, v->kh, v->kw,
                         v->pad - v->kh + 1, v->pad - v->kw + 1};
    const sak_real *cols = c->dy + begin * v->O;
    if (!pointwise(v)) {
        copy_windows(&win, begin, end, sak_each(c, worker));
        cols = sak_each(c, worker);
    }
    sak_gemm(end - begin, v->I, in, (sak_mat){cols, in, 1}, (sak_mat){v->weight, v->I, 1},
             c->dx[0] + begin * v->I, v->I, 1, c->acc[0]);
}

/* dweight of one kernel position and TAP_OUT output channels: dy^T times the shifted x. */
static void conv2d_dw_taps(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t blocks = sak_chunks(v->O, TAP_OUT), pixels = v->B * v->h * v->w;
    for (int64_t i = begin; i < end; i++) {
        const int64_t t = i / blocks, o = i % blocks * TAP_OUT;
        const int64_t n = v->O - o < TAP_OUT ? v->O - o : TAP_OUT;
        const windows win = {c->x[0], v->H, v->W, v->I,
                             v->h,    v->w, 1,    1,
                             t / v->kw - v->pad, t % v->kw - v->pad};
        sak_real *to = v->weight + (t * v->O + o) * v->I, *cols = sak_each(c, worker);
        for (int64_t p = 0; p < pixels; p += TAP_PIXELS) {
            const int64_t np = pixels - p < TAP_PIXELS ? pixels - p : TAP_PIXELS;
            copy_windows(&win, p, p + np, cols);
            sak_gemm(n, v->I, np, (sak_mat){c->dy + p * v->O + o, 1, v->O},
                     (sak_mat){cols, v->I, 1}, to, v->I, 1, p > 0);
        }
    }
}

static void conv2d_dw(const sak_opcall *c, conv *v)
{
    const int64_t taps = v->kh * v->kw, pixels = v->B * v->h * v->w;
    if (pointwise(v)) {
        sak_gemm_parallel(v->O, v->I, pixels, (sak_mat){c->dy, 1, v->O},
                          (sak_mat){c->x[0], v->I, 1}, c->dx[1], v->I, 1, c->acc[1]);
        return;
    }
    sak_parallel_for(taps * sak_chunks(v->O, TAP_OUT), 1, conv2d_dw_taps, v);
    for (int64_t i = 0; i < v->O * v->I; i++)
        for (int64_t t = 0; t < taps; t++)
            sak_put(c->dx[1], i * taps + t, v->weight[t * v->O * v->I + i], c->acc[1]);
}

static void conv2d_backward(const sak_opcall *c)
{
    conv v = conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    if (c->dx[0]) {
        repack(&v, c->x[1], true);
        sak_parallel_for(v.B * v.H * v.W, window_grain(v.kh * v.kw * v.O), conv2d_dx_rows, &v);
    }
    if (c->dx[1])
        conv2d_dw(c, &v);
    if (c->s->n_in > 2 && c->dx[2])
        sak_column_sums(v.B * v.h * v.w, v.O, c->dy, c->dx[2], c->acc[2], c->shared);
}

/* --- depthwise ------------------------------------------------------------------------------------*/

static sak_status depthwise_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(conv_dims(s, "(C, 1, kh, kw)", err));
    if (s->x[1].d[0] != s->x[0].d[3])
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x is %s but weight is %s", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    return conv_check(s, 1, s->x[0].d[3], err);
}

static int64_t depthwise_grain(const conv *v)
{
    const int64_t lines = v->B * v->h, grain = (lines + 31) / 32;
    const int64_t least = 65536 / (v->w * v->I * v->kh * v->kw) + 1;
    return grain > least ? grain : least;
}

static sak_scratch depthwise_scratch(const sak_opshape *s)
{
    const conv v = conv_sizes(s);
    const int64_t n = v.kh * v.kw * v.I;
    sak_scratch need = {.shared = n * (1 + sak_chunks(v.B * v.h, depthwise_grain(&v)))};
    const int64_t sums = sak_column_sums_scratch(v.B * v.h * v.w, v.I);
    if (need.shared < sums)
        need.shared = sums;
    return need;
}

static double depthwise_flops(const sak_opshape *s)
{
    return 2.0 * (double)sak_shape_count(&s->y) * (double)(s->x[1].d[2] * s->x[1].d[3]);
}

/* One line of a map: y[x, c] += sum over the kernel of src[y + ky + oy, x + kx + ox, c] w[ky, kx, c]. */
static void depthwise_line(const windows *v, const sak_real *weight, int64_t line, sak_real *to)
{
    const int64_t b = line / v->h, y = line % v->h, C = v->C;
    for (int64_t x = 0; x < v->w; x++)
        for (int64_t ky = 0; ky < v->kh; ky++)
            for (int64_t kx = 0; kx < v->kw; kx++) {
                const int64_t iy = y + ky + v->oy, ix = x + kx + v->ox;
                if (iy < 0 || iy >= v->H || ix < 0 || ix >= v->W)
                    continue;
                const sak_real *restrict from = v->src + ((b * v->H + iy) * v->W + ix) * C;
                const sak_real *restrict w = weight + (ky * v->kw + kx) * C;
                sak_real *restrict out = to + x * C;
                for (int64_t i = 0; i < C; i++)
                    out[i] += from[i] * w[i];
            }
}

static void depthwise_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const windows win = {c->x[0], v->H, v->W, v->I, v->h, v->w, v->kh, v->kw, -v->pad, -v->pad};
    for (int64_t line = begin; line < end; line++) {
        sak_real *y = c->y + line * v->w * v->I;
        memset(y, 0, (size_t)(v->w * v->I) * sizeof *y);
        for (int64_t x = 0; c->s->n_in > 2 && x < v->w; x++)
            memcpy(y + x * v->I, c->x[2], (size_t)v->I * sizeof *y);
        depthwise_line(&win, v->weight, line, y);
    }
}

/* (C, 1, kh, kw) to (kh, kw, C), turned by 180 degrees if `flip`. */
static void depthwise_repack(const conv *v, const sak_real *weight, bool flip)
{
    const int64_t taps = v->kh * v->kw;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < v->I; i++)
            v->weight[t * v->I + i] = weight[i * taps + (flip ? taps - 1 - t : t)];
}

static void depthwise_forward(const sak_opcall *c)
{
    conv v = conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    depthwise_repack(&v, c->x[1], false);
    sak_parallel_for(v.B * v.h, depthwise_grain(&v), depthwise_lines, &v);
}

static void depthwise_dx_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const windows win = {c->dy, v->h, v->w,  v->I,
                         v->H,  v->W, v->kh, v->kw,
                         v->pad - v->kh + 1, v->pad - v->kw + 1};
    for (int64_t line = begin; line < end; line++) {
        sak_real *dx = c->dx[0] + line * v->W * v->I;
        if (!c->acc[0])
            memset(dx, 0, (size_t)(v->W * v->I) * sizeof *dx);
        depthwise_line(&win, v->weight, line, dx);
    }
}

static void depthwise_dw_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t C = v->I, n = v->kh * v->kw * C;
    sak_real *part = v->weight + (1 + chunk) * n;
    memset(part, 0, (size_t)n * sizeof *part);
    for (int64_t line = begin; line < end; line++)
        for (int64_t ky = 0; ky < v->kh; ky++) {
            const int64_t iy = line % v->h + ky - v->pad;
            if (iy < 0 || iy >= v->H)
                continue;
            const sak_real *from = c->x[0] + (line / v->h * v->H + iy) * v->W * C;
            for (int64_t kx = 0; kx < v->kw; kx++)
                for (int64_t x = 0; x < v->w; x++) {
                    const int64_t ix = x + kx - v->pad;
                    if (ix < 0 || ix >= v->W)
                        continue;
                    const sak_real *restrict xs = from + ix * C;
                    const sak_real *restrict dy = c->dy + (line * v->w + x) * C;
                    sak_real *restrict dw = part + (ky * v->kw + kx) * C;
                    for (int64_t i = 0; i < C; i++)
                        dw[i] += xs[i] * dy[i];
                }
        }
}

static void depthwise_backward(const sak_opcall *c)
{
    conv v = conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    const int64_t taps = v.kh * v.kw, grain = depthwise_grain(&v);
    if (c->dx[0]) {
        depthwise_repack(&v, c->x[1], true);
        sak_parallel_for(v.B * v.H, grain, depthwise_dx_lines, &v);
    }
    if (c->dx[1]) {
        sak_parallel_for(v.B * v.h, grain, depthwise_dw_lines, &v);
        sak_combine(sak_chunks(v.B * v.h, grain), taps * v.I, v.weight + taps * v.I, v.weight,
                    false);
        for (int64_t i = 0; i < v.I; i++)
            for (int64_t t = 0; t < taps; t++)
                sak_put(c->dx[1], i * taps + t, v.weight[t * v.I + i], c->acc[1]);
    }
    if (c->s->n_in > 2 && c->dx[2])
        sak_column_sums(v.B * v.h * v.w, v.I, c->dy, c->dx[2], c->acc[2], c->shared);
}

/* --- patches --------------------------------------------------------------------------------------*/

typedef struct patches {
    const sak_opcall *c;
    int64_t B, H, W, C, p, h, w;
} patches;

static patches patch_sizes(const sak_opcall *c, const sak_opshape *s)
{
    const sak_shape *x = &s->x[0];
    const int64_t p = (int64_t)SAK_ATTR(s, 0);
    return (patches){c, x->d[0], x->d[1], x->d[2], x->d[3], p, x->d[1] / p, x->d[2] / p};
}

static sak_status patchify_shape(sak_opshape *s, sak_error *err)
{
    const int64_t p = (int64_t)SAK_ATTR(s, 0);
    const sak_shape *x = &s->x[0];
    if (x->n != 4 || p < 1 || x->d[1] < p || x->d[2] < p)
        return SAK_FAIL(err, SAK_ESHAPE, "patchify: x must be (B, H, W, C) with sides of at least "
                        "one patch of %lld, got %s", (long long)p, SAK_SHAPE_TEXT(x));
    const patches v = patch_sizes(NULL, s);
    s->y = SAK_SHAPE(v.B, v.h * v.w, v.C * p * p);
    return SAK_OK;
}

static void patch_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const patches *v = ctx;
    const int64_t p = v->p, area = p * p;
    for (int64_t i = begin; i < end; i++) /* one line of patches */
        for (int64_t j = 0; j < v->w; j++) {
            sak_real *to = v->c->y + (i * v->w + j) * v->C * area;
            const int64_t y0 = i / v->h * v->H + i % v->h * p;
            for (int64_t py = 0; py < p; py++) {
                const sak_real *from = v->c->x[0] + ((y0 + py) * v->W + j * p) * v->C;
                for (int64_t ch = 0; ch < v->C; ch++)
                    for (int64_t px = 0; px < p; px++)
                        to[ch * area + py * p + px] = from[px * v->C + ch];
            }
        }
}

static void patchify_forward(const sak_opcall *c)
{
    patches v = patch_sizes(c, c->s);
    sak_parallel_for(v.B * v.h, 1, patch_lines, &v);
}

static void patch_grad_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const patches *v = ctx;
    const int64_t p = v->p, area = p * p;
    for (int64_t i = begin; i < end; i++) { /* one line of pixels */
        const int64_t b = i / v->H, y = i % v->H;
        const sak_real *dy = v->c->dy + (b * v->h + y / p) * v->w * v->C * area + y % p * p;
        for (int64_t x = 0; x < v->W; x++)
            for (int64_t ch = 0; ch < v->C; ch++) {
                const bool inside = y / p < v->h && x / p < v->w;
                sak_put(v->c->dx[0], (i * v->W + x) * v->C + ch,
                        inside ? dy[(x / p * v->C + ch) * area + x % p] : 0, v->c->acc[0]);
            }
    }
}

static void patchify_backward(const sak_opcall *c)
{
    patches v = patch_sizes(c, c->s);
    if (c->dx[0])
        sak_parallel_for(v.B * v.H, 8, patch_grad_lines, &v);
}

static const sak_attr_spec conv_attrs[] = {
    {.name = "padding", .type = SAK_ATTR_INT, .doc = "zeros around the map"},
    {0},
};
static const sak_attr_spec patch_attrs[] = {
    {.name = "patch", .type = SAK_ATTR_INT, .required = true, .doc = "side of a patch, in pixels"},
    {0},
};

const sak_op sak_ops_conv[] = {
    {.name = "conv2d", .inputs = "x weight bias?", .n_in = 2, .max_in = 3, .attrs = conv_attrs,
     .shape = conv2d_shape, .forward = conv2d_forward, .backward = conv2d_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .scratch = conv2d_scratch, .flops = conv2d_flops,
     .cases = (const char *const[]){
         "x=2x4x5x3 weight=4x3x3x3 bias=4; padding=1", "x=1x5x4x2 weight=3x2x3x3",
         "x=2x3x3x2 weight=3x2x1x1 bias=3", "x=1x3x4x2 weight=2x2x1x1; padding=1",
         "x=1x4x3x2 weight=2x2x2x3 bias=2; padding=2", "x=1x2x2x1 weight=1x1x5x5; padding=2",
         "x=1x3x4x2 weight=67x2x3x3 bias=67; padding=1", NULL},
     .eq = "y[b, i, j, o] = bias[o] + sum x[b, i + ky - p, j + kx - p, c] weight[o, c, ky, kx]",
     .doc = "2-D convolution, stride 1, on (B, H, W, C) with PyTorch's weight (out, in, kh, kw)."},
    {.name = "depthwise_conv2d", .inputs = "x weight bias?", .n_in = 2, .max_in = 3,
     .attrs = conv_attrs, .shape = depthwise_shape, .forward = depthwise_forward,
     .backward = depthwise_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = depthwise_scratch, .flops = depthwise_flops,
     .cases = (const char *const[]){
         "x=2x4x5x3 weight=3x1x3x3 bias=3; padding=1", "x=1x5x4x2 weight=2x1x3x3",
         "x=1x3x3x2 weight=2x1x5x5 bias=2; padding=2", "x=2x3x4x1 weight=1x1x2x3; padding=2",
         NULL},
     .eq = "y[b, i, j, c] = bias[c] + sum x[b, i + ky - p, j + kx - p, c] weight[c, 0, ky, kx]",
     .doc = "2-D convolution of each channel with its own kernel; weight (C, 1, kh, kw)."},
    {.name = "patchify", .inputs = "x", .n_in = 1, .attrs = patch_attrs, .shape = patchify_shape,
     .forward = patchify_forward, .backward = patchify_backward,
     .cases = (const char *const[]){"x=2x4x6x3; patch=2", "x=1x7x5x3; patch=3",
                                    "x=1x3x2x1; patch=1", NULL},
     .eq = "y[b, i w + j, (c, py, px)] = x[b, i p + py, j p + px, c]",
     .doc = "Cuts (B, H, W, C) into (B, h w, C p p) patches, columns as in a conv weight (out, C, p, "
            "p); trailing pixels are dropped."},
    {0},
};
