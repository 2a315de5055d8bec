/* The same elements under another shape or other axes: reshape, transpose, permute. */
#include <string.h>

#include "ops/strided.h"

/* --- reshape --------------------------------------------------------------------------------------*/

static sak_status reshape_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *want = &s->attr->dims, *x = &s->x[0];
    const int64_t count = sak_shape_count(x);
    int64_t known = 1;
    int free_at = -1;
    s->y = *want;
    for (int i = 0; i < want->n; i++) {
        if (want->d[i] == -1 && free_at < 0)
            free_at = i;
        else if (want->d[i] < 0)
            return SAK_FAIL(err, SAK_EINVAL, "reshape: %s has more than one free or a negative size",
                            SAK_SHAPE_TEXT(want));
        else
            known *= want->d[i];
    }
    if (free_at >= 0 && known > 0)
        s->y.d[free_at] = count / known;
    if (free_at >= 0 && known == 0)
        return SAK_FAIL(err, SAK_ESHAPE, "reshape: the free size of %s is not determined",
                        SAK_SHAPE_TEXT(want));
    if (sak_shape_count(&s->y) != count)
        return SAK_FAIL(err, SAK_ESHAPE, "reshape: %s has %lld elements and does not become %s",
                        SAK_SHAPE_TEXT(x), (long long)count, SAK_SHAPE_TEXT(want));
    return SAK_OK;
}

static const sak_attr_spec reshape_attrs[] = {
    {.name = "shape", .type = SAK_ATTR_DIMS, .required = true, .doc = "new shape; one may be -1"},
    {0},
};

/* --- transpose, permute ---------------------------------------------------------------------------*/

/* order[i]: the axis of x that becomes axis i of y. */
static sak_status order_of(const sak_opshape *s, int order[SAK_MAX_DIMS], sak_error *err)
{
    const sak_shape *x = &s->x[0];
    for (int i = 0; i < x->n; i++)
        order[i] = i;
    if (strcmp(s->op->name, "transpose") == 0) {
        int a = 0, b = 0;
        SAK_TRY(sak_shape_axis(x, (int64_t)SAK_ATTR(s, 0), &a, err));
        SAK_TRY(sak_shape_axis(x, (int64_t)SAK_ATTR(s, 1), &b, err));
        order[a] = b;
        order[b] = a;
        return SAK_OK;
    }
    unsigned seen = 0;
    for (int i = 0; i < s->attr->dims.n && s->attr->dims.n == x->n; i++) {
        SAK_TRY(sak_shape_axis(x, s->attr->dims.d[i], &order[i], err));
        seen |= 1u << order[i];
    }
    if (s->attr->dims.n != x->n || seen != (1u << x->n) - 1)
        return SAK_FAIL(err, SAK_EINVAL, "permute: order %s does not name each axis of %s once",
                        SAK_SHAPE_TEXT(&s->attr->dims), SAK_SHAPE_TEXT(x));
    return SAK_OK;
}

static sak_status permute_shape(sak_opshape *s, sak_error *err)
{
    int order[SAK_MAX_DIMS];
    SAK_TRY(order_of(s, order, err));
    s->y = s->x[0];
    for (int i = 0; i < s->y.n; i++)
        s->y.d[i] = s->x[0].d[order[i]];
    return SAK_OK;
}

static void permute_forward(const sak_opcall *c)
{
    int order[SAK_MAX_DIMS];
    (void)order_of(c->s, order, NULL); /* checked by the shape rule */
    int64_t step[SAK_MAX_DIMS];
    sak_row_major(&c->s->x[0], step);
    sak_strided v = sak_strided_of(&c->s->y, c->x[0], c->y, false);
    for (int i = 0; i < c->s->y.n; i++)
        v.step[SAK_MAX_DIMS - c->s->y.n + i] = step[order[i]];
    sak_copy_strided(&v);
}

static void permute_backward(const sak_opcall *c)
{
    int order[SAK_MAX_DIMS];
    (void)order_of(c->s, order, NULL);
    int64_t step[SAK_MAX_DIMS];
    sak_row_major(&c->s->y, step);
    sak_strided v = sak_strided_of(&c->s->x[0], c->dy, c->dx[0], c->acc[0]);
    for (int i = 0; i < c->s->y.n; i++)
        v.step[SAK_MAX_DIMS - c->s->y.n + order[i]] = step[i];
    if (c->dx[0])
        sak_copy_strided(&v);
}

static const sak_attr_spec transpose_attrs[] = {
    {.name = "a", .type = SAK_ATTR_INT, .def = -2, .doc = "one axis"},
    {.name = "b", .type = SAK_ATTR_INT, .def = -1, .doc = "the other axis"},
    {0},
};
static const sak_attr_spec permute_attrs[] = {
    {.name = "order", .type = SAK_ATTR_DIMS, .required = true,
     .doc = "for each axis of y, the axis of x"},
    {0},
};

const sak_op sak_ops_permute[] = {
    {.name = "reshape", .inputs = "x", .n_in = 1, .attrs = reshape_attrs, .shape = reshape_shape,
     .view = true,
     .cases = (const char *const[]){"x=2x3x4; shape=6x-1", "x=2x3; shape=6", NULL},
     .eq = "y = x", .doc = "The same elements in another shape; one size may be -1."},
    {.name = "transpose", .inputs = "x", .n_in = 1, .attrs = transpose_attrs,
     .shape = permute_shape, .forward = permute_forward, .backward = permute_backward,
     .cases = (const char *const[]){"x=3x5", "x=2x3x4; a=0 b=2", "x=2x3x4x5; a=1 b=2", "x=3; a=0 b=0",
                                    NULL},
     .eq = "y[… j … i …] = x[… i … j …]", .doc = "Swaps two axes."},
    {.name = "permute", .inputs = "x", .n_in = 1, .attrs = permute_attrs, .shape = permute_shape,
     .forward = permute_forward, .backward = permute_backward,
     .cases = (const char *const[]){"x=2x3x4; order=2x0x1", "x=2x3x4x5; order=0x3x1x2",
                                    "x=2x1x3x2x1x2; order=5x3x1x4x2x0", NULL},
     .eq = "axis i of y is axis order[i] of x", .doc = "Reorders the axes."},
    {0},
};
