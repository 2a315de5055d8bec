/* Cuts images into patches. */
#include "ops/op.h"

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

static const sak_attr_spec patch_attrs[] = {
    {.name = "patch", .type = SAK_ATTR_INT, .required = true, .doc = "side of a patch, in pixels"},
    {0},
};

const sak_op sak_ops_patchify[] = {
    {.name = "patchify", .inputs = "x", .n_in = 1, .attrs = patch_attrs, .shape = patchify_shape,
     .forward = patchify_forward, .backward = patchify_backward,
     .cases = (const char *const[]){"x=2x4x6x3; patch=2", "x=1x7x5x3; patch=3",
                                    "x=1x3x2x1; patch=1", NULL},
     .eq = "y[b, i w + j, (c, py, px)] = x[b, i p + py, j p + px, c]",
     .doc = "Cuts (B, H, W, C) into (B, h w, C p p) patches, columns as in a conv weight (out, C, p, "
            "p); trailing pixels are dropped."},
    {0},
};
