/* Activation functions: tanh, sigmoid, relu, the forms of GELU, silu, softplus. */
#include "ops/unary.h"

static void tanh_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_TANH);
}

static void tanh_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_TANH);
}

static void sigmoid_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_SIGMOID);
}

static void sigmoid_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_SIGMOID);
}

static void relu_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_RELU);
}

static void relu_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_RELU);
}

/* GELU, exact form: y = x Phi(x), Phi the CDF of N(0,1).  Hendrycks & Gimpel, arXiv:1606.08415,
 * sec. 2.  dy/dx = Phi(x) + x phi(x). */
static void gelu_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_GELU);
}

static void gelu_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_GELU);
}

static void quick_gelu_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_QUICK_GELU);
}

static void quick_gelu_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_QUICK_GELU);
}

/* GELU by tanh, as SigLIP has it; Hendrycks & Gimpel, sec. 2. */
static void gelu_tanh_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_GELU_TANH);
}

static void gelu_tanh_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_GELU_TANH);
}

static void silu_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_SILU);
}

static void silu_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_SILU);
}

static void softplus_forward(const sak_opcall *c)
{
    sak_unary_forward(c, SAK_UNARY_SOFTPLUS);
}

static void softplus_backward(const sak_opcall *c)
{
    sak_unary_backward(c, SAK_UNARY_SOFTPLUS);
}

const sak_op sak_ops_activation[] = {
    {.name = "tanh",
     .inputs = "x",
     .n_in = 1,
     .shape = sak_shape_same,
     .forward = tanh_forward,
     .backward = tanh_backward,
     .over_dy = SAK_KEEP_X(0),
     .keep = SAK_KEEP_Y,
     .domain = {-4, 4},
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
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
     .cases = sak_unary_cases,
     .eq = "y = log(1 + exp(x))",
     .doc = "Smooth rectifier."},
    {0},
};
