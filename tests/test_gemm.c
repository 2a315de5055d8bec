/* Matrix products against plain loops in double; the parallel product, linear and matmul.  Everything
 * runs twice, the second time with BLIS. */
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/gemm_tile.h"
#include "oprun.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Layout bits: A and B plain or transposed; C with slack after each row, which must survive. */
static void check(int64_t m, int64_t n, int64_t k, int layout, sak_real alpha, bool beta)
{
    const bool ta = layout & 1, tb = layout & 2;
    const int64_t wide = layout & 4 ? 5 : 0; /* slack in the rows of A and B too */
    const int64_t lda = (ta ? m : k) + wide, ldb = (tb ? k : n) + wide, ldc = n + 3;
    sak_real *a = oprun_take((ta ? k : m) * lda), *b = oprun_take((tb ? n : k) * ldb);
    sak_real *c = oprun_take(m * ldc), *c2 = oprun_take(m * ldc), *old = oprun_take(m * ldc);
    oprun_fill(a, (ta ? k : m) * lda, 1);
    oprun_fill(b, (tb ? n : k) * ldb, 2);
    oprun_fill(old, m * ldc, 3);
    const sak_mat ma = ta ? (sak_mat){a, 1, lda} : (sak_mat){a, lda, 1};
    const sak_mat mb = tb ? (sak_mat){b, 1, ldb} : (sak_mat){b, ldb, 1};
    for (int64_t i = 0; i < m * ldc; i++) /* with beta 0 the old content must not be read */
        c[i] = c2[i] = i % ldc >= n || beta ? old[i] : (sak_real)NAN;
    sak_gemm(m, n, k, ma, mb, c, ldc, alpha, beta);
    sak_gemm_parallel(m, n, k, ma, mb, c2, ldc, alpha, beta);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < ldc; j++) {
            double sum = 0, size = 1;
            for (int64_t e = 0; j < n && e < k; e++) {
                const double v = (double)alpha * (double)a[ta ? e * lda + i : i * lda + e] *
                                 (double)b[tb ? j * ldb + e : e * ldb + j];
                sum += v;
                size += fabs(v);
            }
            if (j >= n || beta)
                sum += (double)old[i * ldc + j];
            const double tol = j >= n ? 0 : 1e-6 * size;
            if (!(fabs((double)c[i * ldc + j] - sum) <= tol) ||
                !(fabs((double)c2[i * ldc + j] - sum) <= tol))
                fail_msg("(%lld x %lld x %lld, layout %d, beta %d): (%lld, %lld) is %g and %g, "
                         "not %g", (long long)m, (long long)n, (long long)k, layout, beta,
                         (long long)i, (long long)j, (double)c[i * ldc + j],
                         (double)c2[i * ldc + j], sum);
        }
    sak_free(a), sak_free(b), sak_free(c), sak_free(c2), sak_free(old);
}

static void gemm_follows_its_definition(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {
        {1, 1, 1},   {1, 7, 3},    {3, 1, 5},   {5, 4, 1},    {2, 17, 64},  {6, 16, 8},
        {13, 31, 9}, {14, 32, 33}, {15, 33, 2}, {24, 24, 24}, {97, 97, 32}, {97, 32, 97},
        {64, 1, 64}, {1, 64, 64},  {27, 4, 35}, {100, 49, 3}, {130, 65, 300},
    };
    sak_error err;
    assert_int_equal(sak_pool_open(2, &err), SAK_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int layout = 0; layout < 8; layout++)
            for (int beta = 0; beta < 2; beta++)
                check(sizes[i][0], sizes[i][1], sizes[i][2], layout,
                      (layout + beta) % 3 ? 1 : (sak_real)0.5, beta);
    for (int layout = 0; layout < 4; layout++) /* several blocks in every direction */
        check(700, 260, 530, layout, 1, layout & 1);
    sak_pool_close();
}

