/* Maps inside larger maps: pad2d, crop2d. */
#include <string.h>

#include "ops/strided.h"

/* The frame of an (H, W) map inside a larger one; both ops read it from their attributes. */
static sak_status map_shape(const sak_opshape *s, sak_error *err)
{
    if (s->x[0].n != 4)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x must be (B, H, W, C), got %s", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

static sak_status pad2d_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(map_shape(s, err));
    for (int i = 0; i < 4; i++)
        if (SAK_ATTR(s, i) < 0)
            return SAK_FAIL(err, SAK_EINVAL, "pad2d: %s must not be negative, got %g",
                            s->op->attrs[i].name, SAK_ATTR(s, i));
    s->y = s->x[0];
    s->y.d[1] += (int64_t)(SAK_ATTR(s, 0) + SAK_ATTR(s, 1));
    s->y.d[2] += (int64_t)(SAK_ATTR(s, 2) + SAK_ATTR(s, 3));
    return SAK_OK;
}

static sak_status crop2d_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(map_shape(s, err));
    const int64_t top = (int64_t)SAK_ATTR(s, 0), left = (int64_t)SAK_ATTR(s, 1);
    const int64_t h = (int64_t)SAK_ATTR(s, 2), w = (int64_t)SAK_ATTR(s, 3);
    if (top < 0 || left < 0 || h < 1 || w < 1 || top + h > s->x[0].d[1] || left + w > s->x[0].d[2])
        return SAK_FAIL(err, SAK_ESHAPE, "crop2d: %lld x %lld from (%lld, %lld) is outside %s",
                        (long long)h, (long long)w, (long long)top, (long long)left,
                        SAK_SHAPE_TEXT(&s->x[0]));
    s->y = s->x[0];
    s->y.d[1] = h;
    s->y.d[2] = w;
    return SAK_OK;
}

/* large = small at (top, left), zero elsewhere. */
static void put_into(const sak_shape *large, const sak_shape *small, int64_t top, int64_t left,
                     const sak_real *from, sak_real *to, bool acc)
{
    sak_strided v = sak_strided_of(large, from, to, acc);
    sak_row_major(small, v.step + 2);
    v.lo[3] = top;
    v.hi[3] = top + small->d[1];
    v.lo[4] = left;
    v.hi[4] = left + small->d[2];
    sak_copy_strided(&v);
}

/* small = the part of large at (top, left). */
static void take_from(const sak_shape *large, const sak_shape *small, int64_t top, int64_t left,
                      const sak_real *from, sak_real *to, bool acc)
{
    int64_t step[SAK_MAX_DIMS];
    sak_row_major(large, step);
    sak_strided v = sak_strided_of(small, from + top * step[1] + left * step[2], to, acc);
    memcpy(v.step + 2, step, 4 * sizeof *step);
    sak_copy_strided(&v);
}

static void pad2d_forward(const sak_opcall *c)
{
    put_into(&c->s->y, &c->s->x[0], (int64_t)SAK_ATTR(c->s, 0), (int64_t)SAK_ATTR(c->s, 2), c->x[0],
             c->y, false);
}

static void pad2d_backward(const sak_opcall *c)
{
    if (c->dx[0])
        take_from(&c->s->y, &c->s->x[0], (int64_t)SAK_ATTR(c->s, 0), (int64_t)SAK_ATTR(c->s, 2),
                  c->dy, c->dx[0], c->acc[0]);
}

static void crop2d_forward(const sak_opcall *c)
{
    take_from(&c->s->x[0], &c->s->y, (int64_t)SAK_ATTR(c->s, 0), (int64_t)SAK_ATTR(c->s, 1),
              c->x[0], c->y, false);
}

static void crop2d_backward(const sak_opcall *c)
{
    if (c->dx[0])
        put_into(&c->s->x[0], &c->s->y, (int64_t)SAK_ATTR(c->s, 0), (int64_t)SAK_ATTR(c->s, 1),
                 c->dy, c->dx[0], c->acc[0]);
}

static const sak_attr_spec pad_attrs[] = {
    {.name = "top", .type = SAK_ATTR_INT, .doc = "rows of zeros above"},
    {.name = "bottom", .type = SAK_ATTR_INT, .doc = "rows of zeros below"},
    {.name = "left", .type = SAK_ATTR_INT, .doc = "columns of zeros on the left"},
    {.name = "right", .type = SAK_ATTR_INT, .doc = "columns of zeros on the right"},
    {0},
};
static const sak_attr_spec crop_attrs[] = {
    {.name = "top", .type = SAK_ATTR_INT, .doc = "first row"},
    {.name = "left", .type = SAK_ATTR_INT, .doc = "first column"},
    {.name = "height", .type = SAK_ATTR_INT, .required = true, .doc = "rows"},
    {.name = "width", .type = SAK_ATTR_INT, .required = true, .doc = "columns"},
    {0},
};

const sak_op sak_ops_pad_crop[] = {
    {.name = "pad2d", .inputs = "x", .n_in = 1, .attrs = pad_attrs, .shape = pad2d_shape,
     .forward = pad2d_forward, .backward = pad2d_backward,
     .cases = (const char *const[]){"x=2x3x4x2; top=1 bottom=2 left=3 right=1", "x=1x2x3x1; right=2",
                                    "x=2x2x2x3; bottom=1", NULL},
     .eq = "y[b, top + i, left + j, c] = x[b, i, j, c], else 0",
     .doc = "Surrounds (B, H, W, C) maps with zeros."},
    {.name = "crop2d", .inputs = "x", .n_in = 1, .attrs = crop_attrs, .shape = crop2d_shape,
     .forward = crop2d_forward, .backward = crop2d_backward,
     .cases = (const char *const[]){"x=2x5x4x2; top=1 left=2 height=3 width=2",
                                    "x=1x3x3x1; height=2 width=3", NULL},
     .eq = "y[b, i, j, c] = x[b, top + i, left + j, c]",
     .doc = "Cuts a rectangle out of (B, H, W, C) maps."},
    {0},
};
