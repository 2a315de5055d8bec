/* Dense convolution on (B, H, W, C) maps: im2col in chunks of pixels, then a product. */
#include <string.h>

#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "ops/conv.h"

/* --- sizes, for the depthwise one too -------------------------------------------------------------*/

sak_conv sak_conv_sizes(const sak_opshape *s)
{
    const sak_shape *x = &s->x[0], *k = &s->x[1];
    sak_conv v = {.B = x->d[0], .H = x->d[1], .W = x->d[2], .I = x->d[3], .O = k->d[0]};
    v.kh = k->d[2];
    v.kw = k->d[3];
    v.pad = (int64_t)SAK_ATTR(s, 0);
    v.h = v.H + 2 * v.pad - v.kh + 1;
    v.w = v.W + 2 * v.pad - v.kw + 1;
    return v;
}

sak_status sak_conv_check(sak_opshape *s, int64_t in, int64_t out, sak_error *err)
{
    const char *name = s->op->name;
    const sak_conv v = sak_conv_sizes(s);
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

sak_status sak_conv_dims(sak_opshape *s, const char *weight, sak_error *err)
{
    if (s->x[0].n != 4 || s->x[1].n != 4)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x must be (B, H, W, C) and weight %s, got %s and %s",
                        s->op->name, weight, SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    return SAK_OK;
}

/* --- windows of pixels ----------------------------------------------------------------------------*/

static void copy_window(const sak_windows *v, int64_t pixel, sak_real *to)
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

static void copy_windows(const sak_windows *v, int64_t begin, int64_t end, sak_real *to)
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

/* --- the op ---------------------------------------------------------------------------------------*/

static sak_status conv2d_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(sak_conv_dims(s, "(out, in, kh, kw)", err));
    return sak_conv_check(s, s->x[0].d[3], s->x[1].d[0], err);
}

static bool pointwise(const sak_conv *v)
{
    return v->kh == 1 && v->kw == 1 && v->pad == 0;
}

#define TAP_OUT 64     /* output channels of one task of the weight's gradient */
#define TAP_PIXELS 384 /* pixels of one of its products */

static sak_scratch conv2d_scratch(const sak_opshape *s)
{
    const sak_conv v = sak_conv_sizes(s);
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
    const sak_conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t in = v->kh * v->kw * v->I, n = end - begin;
    const sak_windows win = {c->x[0], v->H, v->W, v->I, v->h, v->w, v->kh, v->kw, -v->pad, -v->pad};
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
    const sak_conv *v;
    const sak_real *weight;
    bool flip;
} repacking;

/* Rows of outputs: (O, I, kh, kw) to (kh, kw, I, O), or with `flip` to (kh, kw, O, I) turned by 180
 * degrees. */
static void repack_outputs(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const repacking *r = ctx;
    const sak_conv *v = r->v;
    const int64_t taps = v->kh * v->kw;
    for (int64_t t = 0; t < taps; t++) {
        const sak_real *from = r->weight + (r->flip ? taps - 1 - t : t);
        sak_real *to = v->weight + t * v->I * v->O;
        for (int64_t i = 0; i < v->I; i++)
            for (int64_t o = begin; o < end; o++)
                to[r->flip ? o * v->I + i : i * v->O + o] = from[(o * v->I + i) * taps];
    }
}

static void repack(const sak_conv *v, const sak_real *weight, bool flip)
{
    sak_parallel_for(v->O, 16, repack_outputs, &(repacking){v, weight, flip});
}

static void conv2d_forward(const sak_opcall *c)
{
    sak_conv v = sak_conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    repack(&v, c->x[1], false);
    sak_parallel_for(v.B * v.h * v.w, window_grain(v.kh * v.kw * v.I), conv2d_rows, &v);
}

/* dx: the convolution of dy with the turned kernel. */
static void conv2d_dx_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const sak_conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t in = v->kh * v->kw * v->O;
    const sak_windows win = {c->dy, v->h, v->w,  v->O,
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
    const sak_conv *v = ctx;
    const sak_opcall *c = v->c;
    const int64_t blocks = sak_chunks(v->O, TAP_OUT), pixels = v->B * v->h * v->w;
    for (int64_t i = begin; i < end; i++) {
        const int64_t t = i / blocks, o = i % blocks * TAP_OUT;
        const int64_t n = v->O - o < TAP_OUT ? v->O - o : TAP_OUT;
        const sak_windows win = {c->x[0], v->H, v->W, v->I,
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

static void conv2d_dw(const sak_opcall *c, sak_conv *v)
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
    sak_conv v = sak_conv_sizes(c->s);
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

const sak_attr_spec sak_conv_attrs[] = {
    {.name = "padding", .type = SAK_ATTR_INT, .doc = "zeros around the map"},
    {0},
};

const sak_op sak_ops_conv[] = {
    {.name = "conv2d", .inputs = "x weight bias?", .n_in = 2, .max_in = 3, .attrs = sak_conv_attrs,
     .shape = conv2d_shape, .forward = conv2d_forward, .backward = conv2d_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .scratch = conv2d_scratch, .flops = conv2d_flops,
     .cases = (const char *const[]){
         "x=2x4x5x3 weight=4x3x3x3 bias=4; padding=1", "x=1x5x4x2 weight=3x2x3x3",
         "x=2x3x3x2 weight=3x2x1x1 bias=3", "x=1x3x4x2 weight=2x2x1x1; padding=1",
         "x=1x4x3x2 weight=2x2x2x3 bias=2; padding=2", "x=1x2x2x1 weight=1x1x5x5; padding=2",
         "x=1x3x4x2 weight=67x2x3x3 bias=67; padding=1", NULL},
     .eq = "y[b, i, j, o] = bias[o] + sum x[b, i + ky - p, j + kx - p, c] weight[o, c, ky, kx]",
     .doc = "2-D convolution, stride 1, on (B, H, W, C) with PyTorch's weight (out, in, kh, kw)."},
    {0},
};