/* Every level this CPU has; and a part of C has the bits it has in the whole. */
static void tiles_follow_the_definition_at_every_level(void **state)
{
    (void)state;
    enum { M = 61, N = 75, K = 900 };
    sak_real *a = oprun_take(M * K), *b = oprun_take(K * N), *c = oprun_take(M * N);
    sak_real *part = oprun_take(M * N), *sums = oprun_take(3 * M * N);
    oprun_fill(a, M * K, 1);
    oprun_fill(b, K * N, 2);
    for (int isa = 0; isa <= (int)sak_cpu_isa(); isa++) {
        const sak_gemm_tiles *tiles = sak_gemm_tiles_of((sak_isa)isa);
        for (int layout = 0; tiles && layout < 4; layout++) {
            const sak_mat ma = layout & 1 ? (sak_mat){a, 1, M} : (sak_mat){a, K, 1};
            const sak_mat mb = layout & 2 ? (sak_mat){b, 1, K} : (sak_mat){b, N, 1};
            tiles->product(&(sak_product){M, N, K, ma, mb, 2, NULL, 0, c, N}, false);
            for (int i = 0; i < M; i++)
                for (int j = 0; j < N; j++) {
                    double sum = 0;
                    for (int e = 0; e < K; e++)
                        sum += 2.0 * (double)ma.p[i * ma.rs + e * ma.cs] *
                               (double)mb.p[e * mb.rs + j * mb.cs];
                    oprun_near(sak_isa_name((sak_isa)isa), i * N + j, (double)c[i * N + j], sum, 1e-4);
                }
            const sak_product whole = {M, N, K, ma, mb, 2, NULL, 0, part, N};
            assert_int_equal(tiles->slices(K, false), 3);
            for (int s = 0; s < 3; s++)
                tiles->slice_product(&whole, false, s, sums + s * M * N, N);
            tiles->sum_slices(&whole, false, sums, N, M * N);
            oprun_same_bits("sums of slices", part, c, M * N);
            for (int m = 1; m <= 20; m++) {
                const int i = m * 2, j = 3 * m, n = N - j < m + 17 ? N - j : m + 17;
                const sak_mat some_a = {ma.p + i * ma.rs, ma.rs, ma.cs};
                const sak_mat some_b = {mb.p + j * mb.cs, mb.rs, mb.cs};
                tiles->product(&(sak_product){m, n, K, some_a, some_b, 2, NULL, 0, part, n}, false);
                for (int r = 0; r < m; r++)
                    oprun_same_bits("a part", part + r * n, c + (i + r) * N + j, n);
            }
        }
    }
    sak_free(a), sak_free(b), sak_free(c), sak_free(part), sak_free(sums);
}

/* Columns in several groups, each packed once for all threads; the product on one thread packs its own. */
static void a_product_larger_than_the_packing_buffer_has_the_bits_of_the_plain_one(void **state)
{
    (void)state;
    enum { M = 300, N = 1111, K = 2100 };
    const char *asked = getenv("SAK_GEMM");
    if (!sak_gemm_tiles_of(sak_cpu_isa()) || (asked && strcmp(asked, "blis") == 0))
        skip(); /* BLIS's bits depend on the part */
    sak_error err;
    assert_int_equal(sak_pool_open(3, &err), SAK_OK);
    sak_real *a = oprun_take(M * K), *b = oprun_take(K * N), *c = oprun_take(M * N);
    sak_real *c2 = oprun_take(M * N);
    oprun_fill(a, M * K, 1);
    oprun_fill(b, K * N, 2);
    sak_gemm(M, N, K, (sak_mat){a, K, 1}, (sak_mat){b, 1, K}, c, N, 2, 0);
    sak_gemm_parallel(M, N, K, (sak_mat){a, K, 1}, (sak_mat){b, 1, K}, c2, N, 2, 0);
    oprun_same_bits("large", c, c2, M * N);
    sak_free(a), sak_free(b), sak_free(c), sak_free(c2);
    sak_pool_close();
}

/* Small C, long k: threads sum over slices of k, and the slices' sums are added in their order.  Whole
 * and broken tiles, four slices and more, with nothing, C itself and a bias added. */
static void a_product_split_along_k_has_the_bits_of_the_plain_one(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{48, 192, 2080}, {192, 48, 2080}, {37, 203, 2101}, {190, 201, 1200},
                                       {1, 64, 300000}, {170, 240, 1160}, {384, 768, 1160}};
    const char *asked = getenv("SAK_GEMM");
    if (!sak_gemm_tiles_of(sak_cpu_isa()) || (asked && strcmp(asked, "blis") == 0))
        skip(); /* BLIS's bits depend on the part */
    sak_error err;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        sak_real *a = oprun_take(m * k), *b = oprun_take(k * n), *bias = oprun_take(n);
        sak_real *c[3] = {oprun_take(m * n), oprun_take(m * n), oprun_take(m * n)};
        oprun_fill(a, m * k, 1);
        oprun_fill(b, k * n, 2);
        oprun_fill(bias, n, 3);
        const sak_mat at = {a, 1, m}, bm = {b, n, 1};
        for (int threads = 1; threads <= 3; threads++) {
            assert_int_equal(sak_pool_open(threads, &err), SAK_OK);
            sak_real *to = c[threads > 1];
            sak_gemm_parallel(m, n, k, at, bm, to, n, (sak_real)0.3, 0);
            sak_gemm_parallel(m, n, k, at, bm, to, n, (sak_real)0.7, 1);
            if (threads > 1)
                oprun_same_bits("added", c[0], to, m * n);
        }
        sak_gemm_bias(m, n, k, at, bm, bias, c[1], n);
        sak_pool_close();
        sak_gemm_bias(m, n, k, at, bm, bias, c[2], n);
        oprun_same_bits("biased", c[2], c[1], m * n);
        sak_free(a), sak_free(b), sak_free(bias), sak_free(c[0]), sak_free(c[1]), sak_free(c[2]);
    }
}

