/* Joins, cuts and copies along an axis: concat, slice, expand. */
#include <string.h>

#include "ops/strided.h"

/* --- concat, slice --------------------------------------------------------------------------------*/

/* Copies a block of `n` elements out of each of `rows` rows of a wider tensor, or into them. */
typedef struct band {
    int64_t n, from_step, to_step;
    const sak_real *from;
    sak_real *to;
    bool acc;
} band;

static void band_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const band *v = ctx;
    for (int64_t i = begin; i < end; i++) {
        const sak_real *restrict from = v->from + i * v->from_step;
        sak_real *restrict to = v->to + i * v->to_step;
        if (!v->acc)
            memcpy(to, from, (size_t)v->n * sizeof *to);
        for (int64_t j = 0; v->acc && j < v->n; j++)
            to[j] += from[j];
    }
}

static void copy_band(int64_t rows, band v)
{
    sak_parallel_for(rows, 16384 / (v.n + 1) + 1, band_rows, &v);
}

static void sides(const sak_shape *s, int axis, int64_t *outer, int64_t *inner)
{
    *outer = *inner = 1;
    for (int i = 0; i < s->n; i++)
        *(i < axis ? outer : inner) *= i == axis ? 1 : s->d[i];
}

static sak_status concat_shape(sak_opshape *s, sak_error *err)
{
    int axis = 0;
    SAK_TRY(sak_shape_axis(&s->x[0], (int64_t)SAK_ATTR(s, 0), &axis, err));
    s->y = s->x[0];
    for (int k = 1; k < s->n_in; k++) {
        sak_shape other = s->x[k];
        const int64_t length = axis < other.n ? other.d[axis] : 0;
        if (axis < other.n)
            other.d[axis] = s->x[0].d[axis];
        if (!sak_shape_equal(&other, &s->x[0]))
            return SAK_FAIL(err, SAK_ESHAPE, "concat: input 1 is %s but input %d is %s (axis %d)",
                            SAK_SHAPE_TEXT(&s->x[0]), k + 1, SAK_SHAPE_TEXT(&s->x[k]), axis);
        s->y.d[axis] += length;
    }
    return SAK_OK;
}

static void concat_run(const sak_opcall *c, bool backward)
{
    int axis = 0;
    int64_t outer = 0, inner = 0;
    (void)sak_shape_axis(&c->s->y, (int64_t)SAK_ATTR(c->s, 0), &axis, NULL);
    sides(&c->s->y, axis, &outer, &inner);
    const int64_t whole = c->s->y.d[axis] * inner;
    for (int64_t k = 0, at = 0; k < c->s->n_in; k++) {
        const int64_t part = c->s->x[k].d[axis] * inner;
        if (!backward)
            copy_band(outer, (band){part, part, whole, c->x[k], c->y + at, false});
        else if (c->dx[k])
            copy_band(outer, (band){part, whole, part, c->dy + at, c->dx[k], c->acc[k]});
        at += part;
    }
}

static void concat_forward(const sak_opcall *c)
{
    concat_run(c, false);
}

static void concat_backward(const sak_opcall *c)
{
    concat_run(c, true);
}

static const sak_attr_spec concat_attrs[] = {
    {.name = "axis", .type = SAK_ATTR_INT, .def = -1, .doc = "axis along which to join"},
    {0},
};

static sak_status slice_shape(sak_opshape *s, sak_error *err)
{
    int axis = 0;
    SAK_TRY(sak_shape_axis(&s->x[0], (int64_t)SAK_ATTR(s, 0), &axis, err));
    const int64_t start = (int64_t)SAK_ATTR(s, 1), length = (int64_t)SAK_ATTR(s, 2);
    if (start < 0 || length < 1 || start + length > s->x[0].d[axis])
        return SAK_FAIL(err, SAK_ESHAPE, "slice: %lld elements from %lld are outside axis %d of %s",
                        (long long)length, (long long)start, axis, SAK_SHAPE_TEXT(&s->x[0]));
    s->y = s->x[0];
    s->y.d[axis] = length;
    return SAK_OK;
}

static void slice_forward(const sak_opcall *c)
{
    int axis = 0;
    int64_t outer = 0, inner = 0;
    (void)sak_shape_axis(&c->s->x[0], (int64_t)SAK_ATTR(c->s, 0), &axis, NULL);
    sides(&c->s->x[0], axis, &outer, &inner);
    const int64_t part = c->s->y.d[axis] * inner, start = (int64_t)SAK_ATTR(c->s, 1) * inner;
    copy_band(outer, (band){part, c->s->x[0].d[axis] * inner, part, c->x[0] + start, c->y, false});
}

