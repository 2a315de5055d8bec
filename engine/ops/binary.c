/* Elementwise ops of two tensors: add, sub, mul, div, maximum, minimum.  See broadcast.h. */
#include "kernels/simd.h"
#include "ops/broadcast.h"
#include "ops/op.h"

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

const sak_op sak_ops_binary[] = {
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
    {0},
};
