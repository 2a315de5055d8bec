/* Elementwise ops: broadcasting binary ones (see broadcast.h), and functions of one tensor. */
#include <math.h>
#include <string.h>

#include "kernels/simd.h"
#include "ops/broadcast.h"
#include "ops/op.h"

#define GRAIN 16384 /* elements per chunk */

/* ---- binary ------------------------------------------------------------------------------------ */

static void add_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_ADD);
}

static void add_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_ADD);
}

static void sub_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_SUB);
}

static void sub_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_SUB);
}

static void mul_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_MUL);
}

static void mul_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_MUL);
}

static void div_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_DIV);
}

static void div_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_DIV);
}

static void maximum_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_MAX);
}

static void maximum_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_MAX);
}

static void minimum_forward(const sak_opcall *c)
{
    sak_broadcast_forward(c, SAK_BINARY_MIN);
}

static void minimum_backward(const sak_opcall *c)
{
    sak_broadcast_backward(c, SAK_BINARY_MIN);
}

static double one_per_element(const sak_opshape *s)
{
    return (double)sak_shape_count(&s->y);
}

/* ---- unary ------------------------------------------------------------------------------------- */

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

static void forward(const sak_opcall *c, sak_unary kind)
{
    job j = {c, sak_simd_table(), kind, NULL};
    sak_parallel_for(sak_shape_count(&c->s->y), GRAIN, run_forward, &j);
}

/* Reads x or y, whichever the row keeps: the other one is NULL. */
static void backward(const sak_opcall *c, sak_unary kind)
{
    job j = {c, sak_simd_table(), kind, c->x[0] ? c->x[0] : c->y};
    if (c->dx[0])
        sak_parallel_for(sak_shape_count(&c->s->y), GRAIN, run_backward, &j);
}

static void neg_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_NEG);
}

static void neg_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_NEG);
}

static void exp_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_EXP);
}

static void exp_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_EXP);
}

static void log_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_LOG);
}

static void log_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_LOG);
}

static void sqrt_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_SQRT);
}

static void sqrt_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_SQRT);
}

static void square_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_SQUARE);
}

static void square_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_SQUARE);
}

static void abs_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_ABS);
}

static void abs_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_ABS);
}

static void tanh_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_TANH);
}

static void tanh_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_TANH);
}

static void sigmoid_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_SIGMOID);
}

static void sigmoid_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_SIGMOID);
}

static void relu_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_RELU);
}

static void relu_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_RELU);
}

/* GELU, exact form: y = x Phi(x), Phi the CDF of N(0,1).  Hendrycks & Gimpel, arXiv:1606.08415,
 * sec. 2.  dy/dx = Phi(x) + x phi(x). */
static void gelu_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_GELU);
}

static void gelu_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_GELU);
}

static void quick_gelu_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_QUICK_GELU);
}

static void quick_gelu_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_QUICK_GELU);
}

/* GELU by tanh, as SigLIP has it; Hendrycks & Gimpel, sec. 2. */
static void gelu_tanh_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_GELU_TANH);
}

static void gelu_tanh_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_GELU_TANH);
}

static void silu_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_SILU);
}

static void silu_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_SILU);
}

static void softplus_forward(const sak_opcall *c)
{
    forward(c, SAK_UNARY_SOFTPLUS);
}

static void softplus_backward(const sak_opcall *c)
{
    backward(c, SAK_UNARY_SOFTPLUS);
}

/* ---- with attributes --------------------------------------------------------------------------- */

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
    sak_parallel_for(sak_shape_count(&c->s->y), GRAIN, fn, &j);
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

/* ---- rows -------------------------------------------------------------------------------------- */

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

/* Same shape, scalars, last axis, leading axes, inner axes, both stretched, long sums. */
static const char *const binary_cases[] = {
    "a=2x3x5 b=2x3x5", "a=37 b=37",           "a=2x3x5 b=1",       "a=1 b=33",
    "a=2x3x17 b=17",   "a=2x3x5 b=3x5",       "a=1x3x5 b=4x3x5",   "a=2x3x5 b=2x1x5",
    "a=2x3x5 b=2x3x1", "a=2x1x5 b=1x3x1",     "a=5x1 b=1x4",       "a=2x3x1x2x2 b=2x1x3x1x2",
    "a=1 b=1",         "a=2x1x3x1 b=1x2x1x3", NULL,
};
/* The second operand stays away from zero. */
static const char *const div_cases[] = {
    "a=2x3x5 b=2x3x5:pos", "a=2x3x5 b=1:pos",         "a=1 b=33:pos",
    "a=2x3x17 b=17:pos",   "a=2x3x5 b=3x5:pos",       "a=1x3x5 b=4x3x5:pos",
    "a=2x3x5 b=2x1x5:pos", "a=2x3x5 b=2x3x1:pos",     "a=2x1x5 b=1x3x1:pos",
    "a=1 b=1:pos",         "a=2x1x3x1 b=1x2x1x3:pos", NULL,
};
static const char *const unary_cases[] = {"x=37", "x=2x3x4", "x=1", "x=2x2x2x2x2", NULL};
static const char *const affine_cases[] = {"x=37; a=-1.5 b=0.25", "x=2x3x4; a=3", "x=5; b=2", NULL};
static const char *const pow_cases[] = {"x=37; p=2", "x=2x3x4; p=-1.5", "x=5; p=0.5", "x=3; p=0",
                                        NULL};
