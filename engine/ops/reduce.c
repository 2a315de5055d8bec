/* Reductions over one axis or over everything, and the top-k mask. */
#include <math.h>
#include <string.h>

#include "kernels/simd.h"
#include "ops/broadcast.h"
#include "ops/op.h"

#define GRAIN 16384 /* elements per chunk */
#define BLOCK 512   /* columns handled together by max */

/* ---- shapes ------------------------------------------------------------------------------------ */

/* x seen as (outer, n, inner), the middle one reduced. */
typedef struct middle {
    int64_t outer, n, inner;
} middle;

static middle middle_of(const sak_opshape *s)
{
    const sak_shape *x = &s->x[0];
    middle m = {1, 1, 1};
    int axis = 0;
    if (sak_shape_axis(x, (int64_t)SAK_ATTR(s, 0), &axis, NULL) != SAK_OK)
        return m; /* the shape rule has refused it */
    for (int i = 0; i < x->n; i++)
        *(i < axis ? &m.outer : i == axis ? &m.n : &m.inner) *= x->d[i];
    return m;
}

/* y keeps the axis with size 1 (keepdim) or loses it; a vector becomes (1). */
static sak_status axis_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0];
    int axis = 0;
    SAK_TRY(sak_shape_axis(x, (int64_t)SAK_ATTR(s, 0), &axis, err));
    if (x->d[axis] == 0)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: axis %d of %s is empty", s->op->name, axis,
                        SAK_SHAPE_TEXT(x));
    s->y = *x;
    s->y.d[axis] = 1;
    if (SAK_ATTR(s, 1) == 0 && x->n > 1) {
        s->y.n--;
        for (int i = axis; i < s->y.n; i++)
            s->y.d[i] = x->d[i + 1];
    }
    return SAK_OK;
}

static sak_status all_shape(sak_opshape *s, sak_error *err)
{
    if (sak_shape_count(&s->x[0]) == 0)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: %s is empty", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]));
    s->y = SAK_SHAPE(1);
    return SAK_OK;
}

static double one_per_element(const sak_opshape *s)
{
    return (double)sak_shape_count(&s->x[0]);
}

/* ---- sum and mean ------------------------------------------------------------------------------ */

static void sum_of(const sak_opcall *c, middle m, sak_real scale)
{
    const sak_shape from = SAK_SHAPE(m.outer, m.n, m.inner), to = SAK_SHAPE(m.outer, 1, m.inner);
    sak_broadcast_sum(&from, &to, c->x[0], c->y, false, c->shared);
    if (scale != 1)
        sak_simd_table()->scale(m.outer * m.inner, scale, c->y, c->y, false);
}

static int64_t sum_scratch(middle m)
{
    const sak_shape from = SAK_SHAPE(m.outer, m.n, m.inner), to = SAK_SHAPE(m.outer, 1, m.inner);
    return sak_broadcast_sum_scratch(&from, &to);
}

typedef struct spread {
    const sak_opcall *c;
    const sak_simd *simd;
    middle m;
    sak_real scale;
} spread;

/* dx over the flat range [begin, end): dy, scaled, repeated along the reduced axis. */
static void run_spread(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const spread *s = ctx;
    const sak_opcall *c = s->c;
    const int64_t inner = s->m.inner, row = inner > 1 ? inner : s->m.n;
    for (int64_t e = begin; e < end;) {
        const int64_t r = e / row, i = e - r * row;
        const int64_t n = end - e < row - i ? end - e : row - i;
        sak_real *dx = c->dx[0] + e;
        if (inner > 1) {
            const sak_real *dy = c->dy + r / s->m.n * inner + i;
            s->simd->scale(n, s->scale, dy, dx, c->acc[0]);
        } else {
            const sak_real d = s->scale * c->dy[r];
            if (c->acc[0])
                s->simd->binary[SAK_BINARY_ADD](n, NULL, dx, false, &d, true, dx);
            else
                for (int64_t k = 0; k < n; k++)
                    dx[k] = d;
        }
        e += n;
    }
}

static void spread_dy(const sak_opcall *c, middle m, sak_real scale)
{
    spread s = {c, sak_simd_table(), m, scale};
    if (c->dx[0])
        sak_parallel_for(m.outer * m.n * m.inner, GRAIN, run_spread, &s);
}

static middle everything(const sak_opshape *s)
{
    return (middle){1, sak_shape_count(&s->x[0]), 1};
}

static void sum_forward(const sak_opcall *c)
{
    sum_of(c, middle_of(c->s), 1);
}

static void sum_backward(const sak_opcall *c)
{
    spread_dy(c, middle_of(c->s), 1);
}

