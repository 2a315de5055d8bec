/* Products of bfloat16 operands: at every level of this CPU, against double products of operands
 * rounded here by their definition. */
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/gemm_tile.h"
#include "oprun.h"

/* The nearest number with eight significant bits, ties to even: by scaling and rint, not by bits. */
static double rounded(double x)
{
    int e;
    const double f = frexp(x, &e); /* 0.5 <= |f| < 1 */
    return ldexp(nearbyint(ldexp(f, 8)), e - 8);
}

typedef struct operands {
    int64_t m, n, k;
    float *a, *b, *c, *part;
    sak_mat ma, mb;
    double *ra, *rb; /* (m, k) and (n, k), rounded */
} operands;

static operands take(int64_t m, int64_t n, int64_t k, int layout)
{
    operands o = {m, n, k, oprun_take(m * k), oprun_take(k * n), oprun_take(m * n),
                  oprun_take(m * n), {0}, {0}, NULL, NULL};
    oprun_fill(o.a, m * k, 1);
    oprun_fill(o.b, k * n, 2);
    o.ma = layout & 1 ? (sak_mat){o.a, 1, m} : (sak_mat){o.a, k, 1};
    o.mb = layout & 2 ? (sak_mat){o.b, 1, k} : (sak_mat){o.b, n, 1};
    o.ra = test_calloc((size_t)(m * k), sizeof *o.ra);
    o.rb = test_calloc((size_t)(n * k), sizeof *o.rb);
    for (int64_t e = 0; e < k; e++) {
        for (int64_t i = 0; i < m; i++)
            o.ra[i * k + e] = rounded((double)o.ma.p[i * o.ma.rs + e * o.ma.cs]);
        for (int64_t j = 0; j < n; j++)
            o.rb[j * k + e] = rounded((double)o.mb.p[e * o.mb.rs + j * o.mb.cs]);
    }
    return o;
}

static void drop(operands *o)
{
    sak_free(o->a), sak_free(o->b), sak_free(o->c), sak_free(o->part);
    test_free(o->ra), test_free(o->rb);
}

/* A float sum of k exact products errs by less than k 2^-24 of the sum of their sizes; twice that
 * allows for instructions that cut instead of rounding. */
static void check(const operands *o, const float *c, double alpha, const float *bias, const char *at)
{
    for (int64_t i = 0; i < o->m; i++)
        for (int64_t j = 0; j < o->n; j++) {
            double sum = bias ? (double)bias[j] : 0, size = fabs(sum);
            for (int64_t e = 0; e < o->k; e++) {
                const double v = alpha * o->ra[i * o->k + e] * o->rb[j * o->k + e];
                sum += v;
                size += fabs(v);
            }
            const double bound = ((double)o->k + 2) * ldexp(size, -23);
            const double got = (double)c[i * o->n + j];
            if (!(fabs(got - sum) <= bound))
                fail_msg("%s, %lld x %lld x %lld: (%lld, %lld) is %.9g, not %.9g within %.3g", at,
                         (long long)o->m, (long long)o->n, (long long)o->k, (long long)i,
                         (long long)j, got, sum, bound);
        }
}

static void products_are_those_of_rounded_operands_at_every_level(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{1, 1, 1},   {3, 5, 2},    {14, 32, 16}, {15, 33, 17},
                                       {6, 16, 31}, {40, 65, 33}, {29, 97, 801}};
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *tiles = sak_gemm_tiles_of((sak_isa)isa);
        for (size_t i = 0; tiles && i < sizeof sizes / sizeof *sizes; i++)
            for (int layout = 0; layout < 4; layout++) {
                operands o = take(sizes[i][0], sizes[i][1], sizes[i][2], layout);
                tiles->product(&(sak_product){o.m, o.n, o.k, o.ma, o.mb, 0.5f, o.b, 0, o.c, o.n},
                               true);
                check(&o, o.c, 0.5, o.b, sak_isa_name((sak_isa)isa));
                drop(&o);
            }
    }
}

