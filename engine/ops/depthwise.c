/* Depthwise convolution on (B, H, W, C) maps: each channel with its own kernel. */
#include <string.h>

#include "kernels/colsum.h"
#include "ops/conv.h"

static sak_status depthwise_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(sak_conv_dims(s, "(C, 1, kh, kw)", err));
    if (s->x[1].d[0] != s->x[0].d[3])
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x is %s but weight is %s", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]), SAK_SHAPE_TEXT(&s->x[1]));
    return sak_conv_check(s, 1, s->x[0].d[3], err);
}

static int64_t depthwise_grain(const sak_conv *v)
{
    const int64_t lines = v->B * v->h, grain = (lines + 31) / 32;
    const int64_t least = 65536 / (v->w * v->I * v->kh * v->kw) + 1;
    return grain > least ? grain : least;
}

static sak_scratch depthwise_scratch(const sak_opshape *s)
{
    const sak_conv v = sak_conv_sizes(s);
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
static void depthwise_line(const sak_windows *v, const sak_real *weight, int64_t line, sak_real *to)
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
    const sak_conv *v = ctx;
    const sak_opcall *c = v->c;
    const sak_windows win = {c->x[0], v->H, v->W, v->I, v->h, v->w, v->kh, v->kw, -v->pad, -v->pad};
    for (int64_t line = begin; line < end; line++) {
        sak_real *y = c->y + line * v->w * v->I;
        memset(y, 0, (size_t)(v->w * v->I) * sizeof *y);
        for (int64_t x = 0; c->s->n_in > 2 && x < v->w; x++)
            memcpy(y + x * v->I, c->x[2], (size_t)v->I * sizeof *y);
        depthwise_line(&win, v->weight, line, y);
    }
}

/* (C, 1, kh, kw) to (kh, kw, C), turned by 180 degrees if `flip`. */
static void depthwise_repack(const sak_conv *v, const sak_real *weight, bool flip)
{
    const int64_t taps = v->kh * v->kw;
    for (int64_t t = 0; t < taps; t++)
        for (int64_t i = 0; i < v->I; i++)
            v->weight[t * v->I + i] = weight[i * taps + (flip ? taps - 1 - t : t)];
}

static void depthwise_forward(const sak_opcall *c)
{
    sak_conv v = sak_conv_sizes(c->s);
    v.c = c;
    v.weight = c->shared;
    depthwise_repack(&v, c->x[1], false);
    sak_parallel_for(v.B * v.h, depthwise_grain(&v), depthwise_lines, &v);
}

static void depthwise_dx_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_conv *v = ctx;
    const sak_opcall *c = v->c;
    const sak_windows win = {c->dy, v->h, v->w,  v->I,
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
    const sak_conv *v = ctx;
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
    sak_conv v = sak_conv_sizes(c->s);
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

const sak_op sak_ops_depthwise[] = {
    {.name = "depthwise_conv2d", .inputs = "x weight bias?", .n_in = 2, .max_in = 3,
     .attrs = sak_conv_attrs, .shape = depthwise_shape, .forward = depthwise_forward,
     .backward = depthwise_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = depthwise_scratch, .flops = depthwise_flops,
     .cases = (const char *const[]){
         "x=2x4x5x3 weight=3x1x3x3 bias=3; padding=1", "x=1x5x4x2 weight=2x1x3x3",
         "x=1x3x3x2 weight=2x1x5x5 bias=2; padding=2", "x=2x3x4x1 weight=1x1x2x3; padding=2",
         NULL},
     .eq = "y[b, i, j, c] = bias[c] + sum x[b, i + ky - p, j + kx - p, c] weight[c, 0, ky, kx]",
     .doc = "2-D convolution of each channel with its own kernel; weight (C, 1, kh, kw)."},
    {0},
};
