/* Functions of one tensor with constants: affine, pow, clamp; and detach, the plain copy. */
#include <math.h>
#include <string.h>

#include "ops/unary.h"

typedef struct job {
    const sak_opcall *c;
    const sak_simd *simd;
} job;

static void run_affine(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->affine(end - begin, (sak_real)SAK_ATTR(j->c->s, 0), (sak_real)SAK_ATTR(j->c->s, 1),
                    j->c->x[0] + begin, j->c->y + begin);
}

static void run_affine_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->scale(end - begin, (sak_real)SAK_ATTR(j->c->s, 0), j->c->dy + begin,
                   j->c->dx[0] + begin, j->c->acc[0]);
}

static void run_pow(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const double p = SAK_ATTR(j->c->s, 0);
    for (int64_t i = begin; i < end; i++)
        j->c->y[i] = (sak_real)pow((double)j->c->x[0][i], p);
}

static void run_pow_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const double p = SAK_ATTR(j->c->s, 0);
    for (int64_t i = begin; i < end; i++) {
        const double slope = p == 0 ? 0 : p * pow((double)j->c->x[0][i], p - 1);
        sak_put(j->c->dx[0], i, (sak_real)((double)j->c->dy[i] * slope), j->c->acc[0]);
    }
}

static void run_clamp(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->clamp(end - begin, (sak_real)SAK_ATTR(j->c->s, 0), (sak_real)SAK_ATTR(j->c->s, 1),
                   j->c->x[0] + begin, j->c->y + begin);
}

static void run_clamp_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->clamp_grad(end - begin, (sak_real)SAK_ATTR(j->c->s, 0),
                        (sak_real)SAK_ATTR(j->c->s, 1), j->c->x[0] + begin, j->c->dy + begin,
                        j->c->dx[0] + begin, j->c->acc[0]);
}

static void run_copy(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    memcpy(j->c->y + begin, j->c->x[0] + begin, (size_t)(end - begin) * sizeof(sak_real));
}

static void over_elements(const sak_opcall *c, sak_chunk_fn *fn)
{
    job j = {.c = c, .simd = sak_simd_table()};
    sak_parallel_for(sak_shape_count(&c->s->y), SAK_UNARY_GRAIN, fn, &j);
}

static void affine_forward(const sak_opcall *c)
{
    over_elements(c, run_affine);
}

static void affine_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_elements(c, run_affine_grad);
}

static void pow_forward(const sak_opcall *c)
{
    over_elements(c, run_pow);
}

static void pow_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_elements(c, run_pow_grad);
}

static void clamp_forward(const sak_opcall *c)
{
    over_elements(c, run_clamp);
}

static void clamp_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_elements(c, run_clamp_grad);
}

static void detach_forward(const sak_opcall *c)
{
    over_elements(c, run_copy);
}

static sak_status clamp_shape(sak_opshape *s, sak_error *err)
{
    if (!(SAK_ATTR(s, 0) <= SAK_ATTR(s, 1)))
        return SAK_FAIL(err, SAK_EINVAL, "clamp: lo %g is above hi %g", SAK_ATTR(s, 0),
                        SAK_ATTR(s, 1));
    return sak_shape_same(s, err);
}

static const sak_attr_spec affine_attrs[] = {
    {.name = "a", .type = SAK_ATTR_REAL, .def = 1, .doc = "factor"},
    {.name = "b", .type = SAK_ATTR_REAL, .def = 0, .doc = "offset"},
    {0},
};
static const sak_attr_spec pow_attrs[] = {
    {.name = "p", .type = SAK_ATTR_REAL, .required = true, .doc = "exponent"},
    {0},
};
static const sak_attr_spec clamp_attrs[] = {
    {.name = "lo", .type = SAK_ATTR_REAL, .def = -INFINITY, .doc = "lower bound"},
    {.name = "hi", .type = SAK_ATTR_REAL, .def = INFINITY, .doc = "upper bound"},
    {0},
};

static const char *const affine_cases[] = {"x=37; a=-1.5 b=0.25", "x=2x3x4; a=3", "x=5; b=2", NULL};
static const char *const pow_cases[] = {"x=37; p=2", "x=2x3x4; p=-1.5", "x=5; p=0.5", "x=3; p=0",
                                        NULL};
static const char *const clamp_cases[] = {"x=37; lo=-1 hi=0.5", "x=2x3x4; lo=0", "x=5; hi=1",
                                          "x=3", NULL};

const sak_op sak_ops_scalar[] = {
    {.name = "affine",
     .inputs = "x",
     .n_in = 1,
     .attrs = affine_attrs,
     .shape = sak_shape_same,
     .forward = affine_forward,
     .backward = affine_backward,
     .cases = affine_cases,
     .eq = "y = a x + b",
     .doc = "Scale and shift by constants."},
    {.name = "pow",
     .inputs = "x",
     .n_in = 1,
     .attrs = pow_attrs,
     .shape = sak_shape_same,
     .forward = pow_forward,
     .backward = pow_backward,
     .keep = SAK_KEEP_X(0),
     .domain = {0.2, 2},
     .cases = pow_cases,
     .eq = "y = x^p",
     .doc = "Power with a constant exponent."},
    {.name = "clamp",
     .inputs = "x",
     .n_in = 1,
     .attrs = clamp_attrs,
     .shape = clamp_shape,
     .forward = clamp_forward,
     .backward = clamp_backward,
     .keep = SAK_KEEP_X(0),
     .cheap = true,
     .cases = clamp_cases,
     .eq = "y = min(max(x, lo), hi)",
     .doc = "Limits to [lo, hi]; no gradient outside."},
    {.name = "detach",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = detach_forward,
     .cases = sak_unary_cases,
     .eq = "y = x",
     .doc = "Identity through which no gradient flows."},
    {0},
};
