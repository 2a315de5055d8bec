/* Softmax and its logarithm. */
#include "ops/norm_rows.h"

static sak_real inverse_temperature(const sak_opshape *s)
{
    return (sak_real)(1 / SAK_ATTR(s, 0));
}

static sak_status softmax_shape(sak_opshape *s, sak_error *err)
{
    if (!(SAK_ATTR(s, 0) > 0))
        return SAK_FAIL(err, SAK_EINVAL, "softmax: temperature is %g, must be above 0",
                        SAK_ATTR(s, 0));
    return sak_norm_shape(s, err);
}

static void run_softmax(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->softmax(j->n, inverse_temperature(j->c->s), j->c->x[0] + r * j->n,
                         j->c->y + r * j->n);
}

static void run_softmax_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++)
        j->simd->softmax_grad(j->n, inverse_temperature(c->s), c->y + r * j->n, c->dy + r * j->n,
                              c->dx[0] + r * j->n, c->acc[0]);
}

static void softmax_forward(const sak_opcall *c)
{
    sak_norm_over_rows(c, run_softmax);
}

static void softmax_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_norm_over_rows(c, run_softmax_grad);
}

static void run_log_softmax(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = j->c->x[0] + r * j->n;
        sak_real *y = j->c->y + r * j->n;
        const sak_real log_sum = j->simd->softmax(j->n, 1, x, y);
        j->simd->affine(j->n, 1, -log_sum, x, y);
    }
}

/* dx = dy - exp(y) sum(dy) */
static void run_log_softmax_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    sak_real *p = sak_each(c, worker);
    for (int64_t r = begin; r < end; r++) {
        const sak_real *dy = c->dy + r * j->n;
        j->simd->exp(j->n, c->y + r * j->n, p);
        j->simd->scale(j->n, -j->simd->sum(j->n, dy), p, p, false);
        j->simd->add(j->n, p, dy, p);
        j->simd->scale(j->n, 1, p, c->dx[0] + r * j->n, c->acc[0]);
    }
}

static void log_softmax_forward(const sak_opcall *c)
{
    sak_norm_over_rows(c, run_log_softmax);
}

static void log_softmax_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_norm_over_rows(c, run_log_softmax_grad);
}

static sak_scratch one_row_each(const sak_opshape *s)
{
    return (sak_scratch){.each = sak_shape_last(&s->x[0])};
}

static const sak_attr_spec softmax_attrs[] = {
    {.name = "temperature", .type = SAK_ATTR_REAL, .def = 1, .doc = "divides the logits"},
    {0},
};

static const char *const softmax_cases[] = {
    "x=2x3x5", "x=4x37; temperature=0.5", "x=7; temperature=4", "x=3x1", NULL,
};
static const char *const log_softmax_cases[] = {"x=2x3x5", "x=4x37", "x=7", "x=3x1", NULL};

const sak_op sak_ops_softmax[] = {
    {.name = "softmax",
     .inputs = "x",
     .n_in = 1,
     .attrs = softmax_attrs,
     .shape = softmax_shape,
     .forward = softmax_forward,
     .backward = softmax_backward,
     .keep = SAK_KEEP_Y,
     .flops = sak_norm_flops,
     .cases = softmax_cases,
     .eq = "y_i = exp(x_i / temperature) / sum_j exp(x_j / temperature)",
     .doc = "Softmax over the last axis."},
    {.name = "log_softmax",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_norm_shape,
     .forward = log_softmax_forward,
     .backward = log_softmax_backward,
     .keep = SAK_KEEP_Y,
     .scratch = one_row_each,
     .flops = sak_norm_flops,
     .cases = log_softmax_cases,
     .eq = "y_i = x_i - log sum_j exp(x_j)",
     .doc = "Logarithm of softmax over the last axis."},
    {0},
};
