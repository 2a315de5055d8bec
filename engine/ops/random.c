/* Random tensors: pure functions of (seed, step, node, element), so any thread count draws the
 * same. */
#include "ops/op.h"

#define GRAIN 2048 /* elements per chunk: one costs about as much as ten elsewhere */

static sak_status given_shape(sak_opshape *s, sak_error *err)
{
    s->y = s->attr->dims;
    if (s->y.n < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: shape is missing", s->op->name);
    for (int i = 0; i < s->y.n; i++)
        if (s->y.d[i] < 1)
            return SAK_FAIL(err, SAK_ESHAPE, "%s: shape is %s, every size must be at least 1",
                            s->op->name, SAK_SHAPE_TEXT(&s->y));
    return SAK_OK;
}

static void run_randn(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    for (int64_t i = begin; i < end; i++)
        c->y[i] = c->s->training ? (sak_real)sak_rng_normal_at(&c->rng, (uint64_t)i) : 0;
}

static void randn_forward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->y), GRAIN, run_randn, (void *)(uintptr_t)c);
}

/* Four elements share a block of random words. */
static void run_bernoulli(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    const double p = SAK_ATTR(c->s, 1);
    const sak_real kept = (sak_real)(1 / (1 - p));
    uint32_t word[4] = {0};
    for (int64_t i = begin; i < end; i++) {
        if (!c->s->training) {
            c->y[i] = 1;
            continue;
        }
        if (i == begin || i % 4 == 0)
            sak_rng_block(&c->rng, (uint32_t)(i / 4), word);
        c->y[i] = ((double)word[i % 4] + 0.5) * 0x1p-32 < p ? 0 : kept;
    }
}

static void bernoulli_forward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->y), GRAIN, run_bernoulli, (void *)(uintptr_t)c);
}

static sak_status bernoulli_shape(sak_opshape *s, sak_error *err)
{
    const double p = SAK_ATTR(s, 1);
    if (!(p >= 0 && p < 1))
        return SAK_FAIL(err, SAK_EINVAL, "bernoulli: p is %g, must be in [0, 1)", p);
    return given_shape(s, err);
}

static const sak_attr_spec randn_attrs[] = {
    {.name = "shape", .type = SAK_ATTR_DIMS, .required = true, .doc = "shape of y"},
    {0},
};
static const sak_attr_spec bernoulli_attrs[] = {
    {.name = "shape", .type = SAK_ATTR_DIMS, .required = true, .doc = "shape of y"},
    {.name = "p", .type = SAK_ATTR_REAL, .def = 0.5, .doc = "probability of 0"},
    {0},
};
static const char *const randn_cases[] = {"; shape=2x3", "; shape=37", NULL};
static const char *const bernoulli_cases[] = {"; shape=2x3 p=0.3", "; shape=37", NULL};

const sak_op sak_ops_random[] = {
    {.name = "randn",
     .inputs = "",
     .attrs = randn_attrs,
     .shape = given_shape,
     .forward = randn_forward,
     .cases = randn_cases,
     .eq = "y ~ N(0, 1)",
     .doc = "Standard normal noise, new each training step; zeros in evaluation."},
    {.name = "bernoulli",
     .inputs = "",
     .attrs = bernoulli_attrs,
     .shape = bernoulli_shape,
     .forward = bernoulli_forward,
     .cases = bernoulli_cases,
     .eq = "y = 0 with probability p, else 1 / (1 - p)",
     .doc = "Dropout's mask, new each training step; ones in evaluation."},
    {0},
};
