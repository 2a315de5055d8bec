/* The vector kernels: every level gives the baseline's bits, and the baseline agrees with libm. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/simd.h"

enum { MAX_N = 70, TAIL = 16, ROOM = MAX_N + TAIL };

/* ---- every level, every length ----------------------------------------------------------------- */

typedef struct arrays {
    sak_real a[ROOM], b[ROOM], c[ROOM], d[ROOM], out[2 * ROOM];
} arrays;

/* Calls one kernel on n elements; what it returns or writes ends up in p (scalars in out). */
typedef void call(const sak_simd *t, int64_t n, int which, arrays *p);

static void call_unary(const sak_simd *t, int64_t n, int which, arrays *p)
{
    t->unary[which](n, p->a, p->out);
}

static void call_unary_grad(const sak_simd *t, int64_t n, int which, arrays *p)
{
    t->unary_grad[which % SAK_UNARY_COUNT](n, p->a, p->b, p->out, which >= SAK_UNARY_COUNT);
}

static void call_binary(const sak_simd *t, int64_t n, int which, arrays *p)
{
    const int kind = which % SAK_BINARY_COUNT, one = which / SAK_BINARY_COUNT;
    t->binary[kind](n, p->c, p->a, one & 1, p->b, one & 2, p->out);
}

static void call_in_place(const sak_simd *t, int64_t n, int which, arrays *p)
{
    if (which < SAK_UNARY_COUNT)
        t->unary[which](n, p->a, p->a);
    else
        t->binary[which - SAK_UNARY_COUNT](n, p->c, p->a, false, p->b, false, p->a);
}

static void call_rest(const sak_simd *t, int64_t n, int which, arrays *p)
{
    const bool acc = which & 1;
    switch (which / 2) {
    case 0:
        t->exp(n, p->a, p->out);
        break;
    case 1:
        t->gelu(n, p->a, p->out);
        break;
    case 2:
        t->gelu_grad(n, p->a, p->b, p->out, acc);
        break;
    case 3:
        t->add(n, p->a, p->b, p->out);
        break;
    case 4:
        t->axpy(n, (sak_real)0.37, p->a, p->out);
        break;
    case 5:
        t->scale(n, (sak_real)0.37, p->a, p->out, acc);
        break;
    case 6:
        p->out[0] = t->sum(n, p->a);
        p->out[1] = t->dot(n, p->a, p->b);
        p->out[2] = t->max(n, p->a);
        break;
    case 7:
        p->out[ROOM] = t->softmax(n, acc ? (sak_real)0.25 : (sak_real)3, p->a, p->out);
        break;
    case 8:
        t->softmax_grad(n, (sak_real)0.7, p->a, p->b, p->out, acc);
        break;
    case 9:
        if (n > 0)
            t->layer_norm(n, p->a, p->b, p->c, (sak_real)1e-5, p->out, p->out + ROOM,
                          p->out + ROOM + 1);
        break;
    case 10:
        if (n > 0)
            t->layer_norm_grad(n, p->a, p->b, p->c, (sak_real)0.1, (sak_real)1.3, p->out, acc);
        break;
    case 11:
        t->layer_norm_wgrad(n, p->a, p->b, (sak_real)0.1, (sak_real)1.3, p->c, p->out);
        break;
    case 12:
        for (int64_t i = 0; i < n; i++)
            p->d[i] = p->d[i] * p->d[i]; /* a second moment */
        t->adamw(n, p->a, p->b, p->c, p->d, (sak_real)0.5, (sak_real)0.01, (sak_real)0.9,
                 (sak_real)0.95, (sak_real)1e-8, (sak_real)0.05, (sak_real)0.3, (sak_real)0.2, acc);
        break;
    case 13:
        t->affine(n, (sak_real)0.37, (sak_real)-2, p->a, p->out);
        break;
    case 14: {
        const int64_t at[] = {2 * ROOM, 0, ROOM}; /* of a, b, c */
        t->mix(n, acc ? 3 : 2, (const sak_real[]){(sak_real)0.37, (sak_real)-1.3, (sak_real)2.1}, at,
               (const sak_real *)p, p->out, acc);
        break;
    }
    case 15:
        t->clamp(n, (sak_real)-0.5, (sak_real)1.5, p->a, p->out);
        break;
    case 16:
        t->clamp_grad(n, (sak_real)-0.5, (sak_real)1.5, p->a, p->b, p->out, acc);
        break;
    case 17:
        t->sum_rows(n, 4, ROOM, p->a, p->out, acc); /* a, b, c, d */
        break;
    case 18:
        t->attention_grad(n, (sak_real)0.7, (sak_real)-0.3, p->a, p->b);
        break;
    case 19:
        t->add_offset(n, (sak_real)0.37, p->a, p->out);
        break;
    case 20:
        t->difference(n, (sak_real)0.3, (sak_real)0.8, 1, p->a, p->b, p->out, acc);
        break;
    case 21:
        t->batch_norm(n, p->a, p->b, p->c, p->d, p->out + ROOM, p->out);
        break;
    case 22:
        t->add_squares(n, p->a, p->b, p->out);
        break;
    case 23:
        t->batch_norm_wgrad(n, p->a, p->b, p->c, p->d, p->out, p->out + ROOM);
        break;
    default:
        t->batch_norm_grad(n, &(sak_batch_norm){p->a, p->b, p->c, p->d, p->out + ROOM, (sak_real)0.1}, p->a,
                           p->b, p->out, acc);
    }
}