/* Integers up to 255 are bfloat16, and their sums are exact: nothing may be lost anywhere. */
static void small_integers_multiply_exactly(void **state)
{
    (void)state;
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *tiles = sak_gemm_tiles_of((sak_isa)isa);
        for (int layout = 0; tiles && layout < 4; layout++) {
            operands o = take(23, 37, 129, layout);
            for (int64_t e = 0; e < o.m * o.k; e++)
                o.a[e] = (float)((e * 7919) % 511 - 255);
            for (int64_t e = 0; e < o.n * o.k; e++)
                o.b[e] = (float)((e * 104729) % 511 - 255);
            tiles->product(&(sak_product){o.m, o.n, o.k, o.ma, o.mb, 1, NULL, 0, o.c, o.n}, true);
            for (int64_t i = 0; i < o.m; i++)
                for (int64_t j = 0; j < o.n; j++) {
                    int64_t sum = 0;
                    for (int64_t e = 0; e < o.k; e++)
                        sum += (int64_t)o.ma.p[i * o.ma.rs + e * o.ma.cs] *
                               (int64_t)o.mb.p[e * o.mb.rs + j * o.mb.cs];
                    assert_true((double)o.c[i * o.n + j] == (double)sum);
                }
            drop(&o);
        }
    }
}

static void rounding_is_to_nearest_and_ties_go_to_even(void **state)
{
    (void)state;
    static const float from[] = {1 + 0x1p-9f, 1 + 0x1p-8f, 1 + 0x1.8p-7f, 0x1.011p0f,
                                 -1 - 0x1.8p-7f, 0x1.fffffep0f, 3.0e38f, INFINITY, -INFINITY};
    static const float to[] = {1, 1, 1 + 0x1p-6f, 1 + 0x1p-7f, -1 - 0x1p-6f, 2, 0x1.c4p127f, INFINITY,
                               -INFINITY};
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *tiles = sak_gemm_tiles_of((sak_isa)isa);
        for (size_t i = 0; tiles && i < sizeof from / sizeof *from; i++)
            for (int swap = 0; swap < 2; swap++) {
                const float one = 1;
                float c = 0;
                const sak_mat x = {from + i, 1, 1}, y = {&one, 1, 1};
                tiles->product(&(sak_product){1, 1, 1, swap ? y : x, swap ? x : y, 1, NULL, 0, &c, 1},
                               true);
                if (c != to[i])
                    fail_msg("%s: %a became %a, not %a", sak_isa_name((sak_isa)isa),
                             (double)from[i], (double)c, (double)to[i]);
            }
        float c = 0;
        const float nan[2] = {NAN, 1};
        if (tiles)
            tiles->product(&(sak_product){1, 1, 1, {nan, 1, 1}, {nan + 1, 1, 1}, 1, NULL, 0, &c, 1},
                           true);
        assert_true(!tiles || isnan(c));
    }
}

/* The switch reaches every way a product can take, and off means float again. */
static void the_switch_holds_for_products_of_every_size(void **state)
{
    (void)state;
    sak_error err;
    if (!sak_gemm_bf16_kernel())
        skip();
    static const int64_t sizes[][3] = {{20, 30, 40}, {170, 600, 200}, {400, 700, 300}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int layout = 0; layout < 4; layout++) {
            operands o = take(sizes[i][0], sizes[i][1], sizes[i][2], layout);
            float *bits[2] = {o.c, o.part};
            for (int t = 0; t < 2; t++) {
                assert_int_equal(sak_pool_open(t ? 3 : 1, &err), SAK_OK);
                sak_gemm_set_bf16(true);
                sak_gemm_bias(o.m, o.n, o.k, o.ma, o.mb, o.b, bits[t], o.n);
                sak_gemm_set_bf16(false);
                sak_pool_close();
            }
            oprun_same_bits("one and three threads", o.c, o.part, o.m * o.n);
            sak_gemm_set_bf16(true);
            sak_gemm(o.m, o.n, o.k, o.ma, o.mb, o.part, o.n, 1, 0);
            sak_gemm_set_bf16(false);
            if (i < 2) /* the double loop takes time */
                check(&o, o.c, 1, o.b, "switched on"), check(&o, o.part, 1, NULL, "one thread");
            sak_gemm(o.m, o.n, o.k, o.ma, o.mb, o.part, o.n, 1, 0);
            double far = 0;
            for (int64_t e = 0; e < o.k; e++)
                far += (double)o.ma.p[e * o.ma.cs] * (double)o.mb.p[e * o.mb.rs];
            oprun_near("switched off", 0, (double)o.part[0], far, 1e-4);
            drop(&o);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_those_of_rounded_operands_at_every_level),
        cmocka_unit_test(small_integers_multiply_exactly),
        cmocka_unit_test(rounding_is_to_nearest_and_ties_go_to_even),
        cmocka_unit_test(the_switch_holds_for_products_of_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
