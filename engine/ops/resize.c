/* Resizing of (B, H, W, C) maps: one line of the target at a time, in both directions. */
#include "kernels/resample.h"
#include "ops/op.h"

typedef struct resize {
    sak_taps rows, cols;
    const sak_real *from;
    sak_real *to;
    int64_t H, W, h, w, C; /* from (H, W) to (h, w) */
    bool acc;
    const sak_opcall *c;
} resize;

static sak_resize_mode mode_of(const sak_opshape *s)
{
    return (sak_resize_mode)SAK_ATTR(s, 1);
}

static sak_status resize_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0], *size = &s->attr->dims;
    if (x->n != 4 || x->d[1] < 1 || x->d[2] < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "resize: x must be (B, H, W, C), got %s",
                        SAK_SHAPE_TEXT(x));
    if (size->n != 2 || size->d[0] < 1 || size->d[1] < 1)
        return SAK_FAIL(err, SAK_EINVAL, "resize: size must be (height, width), got %s",
                        SAK_SHAPE_TEXT(size));
    s->y = SAK_SHAPE(x->d[0], size->d[0], size->d[1], x->d[3]);
    return SAK_OK;
}

/* A table's room, in whole cache lines, as elements. */
static int64_t table_elements(int64_t n_in, int64_t n_out, sak_resize_mode mode)
{
    return (sak_resize_taps_bytes(n_in, n_out, mode) + 63) / 64 * 64 / (int64_t)sizeof(sak_real);
}

static sak_scratch resize_scratch(const sak_opshape *s)
{
    const sak_shape *x = &s->x[0], *y = &s->y;
    const int64_t widest = x->d[2] > y->d[2] ? x->d[2] : y->d[2];
    return (sak_scratch){.shared = 2 * (table_elements(x->d[1], y->d[1], mode_of(s)) +
                                        table_elements(x->d[2], y->d[2], mode_of(s))),
                         .each = widest * x->d[3]};
}

static double resize_flops(const sak_opshape *s)
{
    const double taps = mode_of(s) == SAK_RESIZE_BILINEAR || mode_of(s) == SAK_RESIZE_BILINEAR_CORNERS ? 2 : 4;
    const double lines = (double)(s->y.d[0] * s->y.d[1] * s->y.d[3]);
    return 2 * taps * lines * (double)(s->x[0].d[2] + s->y.d[2]);
}

static void resize_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const resize *r = ctx;
    for (int64_t i = begin; i < end; i++)
        sak_resize_line(&r->rows, &r->cols, r->W, r->C, r->from + i / r->h * r->H * r->W * r->C,
                        i % r->h, r->to + i * r->w * r->C, r->acc, sak_each(r->c, worker));
}

static void resize_run(resize *r)
{
    const int64_t lines = r->c->s->y.d[0] * r->h, least = 16384 / ((r->W + r->w) * r->C) + 1;
    sak_parallel_for(lines, least, resize_lines, r);
}

static void resize_forward(const sak_opcall *c)
{
    const sak_shape *x = &c->s->x[0], *y = &c->s->y;
    const sak_resize_mode mode = mode_of(c->s);
    sak_real *second = c->shared + table_elements(x->d[1], y->d[1], mode);
    resize r = {sak_resize_taps(x->d[1], y->d[1], mode, c->shared),
                sak_resize_taps(x->d[2], y->d[2], mode, second),
                c->x[0], c->y, x->d[1], x->d[2], y->d[1], y->d[2], x->d[3], false, c};
    resize_run(&r);
}

static void resize_backward(const sak_opcall *c)
{
    const sak_shape *x = &c->s->x[0], *y = &c->s->y;
    const sak_resize_mode mode = mode_of(c->s);
    const int64_t n_rows = table_elements(x->d[1], y->d[1], mode);
    const int64_t n_cols = table_elements(x->d[2], y->d[2], mode);
    if (!c->dx[0])
        return;
    const sak_taps rows = sak_resize_taps(x->d[1], y->d[1], mode, c->shared);
    const sak_taps cols = sak_resize_taps(x->d[2], y->d[2], mode, c->shared + n_rows);
    sak_real *room = c->shared + n_rows + n_cols;
    resize r = {sak_resize_taps_transpose(&rows, x->d[1], room),
                sak_resize_taps_transpose(&cols, x->d[2], room + n_rows),
                c->dy, c->dx[0], y->d[1], y->d[2], x->d[1], x->d[2], x->d[3], c->acc[0], c};
    resize_run(&r);
}

static const sak_attr_spec resize_attrs[] = {
    {.name = "size", .type = SAK_ATTR_DIMS, .required = true, .doc = "height and width of y"},
    {.name = "mode", .type = SAK_ATTR_CHOICE, .choices = SAK_RESIZE_MODES,
     .doc = "interpolation; half-pixel centres but for bilinear_corners"},
    {0},
};

const sak_op sak_ops_resize[] = {
    {.name = "resize", .inputs = "x", .n_in = 1, .attrs = resize_attrs, .shape = resize_shape,
     .forward = resize_forward, .backward = resize_backward, .scratch = resize_scratch,
     .flops = resize_flops,
     .cases = (const char *const[]){
         "x=2x3x4x2; size=7x9", "x=1x7x9x3; size=3x2", "x=1x1x1x2; size=3x2",
         "x=1x3x4x2; size=5x7 mode=bicubic", "x=2x9x7x1; size=4x3 mode=bicubic",
         "x=1x2x1x2; size=5x3 mode=bicubic", "x=1x9x11x2; size=3x4 mode=bicubic_antialias",
         "x=1x3x4x2; size=7x4 mode=bicubic_antialias", "x=1x13x2x1; size=1x1 mode=bicubic_antialias",
         "x=1x4x3x2; size=7x2 mode=bilinear_corners", "x=1x7x5x1; size=1x4 mode=bilinear_corners",
         "x=1x3x4x2; size=7x2 mode=nearest", "x=1x7x5x2; size=3x5 mode=nearest", NULL},
     .eq = "y = R_h x R_w^T", .doc = "Resizes (B, H, W, C) maps as PyTorch's interpolate, "
                                     "align_corners false (bilinear_corners: true)."},
    {0},
};