static void fill(arrays *p, int64_t n, double width)
{
    sak_rng rng = sak_rng_open(5, SAK_RNG_TEST, (uint64_t)n, (uint32_t)width);
    sak_real *x = p->a;
    for (size_t i = 0; i < sizeof *p / sizeof *x; i++)
        ((sak_real *)(void *)p)[i] = (sak_real)sak_rng_range(&rng, -width, width);
}

/* Everything outside [0, n) of the arrays must stay; scalars use out[ROOM …]. */
static void demand_untouched(const arrays *before, const arrays *after, int64_t n, const char *name)
{
    const sak_real *from[] = {before->a, before->b, before->c, before->d, before->out};
    const sak_real *to[] = {after->a, after->b, after->c, after->d, after->out};
    for (int k = 0; k < 5; k++)
        for (int64_t i = n > 3 ? n : 3; i < ROOM; i++)
            if (memcmp(&from[k][i], &to[k][i], sizeof(sak_real)) != 0)
                fail_msg("%s: length %d changed element %d of array %d", name, (int)n, (int)i, k);
}

static void compare_levels(call *fn, int count, const char *name)
{
    static const double widths[] = {2, 30, 120};
    for (int which = 0; which < count; which++)
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            for (int64_t n = 0; n <= MAX_N; n++) {
                arrays before, base;
                fill(&before, n, widths[w]);
                base = before;
                fn(sak_simd_level(SAK_ISA_BASELINE), n, which, &base);
                demand_untouched(&before, &base, n, name);
                for (int level = SAK_ISA_AVX2; level < SAK_ISA_COUNT; level++) {
                    const sak_simd *t = sak_simd_level((sak_isa)level);
                    arrays other = before;
                    if (!t)
                        continue;
                    fn(t, n, which, &other);
                    for (size_t i = 0; i < sizeof base / sizeof(sak_real); i++) {
                        const sak_real *p = (const sak_real *)(const void *)&base + i;
                        const sak_real *q = (const sak_real *)(const void *)&other + i;
                        /* NaN is NaN, whichever its payload */
                        if (memcmp(p, q, sizeof *p) != 0 && !(*p != *p && *q != *q))
                            fail_msg("%s %d, length %d, width %g: %s gives %.9g, baseline %.9g",
                                     name, which, (int)n, widths[w], sak_isa_name((sak_isa)level),
                                     (double)*q, (double)*p);
                    }
                }
            }
}

static void every_level_gives_the_same_bits(void **state)
{
    (void)state;
    compare_levels(call_unary, SAK_UNARY_COUNT, "unary");
    compare_levels(call_unary_grad, 2 * SAK_UNARY_COUNT, "unary_grad");
    compare_levels(call_binary, 4 * SAK_BINARY_COUNT, "binary");
    compare_levels(call_in_place, SAK_UNARY_COUNT + SAK_BINARY_COUNT, "in place");
    compare_levels(call_rest, 50, "kernel");
}

static void an_element_does_not_depend_on_its_place(void **state)
{
    (void)state;
    arrays p;
    fill(&p, 0, 5);
    for (int k = 0; k < SAK_UNARY_COUNT; k++) {
        sak_simd_table()->unary[k](MAX_N, p.a, p.out);
        for (int i = 0; i < MAX_N; i++) {
            sak_real one = 0;
            sak_simd_table()->unary[k](1, p.a + i, &one);
            if (memcmp(&one, &p.out[i], sizeof one) != 0 && one == one)
                fail_msg("unary %d: element %d alone is %.9g, in a row %.9g", k, i, (double)one,
                         (double)p.out[i]);
        }
    }
}