static void mean_forward(const sak_opcall *c)
{
    const middle m = middle_of(c->s);
    sum_of(c, m, 1 / (sak_real)m.n);
}

static void mean_backward(const sak_opcall *c)
{
    const middle m = middle_of(c->s);
    spread_dy(c, m, 1 / (sak_real)m.n);
}

static void sum_all_forward(const sak_opcall *c)
{
    sum_of(c, everything(c->s), 1);
}

static void sum_all_backward(const sak_opcall *c)
{
    spread_dy(c, everything(c->s), 1);
}

static void mean_all_forward(const sak_opcall *c)
{
    const middle m = everything(c->s);
    sum_of(c, m, 1 / (sak_real)m.n);
}

static void mean_all_backward(const sak_opcall *c)
{
    const middle m = everything(c->s);
    spread_dy(c, m, 1 / (sak_real)m.n);
}

static sak_scratch axis_scratch(const sak_opshape *s)
{
    return (sak_scratch){.shared = sum_scratch(middle_of(s))};
}

static sak_scratch all_scratch(const sak_opshape *s)
{
    return (sak_scratch){.shared = sum_scratch(everything(s))};
}

/* ---- max --------------------------------------------------------------------------------------- */

typedef struct max_job {
    const sak_opcall *c;
    middle m;
    int64_t blocks; /* per outer index */
} max_job;

/* save: the index of the first maximum; NaN counts as the largest. */
static void run_max(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const max_job *j = ctx;
    for (int64_t e = begin; e < end; e++) {
        const int64_t o = e / j->blocks, from = e % j->blocks * BLOCK;
        const int64_t to = from + BLOCK < j->m.inner ? from + BLOCK : j->m.inner;
        sak_real *y = j->c->y + o * j->m.inner, *index = j->c->save + o * j->m.inner;
        const sak_real *x = j->c->x[0] + o * j->m.n * j->m.inner;
        for (int64_t i = from; i < to; i++) {
            y[i] = x[i];
            index[i] = 0;
        }
        for (int64_t k = 1; k < j->m.n; k++)
            for (int64_t i = from; i < to; i++) {
                const sak_real v = x[k * j->m.inner + i];
                if (v > y[i] || (v != v && y[i] == y[i])) {
                    y[i] = v;
                    index[i] = (sak_real)k;
                }
            }
    }
}

static void run_max_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const max_job *j = ctx;
    for (int64_t e = begin; e < end; e++) {
        const int64_t o = e / j->blocks, from = e % j->blocks * BLOCK;
        const int64_t to = from + BLOCK < j->m.inner ? from + BLOCK : j->m.inner;
        const sak_real *dy = j->c->dy + o * j->m.inner, *index = j->c->save + o * j->m.inner;
        sak_real *dx = j->c->dx[0] + o * j->m.n * j->m.inner;
        for (int64_t k = 0; k < j->m.n; k++)
            for (int64_t i = from; i < to; i++)
                sak_put(dx, k * j->m.inner + i, index[i] == (sak_real)k ? dy[i] : 0, j->c->acc[0]);
    }
}

static void over_blocks(const sak_opcall *c, sak_chunk_fn *fn)
{
    const middle m = middle_of(c->s);
    max_job j = {c, m, (m.inner + BLOCK - 1) / BLOCK};
    const int64_t cost = m.n * (m.inner < BLOCK ? m.inner : BLOCK);
    sak_parallel_for(m.outer * j.blocks, 1 + GRAIN / (cost + 1), fn, &j);
}

static void max_forward(const sak_opcall *c)
{
    over_blocks(c, run_max);
}

static void max_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_blocks(c, run_max_grad);
}

static int64_t max_save(const sak_opshape *s)
{
    return sak_shape_count(&s->y);
}

static sak_status max_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(axis_shape(s, err));
    if (middle_of(s).n > 1 << 24)
        return SAK_FAIL(err, SAK_ESHAPE, "max: axis of %s is longer than 2^24",
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

/* ---- top-k mask -------------------------------------------------------------------------------- */

/* An element is kept when fewer than k others come before it: larger, or equal with a lower index.
 * Quadratic in the row's length, which is a number of experts. */
static void run_top_k(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const int64_t n = sak_shape_last(&c->s->x[0]), k = (int64_t)SAK_ATTR(c->s, 0);
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = c->x[0] + r * n;
        for (int64_t i = 0; i < n; i++) {
            int64_t before = 0;
            for (int64_t j = 0; j < n; j++)
                before += x[j] > x[i] || (x[j] == x[i] && j < i);
            c->y[r * n + i] = before < k;
        }
    }
}