static void slice_backward(const sak_opcall *c)
{
    int axis = 0;
    (void)sak_shape_axis(&c->s->x[0], (int64_t)SAK_ATTR(c->s, 0), &axis, NULL);
    int64_t step[SAK_MAX_DIMS];
    sak_row_major(&c->s->y, step);
    sak_strided v = sak_strided_of(&c->s->x[0], c->dy, c->dx[0], c->acc[0]);
    const int shift = SAK_MAX_DIMS - c->s->y.n;
    for (int i = 0; i < c->s->y.n; i++)
        v.step[shift + i] = step[i];
    v.lo[shift + axis] = (int64_t)SAK_ATTR(c->s, 1);
    v.hi[shift + axis] = v.lo[shift + axis] + c->s->y.d[axis];
    if (c->dx[0])
        sak_copy_strided(&v);
}

static const sak_attr_spec slice_attrs[] = {
    {.name = "axis", .type = SAK_ATTR_INT, .required = true, .doc = "axis to cut"},
    {.name = "start", .type = SAK_ATTR_INT, .doc = "first index, from 0"},
    {.name = "length", .type = SAK_ATTR_INT, .required = true, .doc = "number of indices"},
    {0},
};

/* --- expand ---------------------------------------------------------------------------------------*/

static sak_status expand_shape(sak_opshape *s, sak_error *err)
{
    const int64_t size = (int64_t)SAK_ATTR(s, 0);
    if (s->x[0].n < 1 || s->x[0].d[0] != 1 || size < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "expand: x must be (1, …) and size at least 1, got %s and "
                        "%lld", SAK_SHAPE_TEXT(&s->x[0]), (long long)size);
    s->y = s->x[0];
    s->y.d[0] = size;
    return SAK_OK;
}

static void expand_forward(const sak_opcall *c)
{
    const int64_t n = sak_shape_count(&c->s->x[0]);
    copy_band(c->s->y.d[0], (band){n, 0, n, c->x[0], c->y, false});
}

static void expand_columns(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t n = sak_shape_count(&c->s->x[0]), B = c->s->y.d[0];
    sak_real *restrict dx = c->dx[0];
    if (!c->acc[0])
        memset(dx + begin, 0, (size_t)(end - begin) * sizeof *dx);
    for (int64_t b = 0; b < B; b++) {
        const sak_real *restrict dy = c->dy + b * n;
        for (int64_t i = begin; i < end; i++)
            dx[i] += dy[i];
    }
}

static void expand_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(sak_shape_count(&c->s->x[0]), 2048, expand_columns,
                         (void *)(uintptr_t)c);
}

static const sak_attr_spec expand_attrs[] = {
    {.name = "size", .type = SAK_ATTR_INT, .required = true, .doc = "copies along axis 0"},
    {0},
};

const sak_op sak_ops_concat[] = {
    {.name = "concat", .inputs = "xs…", .n_in = 1, .max_in = SAK_MAX_IN, .attrs = concat_attrs,
     .shape = concat_shape, .forward = concat_forward, .backward = concat_backward,
     .cases = (const char *const[]){"a=2x3 b=2x4 c=2x1", "a=2x3x2 b=2x1x2; axis=1",
                                    "a=1x3 b=4x3; axis=0", "a=2x3", NULL},
     .eq = "y = [x_1 x_2 …]", .doc = "Joins tensors along an axis."},
    {.name = "slice", .inputs = "x", .n_in = 1, .attrs = slice_attrs, .shape = slice_shape,
     .forward = slice_forward, .backward = slice_backward,
     .cases = (const char *const[]){"x=2x5x3; axis=1 start=1 length=3", "x=4x3; axis=0 length=1",
                                    "x=2x3x4; axis=-1 start=1 length=3", "x=7; axis=0 start=6 length=1",
                                    NULL},
     .eq = "y[… i …] = x[… start + i …]", .doc = "A range of one axis."},
    {.name = "expand", .inputs = "x", .n_in = 1, .attrs = expand_attrs, .shape = expand_shape,
     .forward = expand_forward, .backward = expand_backward,
     .cases = (const char *const[]){"x=1x3x4; size=5", "x=1x1; size=1", "x=1; size=3", NULL},
     .eq = "y[b, …] = x[0, …]", .doc = "Repeats a (1, …) tensor along axis 0."},
    {0},
};
