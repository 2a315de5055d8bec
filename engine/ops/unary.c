/* What the functions of one tensor share, and the plain ones: neg, exp, log, sqrt, square, abs. */
#include "ops/unary.h"

typedef struct job {
    const sak_opcall *c;
    const sak_simd *simd;
    sak_unary kind;
    const sak_real *s; /* x or y: what the gradient reads */
} job;

static void run_forward(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->unary[j->kind](end - begin, j->c->x[0] + begin, j->c->y + begin);
}

static void run_backward(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    j->simd->unary_grad[j->kind](end - begin, j->s ? j->s + begin : NULL, j->c->dy + begin,
                                 j->c->dx[0] + begin, j->c->acc[0]);
}

void sak_unary_forward(const sak_opcall *c, sak_unary kind)
{
    job j = {c, sak_simd_table(), kind, NULL};
    sak_parallel_for(sak_shape_count(&c->s->y), SAK_UNARY_GRAIN, run_forward, &j);
}

void sak_unary_backward(const sak_opcall *c, sak_unary kind)
{
    job j = {c, sak_simd_table(), kind, c->x[0] ? c->x[0] : c->y};
    if (c->dx[0])
        sak_parallel_for(sak_shape_count(&c->s->y), SAK_UNARY_GRAIN, run_backward, &j);
}

static void neg_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_NEG);
}

static void neg_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_NEG);
}

static void exp_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_EXP);
}

static void exp_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_EXP);
}

static void log_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_LOG);
}

static void log_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_LOG);
}

static void sqrt_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_SQRT);
}

static void sqrt_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_SQRT);
}

static void square_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_SQUARE);
}

static void square_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_SQUARE);
}

static void abs_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_ABS);
}

static void abs_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_ABS);
}

const char *const sak_unary_cases[] = {"x=37", "x=2x3x4", "x=1", "x=2x2x2x2x2", NULL};

const sak_op sak_ops_unary[] = {
    {.name = "neg",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = neg_forward,
     .backward = neg_backward,
     .cases = sak_unary_cases,
     .eq = "y = -x",
     .doc = "Negation."},
    {.name = "exp",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = exp_forward,
     .backward = exp_backward,
     .keep = SAK_KEEP_Y,
     .cases = sak_unary_cases,
     .eq = "y = exp(x)",
     .doc = "Exponential."},
    {.name = "log",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = log_forward,
     .backward = log_backward,
     .keep = SAK_KEEP_X(0),
     .domain = {0.1, 3},
     .cases = sak_unary_cases,
     .eq = "y = log(x)",
     .doc = "Natural logarithm."},
    {.name = "sqrt",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = sqrt_forward,
     .backward = sqrt_backward,
     .keep = SAK_KEEP_Y,
     .domain = {0.1, 3},
     .cases = sak_unary_cases,
     .eq = "y = sqrt(x)",
     .doc = "Square root."},
    {.name = "square",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = square_forward,
     .backward = square_backward,
     .keep = SAK_KEEP_X(0),
     .cheap = true,
     .cases = sak_unary_cases,
     .eq = "y = x^2",
     .doc = "Square."},
    {.name = "abs",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = abs_forward,
     .backward = abs_backward,
     .keep = SAK_KEEP_X(0),
     .cheap = true,
     .cases = sak_unary_cases,
     .eq = "y = |x|",
     .doc = "Absolute value; gradient 0 at 0."},
    {0},
};