/* ---- against libm ------------------------------------------------------------------------------ */

static double ulps(float got, double want)
{
    const float near = (float)want;
    const double ulp = (double)nextafterf(fabsf(near), INFINITY) - (double)fabsf(near);
    return fabs((double)got - want) / ulp;
}

static float of(int kind, float x)
{
    float y = 0;
    sak_simd_table()->unary[kind](1, &x, &y);
    return y;
}

static float slope(int kind, float s)
{
    const float dy = 1;
    float dx = 0;
    sak_simd_table()->unary_grad[kind](1, &s, &dy, &dx, false);
    return dx;
}

static double gelu_exact(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}

static double gelu_slope_exact(double x)
{
    return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * acos(-1));
}

static double sigmoid_exact(double x)
{
    return 1 / (1 + exp(-x));
}

static double square_exact(double x)
{
    return x * x;
}

static double silu_exact(double x)
{
    return x * sigmoid_exact(x);
}

static double quick_gelu_exact(double x)
{
    return x * sigmoid_exact(1.702 * x);
}

static double gelu_tanh_exact(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double softplus_exact(double x)
{
    return log1p(exp(x));
}

static void functions_agree_with_libm(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int kind;
        double (*exact)(double);
        double lo, hi, ulps, absolute; /* either bound suffices */
    } all[] = {
        {"exp", SAK_UNARY_EXP, exp, -87, 88, 2, 0},
        {"log", SAK_UNARY_LOG, log, 1e-6, 4, 2, 0},
        {"log", SAK_UNARY_LOG, log, 1, 1e6, 2, 0},
        {"sqrt", SAK_UNARY_SQRT, sqrt, 0, 100, 0.5, 0},
        {"square", SAK_UNARY_SQUARE, square_exact, -9, 9, 0.5, 0},
        {"tanh", SAK_UNARY_TANH, tanh, -10, 10, 3, 0},
        {"sigmoid", SAK_UNARY_SIGMOID, sigmoid_exact, -80, 80, 4, 0},
        {"gelu", SAK_UNARY_GELU, gelu_exact, -20, 20, 1, 1e-7},
        {"gelu near 0", SAK_UNARY_GELU, gelu_exact, -0.01, 0.01, 8, 0},
        {"quick_gelu", SAK_UNARY_QUICK_GELU, quick_gelu_exact, -20, 20, 4, 1e-7},
        {"gelu_tanh", SAK_UNARY_GELU_TANH, gelu_tanh_exact, -20, 20, 4, 1e-7},
        {"silu", SAK_UNARY_SILU, silu_exact, -20, 20, 5, 1e-7},
        {"softplus", SAK_UNARY_SOFTPLUS, softplus_exact, -80, 80, 5, 0},
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
        double worst = 0, furthest = 0;
        for (int i = 0; i <= 400000; i++) {
            const float x = (float)(all[k].lo + (all[k].hi - all[k].lo) * i / 400000);
            const double want = all[k].exact((double)x), far = fabs((double)of(all[k].kind, x) - want);
            const double u = ulps(of(all[k].kind, x), want);
            furthest = fmax(furthest, far);
            if (far > all[k].absolute)
                worst = fmax(worst, u);
            if (u > all[k].ulps + 1e-6 && far > all[k].absolute)
                fail_msg("%s(%.9g) is %.9g, not %.9g: %.2f ulp", all[k].name, (double)x,
                         (double)of(all[k].kind, x), want, u);
        }
        print_message("%-12s [%g, %g]: %.2f ulp, |error| %.2g\n", all[k].name, all[k].lo, all[k].hi,
                      worst, furthest);
    }
}

static void gelus_slope_agrees_with_libm(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 400000; i++) {
        const float x = (float)(-20 + 40.0 * i / 400000);
        worst = fmax(worst, fabs((double)slope(SAK_UNARY_GELU, x) - gelu_slope_exact((double)x)));
    }
    print_message("gelu's slope: |error| %.2g\n", worst);
    assert_true(worst < 3e-7);
}

