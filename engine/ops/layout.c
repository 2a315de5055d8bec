/* Moving elements without changing them: views, permutations, joins and cuts, look-up. */
#include "ops/op.h"

#include <string.h>

/* --- strided copies -------------------------------------------------------------------------------*/

/* The elements of a dense tensor of up to six dimensions `n`, from or to places with strides `step`
 * in another buffer.  Places outside [lo, hi) of a dimension read as zero. */
typedef struct strided {
    int64_t n[SAK_MAX_DIMS], step[SAK_MAX_DIMS], lo[SAK_MAX_DIMS], hi[SAK_MAX_DIMS];
    const sak_real *from; /* strided */
    sak_real *to;         /* dense */
    bool acc;
} strided;

static void strided_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const strided *v = ctx;
    enum { LAST = SAK_MAX_DIMS - 1 };
    const int64_t n = v->n[LAST], step = v->step[LAST];
    for (int64_t row = begin; row < end; row++) {
        int64_t at = 0, rest = row;
        bool inside = true;
        for (int k = LAST - 1; k >= 0; k--) {
            const int64_t i = rest % v->n[k];
            rest /= v->n[k];
            inside = inside && i >= v->lo[k] && i < v->hi[k];
            at += (i - v->lo[k]) * v->step[k];
        }
        sak_real *restrict to = v->to + row * n;
        const int64_t lo = inside ? v->lo[LAST] : n, hi = inside ? v->hi[LAST] : n;
        if (!v->acc) {
            memset(to, 0, (size_t)lo * sizeof *to);
            memset(to + hi, 0, (size_t)(n - hi) * sizeof *to);
        }
        if (hi <= lo)
            continue;
        const sak_real *restrict from = v->from + at;
        to += lo;
        if (step == 1 && !v->acc)
            memcpy(to, from, (size_t)(hi - lo) * sizeof *to);
        else if (step == 1)
            for (int64_t i = 0; i < hi - lo; i++)
                to[i] += from[i];
        else
            for (int64_t i = 0; i < hi - lo; i++)
                to[i] = v->acc ? to[i] + from[i * step] : from[i * step];
    }
}

static void copy_strided(const strided *v)
{
    int64_t rows = 1, n = v->n[SAK_MAX_DIMS - 1];
    for (int k = 0; k < SAK_MAX_DIMS - 1; k++)
        rows *= v->n[k];
    if (rows * n > 0)
        sak_parallel_for(rows, 16384 / n + 1, strided_rows, (void *)(uintptr_t)v);
}

/* A dense tensor of shape `dense`, right-aligned, everything inside, strides of zero. */
static strided strided_of(const sak_shape *dense, const sak_real *from, sak_real *to, bool acc)
{
    strided v = {.from = from, .to = to, .acc = acc};
    for (int k = 0; k < SAK_MAX_DIMS; k++) {
        const int i = k - (SAK_MAX_DIMS - dense->n);
        v.n[k] = v.hi[k] = i < 0 ? 1 : dense->d[i];
    }
    return v;
}

static void row_major(const sak_shape *s, int64_t *step)
{
    int64_t n = 1;
    for (int i = s->n - 1; i >= 0; i--) {
        step[i] = n;
        n *= s->d[i];
    }
}

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
    row_major(&c->s->x[0], step);
    strided v = strided_of(&c->s->y, c->x[0], c->y, false);
    for (int i = 0; i < c->s->y.n; i++)
        v.step[SAK_MAX_DIMS - c->s->y.n + i] = step[order[i]];
    copy_strided(&v);
}

