/* Attention against plain loops in double, with and without relative positions. */
#include "oprun.h"

#include <stdlib.h>

/* y (B, L, C) by the definition: one softmax over L scores per (b, head, token). */
static void by_definition(const oprun *r, int heads, int h, int w, double *y)
{
    const int64_t B = r->s.x[0].d[0], L = r->s.x[0].d[1], C = r->s.y.d[2], d = C / heads;
    const sak_real *x = r->x[0];
    double *p = malloc((size_t)L * sizeof *p);
    for (int64_t b = 0; b < B; b++)
        for (int64_t head = 0; head < heads; head++)
            for (int64_t i = 0; i < L; i++) {
                const sak_real *q = x + (b * L + i) * 3 * C + head * d;
                double top = -1e300, sum = 0;
                for (int64_t j = 0; j < L; j++) {
                    const sak_real *k = x + (b * L + j) * 3 * C + C + head * d;
                    double s = 0;
                    for (int64_t e = 0; e < d; e++)
                        s += (double)q[e] * k[e] / sqrt((double)d);
                    for (int64_t e = 0; h && e < d; e++)
                        s += (double)q[e] * r->x[1][(i / w - j / w + h - 1) * d + e] +
                             (double)q[e] * r->x[2][(i % w - j % w + w - 1) * d + e];
                    p[j] = s;
                    top = s > top ? s : top;
                }
                for (int64_t j = 0; j < L; j++)
                    sum += p[j] = exp(p[j] - top);
                for (int64_t e = 0; e < d; e++) {
                    double v = 0;
                    for (int64_t j = 0; j < L; j++)
                        v += p[j] / sum * x[(b * L + j) * 3 * C + 2 * C + head * d + e];
                    y[(b * L + i) * C + head * d + e] = v;
                }
            }
    free(p);
}

static oprun make(int B, int L, int heads, int d, int h, int w)
{
    oprun r = oprun_of("attention");
    oprun_attr(&r, "heads", heads);
    oprun_in(&r, SAK_SHAPE(B, L, 3 * heads * d));
    if (h) {
        oprun_attr(&r, "grid_h", h);
        oprun_attr(&r, "grid_w", w);
        oprun_in(&r, SAK_SHAPE(2 * h - 1, d));
        oprun_in(&r, SAK_SHAPE(2 * w - 1, d));
    }
    return r;
}

static void check(int B, int L, int heads, int d, int h, int w)
{
    oprun r = make(B, L, heads, d, h, w);
    oprun_open(&r, 2);
    oprun_forward(&r);
    const int64_t n = sak_shape_count(&r.s.y);
    double *want = malloc((size_t)n * sizeof *want);
    by_definition(&r, heads, h, w, want);
    for (int64_t i = 0; i < n; i++)
        oprun_near("attention", i, (double)r.c.y[i], want[i], 2e-5);
    free(want);
    oprun_close(&r);
}

static void attention_follows_its_definition(void **state)
{
    (void)state;
    check(1, 1, 1, 1, 0, 0);
    check(2, 5, 3, 7, 0, 0);
    check(2, 97, 4, 32, 0, 0);
    check(1, 197, 2, 64, 0, 0);
    check(1, 530, 1, 16, 0, 0); /* several blocks of rows */
}

static void attention_adds_relative_positions(void **state)
{
    (void)state;
    check(1, 6, 2, 4, 2, 3);
    check(3, 49, 2, 16, 7, 7);
    check(1, 35, 2, 9, 5, 7);
    check(1, 432, 1, 8, 18, 24);
}

/* A block of rows must not matter: the gradient of L = 530 in blocks, against central differences
 * of the definition in a few places. */
static void attention_gradient_is_right_in_blocks(void **state)
{
    (void)state;
    oprun r = make(1, 360, 1, 4, 18, 20);
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun_backward(&r);
    const int64_t n = sak_shape_count(&r.s.y);
    double *y = malloc((size_t)n * sizeof *y);
    for (int i = 0; i < 3; i++)
        for (int64_t k = 3; k < sak_shape_count(&r.s.x[i]); k += i ? 29 : 997) {
            const sak_real keep = r.x[i][k];
            double side[2];
            for (int sign = 0; sign < 2; sign++) {
                r.x[i][k] = keep + (sign ? 1 : -1) * (sak_real)0.015625;
                by_definition(&r, 1, 18, 20, y);
                side[sign] = 0;
                for (int64_t j = 0; j < n; j++)
                    side[sign] += y[j] * (double)r.dy[j];
            }
            r.x[i][k] = keep;
            oprun_near("attention gradient", k, (double)r.dx[i][k], (side[1] - side[0]) * 32, 2e-3);
        }
    free(y);
    oprun_close(&r);
}

static oprun plain(void)
{
    return make(3, 197, 3, 16, 0, 0);
}

static oprun positions(void)
{
    return make(5, 42, 2, 8, 6, 7);
}

static void attention_has_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    oprun_any_threads(plain);
    oprun_any_threads(positions);
}

static void attention_refuses_what_does_not_fit(void **state)
{
    (void)state;
    oprun r = make(1, 6, 2, 4, 2, 4); /* 2 x 4 is not 6 */
    sak_error err;
    r.s.op = r.op;
    r.s.attr = &r.attrs;
    assert_int_equal(r.op->shape(&r.s, &err), SAK_ESHAPE);
    r = make(1, 6, 2, 4, 0, 0);
    r.s.op = r.op;
    r.s.attr = &r.attrs;
    oprun_attr(&r, "heads", 5);
    assert_int_equal(r.op->shape(&r.s, &err), SAK_ESHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_follows_its_definition),
        cmocka_unit_test(attention_adds_relative_positions),
        cmocka_unit_test(attention_gradient_is_right_in_blocks),
        cmocka_unit_test(attention_has_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(attention_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