static void the_ends_of_the_range_behave(void **state)
{
    (void)state;
    assert_true(of(SAK_UNARY_EXP, -88) == 0 && of(SAK_UNARY_EXP, -INFINITY) == 0);
    assert_true(isinf(of(SAK_UNARY_EXP, 89)) && isinf(of(SAK_UNARY_EXP, INFINITY)));
    assert_true(of(SAK_UNARY_EXP, 0) == 1);
    assert_true(of(SAK_UNARY_LOG, 1) == 0 && of(SAK_UNARY_LOG, 0) == -INFINITY);
    assert_true(isnan(of(SAK_UNARY_LOG, -1)) && isinf(of(SAK_UNARY_LOG, INFINITY)));
    assert_true(ulps(of(SAK_UNARY_LOG, 1e-42f), log((double)1e-42f)) < 2);
    assert_true(of(SAK_UNARY_GELU, 1e30f) == 1e30f && of(SAK_UNARY_GELU, -1e30f) == 0);
    assert_true(isinf(of(SAK_UNARY_GELU, INFINITY)) && of(SAK_UNARY_GELU, -INFINITY) == 0);
    assert_true(of(SAK_UNARY_TANH, INFINITY) == 1 && of(SAK_UNARY_TANH, -INFINITY) == -1);
    assert_true(of(SAK_UNARY_SIGMOID, 1000) == 1 && of(SAK_UNARY_SIGMOID, -1000) == 0);
    assert_true(of(SAK_UNARY_SOFTPLUS, 1000) == 1000 && of(SAK_UNARY_SOFTPLUS, -1000) == 0);
    assert_true(slope(SAK_UNARY_GELU, 50) == 1 && slope(SAK_UNARY_GELU, -50) == 0);
    assert_true(slope(SAK_UNARY_ABS, 0) == 0 && slope(SAK_UNARY_RELU, 0) == 0);
    for (int k = 0; k < SAK_UNARY_COUNT; k++)
        if (!isnan(of(k, NAN)))
            fail_msg("unary %d hides NaN", k);
    const sak_real nan = NAN, one = 1;
    for (int k = 0; k <= SAK_BINARY_MIN; k++) {
        sak_real left = 0, right = 0;
        sak_simd_table()->binary[k](1, NULL, &nan, false, &one, false, &left);
        sak_simd_table()->binary[k](1, NULL, &one, false, &nan, false, &right);
        if (!isnan(left) || !isnan(right))
            fail_msg("binary %d hides NaN", k);
    }
}

/* ---- rows and updates -------------------------------------------------------------------------- */

static void near_to(const char *what, int64_t n, int64_t i, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol * (1 + fabs(want))))
        fail_msg("%s, length %d: element %d is %.9g, not %.9g", what, (int)n, (int)i, got, want);
}

static void rows_agree_with_double(void **state)
{
    (void)state;
    const sak_simd *t = sak_simd_table();
    for (int64_t n = 1; n <= MAX_N; n++) {
        arrays p;
        fill(&p, n, 3);
        double sum = 0, dot = 0, top = -INFINITY, mean = 0, var = 0, z = 0, dot_sm = 0;
        for (int64_t i = 0; i < n; i++) {
            sum += (double)p.a[i];
            dot += (double)p.a[i] * (double)p.b[i];
            top = fmax(top, (double)p.a[i]);
        }
        near_to("sum", n, 0, (double)t->sum(n, p.a), sum, 2e-6);
        near_to("dot", n, 0, (double)t->dot(n, p.a, p.b), dot, 2e-6);
        assert_true((double)t->max(n, p.a) == top);
        for (int64_t i = 0; i < n; i++)
            z += exp(2 * (double)p.a[i]);
        near_to("softmax's log sum", n, 0, (double)t->softmax(n, 2, p.a, p.out), log(z), 1e-6);
        for (int64_t i = 0; i < n; i++)
            near_to("softmax", n, i, (double)p.out[i], exp(2 * (double)p.a[i]) / z, 1e-6);
        for (int64_t i = 0; i < n; i++)
            dot_sm += (double)p.out[i] * (double)p.b[i];
        t->softmax_grad(n, 2, p.out, p.b, p.d, false);
        for (int64_t i = 0; i < n; i++)
            near_to("softmax_grad", n, i, (double)p.d[i],
                    2 * (double)p.out[i] * ((double)p.b[i] - dot_sm), 3e-6);
        memcpy(p.out, p.c, sizeof p.c);
        t->mix(n, 2, (const sak_real[]){2, -3}, (const int64_t[]){ROOM, 0}, (sak_real *)&p, p.out, true);
        for (int64_t i = 0; i < n; i++)
            near_to("mix", n, i, (double)p.out[i],
                    (double)p.c[i] + 2 * (double)p.b[i] - 3 * (double)p.a[i], 2e-6);
        mean = sum / (double)n;
        for (int64_t i = 0; i < n; i++)
            var += ((double)p.a[i] - mean) * ((double)p.a[i] - mean) / (double)n;
        sak_real m = 0, r = 0;
        t->layer_norm(n, p.a, p.b, p.c, (sak_real)1e-3, p.out, &m, &r);
        near_to("layer_norm's mean", n, 0, (double)m, mean, 1e-6);
        near_to("layer_norm's rstd", n, 0, (double)r, 1 / sqrt(var + 1e-3), 1e-5);
        for (int64_t i = 0; i < n; i++)
            near_to("layer_norm", n, i, (double)p.out[i],
                    ((double)p.a[i] - mean) / sqrt(var + 1e-3) * (double)p.b[i] + (double)p.c[i],
                    1e-5);
    }
}