static const char *const clamp_cases[] = {"x=37; lo=-1 hi=0.5", "x=2x3x4; lo=0", "x=5; hi=1",
                                          "x=3", NULL};

const sak_op sak_ops_elementwise[] = {
    {.name = "add",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = add_forward,
     .backward = add_backward,
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .passes = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .cases = binary_cases,
     .eq = "y = a + b",
     .doc = "Sum with broadcasting."},
    {.name = "sub",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = sub_forward,
     .backward = sub_backward,
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .passes = SAK_KEEP_X(0),
     .cases = binary_cases,
     .eq = "y = a - b",
     .doc = "Difference with broadcasting."},
    {.name = "mul",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = mul_forward,
     .backward = mul_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .cases = binary_cases,
     .eq = "y = a b",
     .doc = "Product with broadcasting."},
    {.name = "div",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = div_forward,
     .backward = div_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .cases = div_cases,
     .eq = "y = a / b",
     .doc = "Quotient with broadcasting."},
    {.name = "maximum",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = maximum_forward,
     .backward = maximum_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .cases = binary_cases,
     .eq = "y = max(a, b)",
     .doc = "Larger of two with broadcasting; at ties half the gradient each."},
    {.name = "minimum",
     .inputs = "a b",
     .n_in = 2,
     .shape = sak_broadcast_shape,
     .forward = minimum_forward,
     .backward = minimum_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .scratch = sak_broadcast_scratch,
     .flops = one_per_element,
     .cases = binary_cases,
     .eq = "y = min(a, b)",
     .doc = "Smaller of two with broadcasting; at ties half the gradient each."},
    {.name = "neg",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = neg_forward,
     .backward = neg_backward,
     .cases = unary_cases,
     .eq = "y = -x",
     .doc = "Negation."},
    {.name = "exp",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = exp_forward,
     .backward = exp_backward,
     .keep = SAK_KEEP_Y,
     .cases = unary_cases,
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
     .cases = unary_cases,
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
     .cases = unary_cases,
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
     .cases = unary_cases,
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
     .cases = unary_cases,
     .eq = "y = |x|",
     .doc = "Absolute value; gradient 0 at 0."},
    {.name = "tanh",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = tanh_forward,
     .backward = tanh_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_Y,
     .domain = {-4, 4},
     .cases = unary_cases,
     .eq = "y = tanh(x)",
     .doc = "Hyperbolic tangent."},
    {.name = "sigmoid",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = sigmoid_forward,
     .backward = sigmoid_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_Y,
     .domain = {-4, 4},
     .cases = unary_cases,
     .eq = "y = 1 / (1 + exp(-x))",
     .doc = "Logistic function."},
    {.name = "relu",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = relu_forward,
     .backward = relu_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_Y,
     .cases = unary_cases,
     .eq = "y = max(x, 0)",
     .doc = "Rectifier; gradient 0 at 0."},
    {.name = "gelu",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = gelu_forward,
     .backward = gelu_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_X(0),
     .domain = {-4, 4},
     .cheap = true,
     .cases = unary_cases,
     .eq = "y = x Phi(x)",
     .doc = "Gaussian error linear unit, exact form."},
    {.name = "quick_gelu",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = quick_gelu_forward,
     .backward = quick_gelu_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_X(0),
     .domain = {-4, 4},
     .cheap = true,
     .cases = unary_cases,
     .eq = "y = x sigmoid(1.702 x)",
     .doc = "GELU as CLIP approximates it."},
    {.name = "gelu_tanh",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = gelu_tanh_forward,
     .backward = gelu_tanh_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_X(0),
     .domain = {-4, 4},
     .cheap = true,
     .cases = unary_cases,
     .eq = "y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))",
     .doc = "GELU as SigLIP approximates it."},
    {.name = "silu",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = silu_forward,
     .backward = silu_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_X(0),
     .domain = {-4, 4},
     .cheap = true,
     .cases = unary_cases,
     .eq = "y = x sigmoid(x)",
     .doc = "Sigmoid linear unit (swish)."},
    {.name = "softplus",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = softplus_forward,
     .backward = softplus_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_X(0),
     .domain = {-4, 4},
     .cheap = true,
     .cases = unary_cases,
     .eq = "y = log(1 + exp(x))",
     .doc = "Smooth rectifier."},
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
     .cases = unary_cases,
     .eq = "y = x",
     .doc = "Identity through which no gradient flows."},
    {0},
};