static void permute_backward(const sak_opcall *c)
{
    int order[SAK_MAX_DIMS];
    (void)order_of(c->s, order, NULL);
    int64_t step[SAK_MAX_DIMS];
    row_major(&c->s->y, step);
    strided v = strided_of(&c->s->x[0], c->dy, c->dx[0], c->acc[0]);
    for (int i = 0; i < c->s->y.n; i++)
        v.step[SAK_MAX_DIMS - c->s->y.n + order[i]] = step[i];
    if (c->dx[0])
        copy_strided(&v);
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
    row_major(&c->s->y, step);
    strided v = strided_of(&c->s->x[0], c->dy, c->dx[0], c->acc[0]);
    const int shift = SAK_MAX_DIMS - c->s->y.n;
    for (int i = 0; i < c->s->y.n; i++)
        v.step[shift + i] = step[i];
    v.lo[shift + axis] = (int64_t)SAK_ATTR(c->s, 1);
    v.hi[shift + axis] = v.lo[shift + axis] + c->s->y.d[axis];
    if (c->dx[0])
        copy_strided(&v);
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

/* --- pad2d, crop2d --------------------------------------------------------------------------------*/

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
    strided v = strided_of(large, from, to, acc);
    row_major(small, v.step + 2);
    v.lo[3] = top;
    v.hi[3] = top + small->d[1];
    v.lo[4] = left;
    v.hi[4] = left + small->d[2];
    copy_strided(&v);
}

/* small = the part of large at (top, left). */
static void take_from(const sak_shape *large, const sak_shape *small, int64_t top, int64_t left,
                      const sak_real *from, sak_real *to, bool acc)
{
    int64_t step[SAK_MAX_DIMS];
    row_major(large, step);
    strided v = strided_of(small, from + top * step[1] + left * step[2], to, acc);
    memcpy(v.step + 2, step, 4 * sizeof *step);
    copy_strided(&v);
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

/* --- embedding ------------------------------------------------------------------------------------*/

static sak_status embedding_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *ids = &s->x[0], *table = &s->x[1];
    if (table->n != 2 || table->d[0] < 1 || ids->n + 1 > SAK_MAX_DIMS)
        return SAK_FAIL(err, SAK_ESHAPE, "embedding: ids are %s and table is %s, not (V, C)",
                        SAK_SHAPE_TEXT(ids), SAK_SHAPE_TEXT(table));
    s->y = *ids;
    s->y.d[s->y.n++] = table->d[1];
    return SAK_OK;
}

/* Ids are checked where they enter; a stray one must only not crash. */
static int64_t id_at(const sak_opcall *c, int64_t i)
{
    const sak_real id = c->x[0][i], top = (sak_real)(c->s->x[1].d[0] - 1);
    return id > 0 ? (int64_t)(id < top ? id : top) : 0;
}

static void embedding_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t C = c->s->x[1].d[1];
    for (int64_t i = begin; i < end; i++)
        memcpy(c->y + i * C, c->x[1] + id_at(c, i) * C, (size_t)C * sizeof *c->y);
}

static void embedding_forward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->x[0]), 16384 / (c->s->x[1].d[1] + 1) + 1,
                     embedding_rows, (void *)(uintptr_t)c);
}

/* Each task owns some columns of the table and visits the ids in order: no two tasks share an
 * element, and the order of the sum is fixed. */
static void embedding_columns(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t V = c->s->x[1].d[0], C = c->s->x[1].d[1], N = sak_shape_count(&c->s->x[0]);
    for (int64_t v = 0; !c->acc[1] && v < V; v++)
        memset(c->dx[1] + v * C + begin, 0, (size_t)(end - begin) * sizeof *c->dx[1]);
    for (int64_t i = 0; i < N; i++) {
        sak_real *restrict dx = c->dx[1] + id_at(c, i) * C;
        const sak_real *restrict dy = c->dy + i * C;
        for (int64_t j = begin; j < end; j++)
            dx[j] += dy[j];
    }
}

static void embedding_backward(const sak_opcall *c)
{
    if (c->dx[1])
        sak_parallel_for(c->s->x[1].d[1], 64, embedding_columns, (void *)(uintptr_t)c);
}

/* --- rows -----------------------------------------------------------------------------------------*/

const sak_op sak_ops_layout[] = {
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
    {.name = "embedding", .inputs = "ids table", .n_in = 2, .shape = embedding_shape,
     .forward = embedding_forward, .backward = embedding_backward, .keep = SAK_KEEP_X(0),
     .no_grad = 1u << 0,
     .cases = (const char *const[]){"ids=2x3:id(0,4) table=4x3", "ids=9:id(-2,9) table=5x67",
                                    "ids=1:id(0,1) table=1x1", NULL},
     .eq = "y[…, c] = table[ids[…], c]",
     .doc = "Rows of a table; ids outside 0 … V-1 take the nearest row."},
    {0},
};