static void products_with_a_b_packed_once_have_the_bits_of_plain_ones(void **state)
{
    (void)state;
    static const int64_t sizes[][3] = {{64, 1009, 64}, {200, 64, 1009}, {1, 1, 1}, {13, 33, 385}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int layout = 0; layout < 4; layout++) {
            const int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
            sak_real *a = oprun_take(m * k), *b = oprun_take(k * n), *c = oprun_take(m * n);
            sak_real *c2 = oprun_take(m * n), *room = oprun_take(sak_gemm_pack_count(n, k) + 1);
            oprun_fill(a, m * k, 1);
            oprun_fill(b, k * n, 2);
            const sak_mat am = {a, k, 1}, bm = layout & 1 ? (sak_mat){b, 1, k} : (sak_mat){b, n, 1};
            sak_gemm_set_bf16(layout & 2);
            const sak_packed packed = sak_gemm_pack(n, k, bm, room);
            for (int beta = 0; beta < 2; beta++) {
                sak_gemm(m, n, k, am, bm, c, n, (sak_real)0.3, (sak_real)beta);
                sak_gemm_packed(m, am, &packed, c2, n, (sak_real)0.3, (sak_real)beta);
                oprun_same_bits("packed once", c, c2, m * n);
            }
            sak_free(a), sak_free(b), sak_free(c), sak_free(c2), sak_free(room);
        }
    sak_gemm_set_bf16(false);
}

static void gemm_of_nothing_clears_or_keeps(void **state)
{
    (void)state;
    sak_real c[6] = {1, 2, 3, 4, 5, 6};
    const sak_mat none = {NULL, 1, 1};
    sak_gemm(2, 2, 0, none, none, c, 3, 1, 1);
    assert_true(c[0] == 1 && c[4] == 5);
    sak_gemm(2, 2, 0, none, none, c, 3, 1, 0);
    assert_true(c[0] == 0 && c[1] == 0 && c[2] == 3 && c[3] == 0 && c[4] == 0 && c[5] == 6);
    sak_gemm(0, 2, 2, none, none, c, 3, 1, 0);
    assert_true(c[2] == 3);
}

static oprun linear(void)
{
    oprun r = oprun_of("linear");
    oprun_in(&r, SAK_SHAPE(3, 197, 100));
    oprun_in(&r, SAK_SHAPE(130, 100));
    oprun_in(&r, SAK_SHAPE(130));
    return r;
}

static oprun tall(void)
{
    oprun r = oprun_of("linear");
    oprun_in(&r, SAK_SHAPE(3104, 40));
    oprun_in(&r, SAK_SHAPE(520, 40));
    oprun_in(&r, SAK_SHAPE(520));
    return r;
}

static oprun matmul(void)
{
    oprun r = oprun_of("matmul");
    oprun_in(&r, SAK_SHAPE(5, 70, 90));
    oprun_in(&r, SAK_SHAPE(5, 90, 110));
    return r;
}

static oprun shared_matmul(void)
{
    oprun r = oprun_of("matmul");
    oprun_attr(&r, "tb", 1);
    oprun_in(&r, SAK_SHAPE(5, 70, 90));
    oprun_in(&r, SAK_SHAPE(110, 90));
    return r;
}

static void products_have_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    oprun_any_threads(linear);
    oprun_any_threads(tall);
    oprun_any_threads(matmul);
    oprun_any_threads(shared_matmul);
}

static void linear_adds_its_bias(void **state)
{
    (void)state;
    oprun r = linear();
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun_backward(&r);
    for (int64_t i = 0; i < 3 * 197; i += 7)
        for (int64_t o = 0; o < 130; o++) {
            double y = (double)r.x[2][o];
            for (int64_t k = 0; k < 100; k++)
                y += (double)r.x[0][i * 100 + k] * (double)r.x[1][o * 100 + k];
            oprun_near("linear", i, (double)r.c.y[i * 130 + o], y, 1e-5);
        }
    for (int64_t o = 0; o < 130; o++) {
        double sum = 0;
        for (int64_t i = 0; i < 3 * 197; i++)
            sum += (double)r.dy[i * 130 + o];
        oprun_near("dbias", o, (double)r.dx[2][o], sum, 1e-5);
    }
    oprun_close(&r);
}

static void the_kernel_set_is_not_the_generic_one(void **state)
{
    (void)state;
    sak_gemm_init();
    sak_gemm_init();
    if (sak_cpu_isa() == SAK_ISA_BASELINE)
        skip();
    assert_string_not_equal(sak_gemm_blis_kernel(), "generic");
    assert_true(sak_gemm_version()[0] >= '0');
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_set_is_not_the_generic_one),
        cmocka_unit_test(gemm_follows_its_definition),
        cmocka_unit_test(tiles_follow_the_definition_at_every_level),
        cmocka_unit_test(a_product_larger_than_the_packing_buffer_has_the_bits_of_the_plain_one),
        cmocka_unit_test(a_product_split_along_k_has_the_bits_of_the_plain_one),
        cmocka_unit_test(products_with_a_b_packed_once_have_the_bits_of_plain_ones),
        cmocka_unit_test(gemm_of_nothing_clears_or_keeps),
        cmocka_unit_test(linear_adds_its_bias),
        cmocka_unit_test(products_have_the_same_bits_for_any_number_of_threads),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed || getenv("SAK_GEMM"))
        return failed;
    setenv("SAK_GEMM", "blis", 1); /* chosen once per process */
    execv("/proc/self/exe", argv);
    return 1;
}
