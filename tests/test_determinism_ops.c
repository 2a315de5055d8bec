/* Elementwise ops, reductions, norms and noise give the same bits with 1, 2 and 4 threads, at sizes
 * where the work is split; and the split sums are right. */
#include "oprun.h"

static const char *name;
static sak_shape shapes[5];
static int n_shapes;
static double first_attr; /* NAN: leave the default */

static oprun make(void)
{
    oprun r = oprun_of(name);
    for (int i = 0; i < n_shapes; i++)
        oprun_in(&r, shapes[i]);
    if (first_attr == first_attr)
        r.attrs.v[0] = first_attr;
    return r;
}

static void set(const char *op, double attr, int n, sak_shape a, sak_shape b)
{
    name = op;
    first_attr = attr;
    n_shapes = n;
    shapes[0] = a;
    shapes[1] = b;
}

static double norm_of(const sak_real *p, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)p[i] * (double)p[i];
    return sqrt(sum);
}

/* What broadcasting means, index by index. */
static void check_mul_gradients(void)
{
    oprun r = make();
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun_backward(&r);
    double *want[2] = {NULL, NULL};
    for (int k = 0; k < 2; k++) {
        want[k] = test_calloc((size_t)sak_shape_count(&r.s.x[k]), sizeof(double));
        assert_non_null(want[k]);
    }
    for (int64_t e = 0; e < sak_shape_count(&r.s.y); e++) {
        int64_t at[2] = {0, 0}, step[2] = {1, 1}, rest = e;
        for (int i = 0; i < r.s.y.n; i++) {
            const int64_t d = r.s.y.d[r.s.y.n - 1 - i], j = rest % d;
            rest /= d;
            for (int k = 0; k < 2; k++)
                if (i < r.s.x[k].n) {
                    const int64_t dk = r.s.x[k].d[r.s.x[k].n - 1 - i];
                    at[k] += dk == 1 ? 0 : j * step[k];
                    step[k] *= dk;
                }
        }
        const double a = (double)r.x[0][at[0]], b = (double)r.x[1][at[1]], dy = (double)r.dy[e];
        oprun_near("product", e, (double)r.c.y[e], a * b, 1e-6);
        want[0][at[0]] += dy * b;
        want[1][at[1]] += dy * a;
    }
    for (int k = 0; k < 2; k++) {
        const int64_t n = sak_shape_count(&r.s.x[k]);
        const double terms = (double)sak_shape_count(&r.s.y) / (double)n;
        for (int64_t i = 0; i < n; i++)
            oprun_near(k ? "db" : "da", i, (double)r.dx[k][i] / sqrt(terms),
                       want[k][i] / sqrt(terms), 2e-5);
        test_free(want[k]);
    }
    oprun_close(&r);
}

static void broadcasting_has_the_same_bits_and_the_right_sums(void **state)
{
    (void)state;
    static const char *const ops[] = {"add", "sub", "mul", "div", "maximum", "minimum"};
    const sak_shape pairs[][2] = {
        {SAK_SHAPE(300, 301), SAK_SHAPE(300, 301)},      /* same */
        {SAK_SHAPE(90001), SAK_SHAPE(1)},                /* one long sum */
        {SAK_SHAPE(3, 70, 389), SAK_SHAPE(389)},         /* few columns, many rows */
        {SAK_SHAPE(9, 40, 300), SAK_SHAPE(1, 40, 300)},  /* many columns, few rows */
        {SAK_SHAPE(9, 40, 300), SAK_SHAPE(9, 40, 1)},    /* short rows summed */
        {SAK_SHAPE(3, 40, 800), SAK_SHAPE(3, 1, 1)},     /* few long rows summed */
        {SAK_SHAPE(5, 70, 300), SAK_SHAPE(5, 1, 300)},   /* middle axis summed */
        {SAK_SHAPE(40, 1, 50), SAK_SHAPE(1, 60, 50)},    /* both stretched */
        {SAK_SHAPE(2, 300, 1, 3), SAK_SHAPE(300, 70, 1)}, /* both, short rows */
    };
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
            set(ops[k], NAN, 2, pairs[p][0], pairs[p][1]);
            oprun_any_threads(make);
            set(ops[k], NAN, 2, pairs[p][1], pairs[p][0]);
            oprun_any_threads(make);
        }
        set("mul", NAN, 2, pairs[p][0], pairs[p][1]);
        check_mul_gradients();
    }
}

static void functions_of_one_tensor_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const ops[] = {"neg",  "exp",  "square",     "abs",       "tanh", "sigmoid",
                                      "relu", "gelu", "quick_gelu", "gelu_tanh", "silu", "softplus"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        set(ops[k], NAN, 1, SAK_SHAPE(7, 10003), (sak_shape){0});
        oprun_any_threads(make);
    }
    set("affine", -1.5, 1, SAK_SHAPE(7, 10003), (sak_shape){0});
    oprun_any_threads(make);
    set("clamp", -1, 1, SAK_SHAPE(7, 10003), (sak_shape){0});
    oprun_any_threads(make);
}

static void reductions_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const ops[] = {"sum", "mean", "max"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
        for (int axis = 0; axis < 3; axis++) {
            set(ops[k], axis, 1, SAK_SHAPE(7, 130, 150), (sak_shape){0});
            oprun_any_threads(make);
        }
    set("sum_all", NAN, 1, SAK_SHAPE(7, 130, 150), (sak_shape){0});
    oprun_any_threads(make);
    set("mean_all", NAN, 1, SAK_SHAPE(7, 130, 150), (sak_shape){0});
    oprun_any_threads(make);
}

static void norms_have_the_same_bits(void **state)
{
    (void)state;
    static const char *const ops[] = {"softmax", "log_softmax", "normalize"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        set(ops[k], NAN, 1, SAK_SHAPE(5, 130, 197), (sak_shape){0});
        oprun_any_threads(make);
    }
    for (int i = 1; i < 5; i++)
        shapes[i] = SAK_SHAPE(197);
    name = "layer_norm";
    n_shapes = 3;
    oprun_any_threads(make);
    name = "center";
    n_shapes = 2;
    oprun_any_threads(make);
    name = "batch_norm";
    n_shapes = 5;
    oprun_any_threads(make);
}

static void noise_has_the_same_bits(void **state)
{
    (void)state;
    static const char *const ops[] = {"randn", "bernoulli"};
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        oprun a = oprun_of(ops[k]), b = oprun_of(ops[k]);
        a.attrs.dims = b.attrs.dims = SAK_SHAPE(3, 20001);
        oprun_open(&a, 1);
        oprun_forward(&a);
        oprun_open(&b, 4);
        oprun_forward(&b);
        oprun_same_bits(ops[k], a.c.y, b.c.y, 3 * 20001);
        assert_true(norm_of(a.c.y, 3 * 20001) > 0);
        oprun_close(&a);
        oprun_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting_has_the_same_bits_and_the_right_sums),
        cmocka_unit_test(functions_of_one_tensor_have_the_same_bits),
        cmocka_unit_test(reductions_have_the_same_bits),
        cmocka_unit_test(norms_have_the_same_bits),
        cmocka_unit_test(noise_has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