static void masked_logits_get_no_weight(void **state)
{
    (void)state;
    sak_real x[20], y[20];
    for (int i = 0; i < 20; i++)
        x[i] = i % 3 ? (sak_real)-INFINITY : (sak_real)i;
    sak_simd_table()->softmax(20, 1, x, y);
    double sum = 0;
    for (int i = 0; i < 20; i++) {
        assert_true(i % 3 == 0 || y[i] == 0);
        sum += (double)y[i];
    }
    assert_true(fabs(sum - 1) < 1e-6);
}

/* PyTorch's single-tensor Adam and AdamW, in double. */
static void adamw_follows_pytorch(void **state)
{
    (void)state;
    const double lr = 0.01, b1 = 0.9, b2 = 0.95, eps = 1e-8, decay = 0.05, gscale = 0.5;
    for (int decoupled = 0; decoupled < 2; decoupled++) {
        arrays p;
        double w[MAX_N], m[MAX_N] = {0}, v[MAX_N] = {0};
        fill(&p, 1, 1);
        memset(p.c, 0, sizeof p.c);
        memset(p.d, 0, sizeof p.d);
        for (int i = 0; i < MAX_N; i++)
            w[i] = (double)p.a[i];
        for (int step = 1; step <= 10; step++) {
            const double c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);
            sak_rng rng = sak_rng_open(6, SAK_RNG_TEST, (uint64_t)step, 0);
            for (int i = 0; i < MAX_N; i++) {
                p.b[i] = (sak_real)sak_rng_normal(&rng);
                double g = (double)p.b[i] * gscale;
                if (decoupled)
                    w[i] *= 1 - lr * decay;
                else
                    g += decay * w[i];
                m[i] = b1 * m[i] + (1 - b1) * g;
                v[i] = b2 * v[i] + (1 - b2) * g * g;
                w[i] -= lr / c1 * m[i] / (sqrt(v[i]) / sqrt(c2) + eps);
            }
            sak_simd_table()->adamw(MAX_N, p.a, p.b, p.c, p.d, (sak_real)gscale, (sak_real)lr,
                                    (sak_real)b1, (sak_real)b2, (sak_real)eps, (sak_real)decay,
                                    (sak_real)c1, (sak_real)c2, decoupled);
        }
        for (int i = 0; i < MAX_N; i++) {
            near_to("p", MAX_N, i, (double)p.a[i], w[i], 2e-6);
            near_to("m", MAX_N, i, (double)p.c[i], m[i], 2e-6);
            near_to("v", MAX_N, i, (double)p.d[i], v[i], 2e-6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_gives_the_same_bits),
        cmocka_unit_test(an_element_does_not_depend_on_its_place),
        cmocka_unit_test(functions_agree_with_libm),
        cmocka_unit_test(gelus_slope_agrees_with_libm),
        cmocka_unit_test(the_ends_of_the_range_behave),
        cmocka_unit_test(rows_agree_with_double),
        cmocka_unit_test(masked_logits_get_no_weight),
        cmocka_unit_test(adamw_follows_pytorch),
    };
    print_message("%s, %s\n", sak_cpu_name(), sak_isa_name(sak_cpu_isa()));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