static void top_k_forward(const sak_opcall *c)
{
    const int64_t n = sak_shape_last(&c->s->x[0]);
    sak_parallel_for(sak_shape_rows(&c->s->x[0]), 1 + GRAIN / (n * n + 1), run_top_k,
                     (void *)(uintptr_t)c);
}

static sak_status top_k_shape(sak_opshape *s, sak_error *err)
{
    const int64_t n = sak_shape_last(&s->x[0]);
    const double k = SAK_ATTR(s, 0);
    if (k < 1 || k > (double)n)
        return SAK_FAIL(err, SAK_EINVAL, "top_k_mask: k is %g but the last axis of %s has %lld", k,
                        SAK_SHAPE_TEXT(&s->x[0]), (long long)n);
    return sak_shape_same(s, err);
}

/* ---- rows -------------------------------------------------------------------------------------- */

static const sak_attr_spec axis_attrs[] = {
    {.name = "axis", .type = SAK_ATTR_INT, .def = -1, .doc = "axis to reduce, negative from last"},
    {.name = "keepdim", .type = SAK_ATTR_BOOL, .doc = "keep the axis with size 1"},
    {0},
};
static const sak_attr_spec top_k_attrs[] = {
    {.name = "k", .type = SAK_ATTR_INT, .required = true, .doc = "how many to keep per row"},
    {0},
};

static const char *const axis_cases[] = {
    "x=2x3x5; axis=-1",        "x=2x3x5; axis=1",         "x=2x3x5; axis=0 keepdim=true",
    "x=2x3x37; axis=1",        "x=37; axis=0",            "x=2x3x5; axis=-1 keepdim=true",
    "x=2x2x3x2x2; axis=2",     "x=1x1; axis=0",           "x=2x520; axis=0",
    NULL,
};
static const char *const max_cases[] = {
    "x=2x3x5:distinct; axis=-1",    "x=2x3x5:distinct; axis=1",
    "x=2x3x5:distinct; axis=0 keepdim=true", "x=37:distinct; axis=0",
    "x=2x520:distinct; axis=0",     NULL,
};
static const char *const all_cases[] = {"x=2x3x5", "x=37", "x=1", NULL};
static const char *const top_k_cases[] = {"x=3x5; k=2", "x=4; k=4", "x=2x3x7; k=1", NULL};

const sak_op sak_ops_reduce[] = {
    {.name = "sum",
     .inputs = "x",
     .n_in = 1,
     .attrs = axis_attrs,
     .shape = axis_shape,
     .forward = sum_forward,
     .backward = sum_backward,
     .scratch = axis_scratch,
     .flops = one_per_element,
     .cases = axis_cases,
     .eq = "y = sum_axis x",
     .doc = "Sum over one axis."},
    {.name = "mean",
     .inputs = "x",
     .n_in = 1,
     .attrs = axis_attrs,
     .shape = axis_shape,
     .forward = mean_forward,
     .backward = mean_backward,
     .scratch = axis_scratch,
     .flops = one_per_element,
     .cases = axis_cases,
     .eq = "y = sum_axis x / n",
     .doc = "Mean over one axis."},
    {.name = "max",
     .inputs = "x",
     .n_in = 1,
     .attrs = axis_attrs,
     .shape = max_shape,
     .forward = max_forward,
     .backward = max_backward,
     .save = max_save,
     .cases = max_cases,
     .eq = "y = max_axis x",
     .doc = "Largest value along one axis; the gradient goes to the first one."},
    {.name = "sum_all",
     .inputs = "x",
     .n_in = 1,
     .shape = all_shape,
     .forward = sum_all_forward,
     .backward = sum_all_backward,
     .scratch = all_scratch,
     .flops = one_per_element,
     .cases = all_cases,
     .eq = "y = sum x",
     .doc = "Sum of all elements, shape (1)."},
    {.name = "mean_all",
     .inputs = "x",
     .n_in = 1,
     .shape = all_shape,
     .forward = mean_all_forward,
     .backward = mean_all_backward,
     .scratch = all_scratch,
     .flops = one_per_element,
     .cases = all_cases,
     .eq = "y = sum x / n",
     .doc = "Mean of all elements, shape (1)."},
    {.name = "top_k_mask",
     .inputs = "x",
     .n_in = 1,
     .attrs = top_k_attrs,
     .shape = top_k_shape,
     .forward = top_k_forward,
     .cases = top_k_cases,
     .eq = "y = 1 where x is among the k largest of its row, else 0",
     .doc = "Mask of each row's k largest; ties go to the lowest index; no gradient."},
    {0},
};
