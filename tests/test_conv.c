/* Convolutions and patches against plain loops in double. */
#include "oprun.h"

#include <stdlib.h>

/* y, and the gradients of <dy, y>, by the definition; depthwise when the weight's second size is 1
 * and the map has more channels. */
typedef struct plain {
    double *y, *dx[3];
} plain;

static double *zeros(int64_t n)
{
    return calloc((size_t)n, sizeof(double));
}

static plain by_definition(const oprun *r, int pad, bool depthwise)
{
    const int64_t B = r->s.x[0].d[0], H = r->s.x[0].d[1], W = r->s.x[0].d[2], C = r->s.x[0].d[3];
    const int64_t O = r->s.x[1].d[0], I = r->s.x[1].d[1], kh = r->s.x[1].d[2], kw = r->s.x[1].d[3];
    const int64_t h = H + 2 * pad - kh + 1, w = W + 2 * pad - kw + 1;
    plain p = {zeros(B * h * w * O), {zeros(B * H * W * C), zeros(O * I * kh * kw), zeros(O)}};
    for (int64_t b = 0; b < B; b++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                for (int64_t o = 0; o < O; o++) {
                    const int64_t at = ((b * h + y) * w + x) * O + o;
                    const double dy = (double)r->dy[at];
                    p.y[at] = r->s.n_in > 2 ? (double)r->x[2][o] : 0;
                    p.dx[2][o] += dy;
                    for (int64_t i = 0; i < I; i++)
                        for (int64_t ky = 0; ky < kh; ky++)
                            for (int64_t kx = 0; kx < kw; kx++) {
                                const int64_t iy = y + ky - pad, ix = x + kx - pad;
                                if (iy < 0 || iy >= H || ix < 0 || ix >= W)
                                    continue;
                                const int64_t from = ((b * H + iy) * W + ix) * C + (depthwise ? o : i);
                                const int64_t k = ((o * I + i) * kh + ky) * kw + kx;
                                p.y[at] += (double)r->x[0][from] * (double)r->x[1][k];
                                p.dx[0][from] += dy * (double)r->x[1][k];
                                p.dx[1][k] += dy * (double)r->x[0][from];
                            }
                }
    return p;
}

static oprun make(const char *name, sak_shape x, sak_shape weight, int pad, bool bias)
{
    oprun r = oprun_of(name);
    oprun_attr(&r, "padding", pad);
    oprun_in(&r, x);
    oprun_in(&r, weight);
    if (bias)
        oprun_in(&r, SAK_SHAPE(weight.d[0]));
    return r;
}

static void check(const char *name, sak_shape x, sak_shape weight, int pad, bool bias)
{
    oprun r = make(name, x, weight, pad, bias);
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun_backward(&r);
    plain p = by_definition(&r, pad, strcmp(name, "conv2d") != 0);
    for (int64_t i = 0; i < sak_shape_count(&r.s.y); i++)
        oprun_near(name, i, (double)r.c.y[i], p.y[i], 1e-4);
    for (int k = 0; k < r.s.n_in; k++)
        for (int64_t i = 0; i < sak_shape_count(&r.s.x[k]); i++)
            oprun_near(k == 0 ? "dx" : k == 1 ? "dweight" : "dbias", i, (double)r.dx[k][i],
                       p.dx[k][i], 2e-4);
    free(p.y);
    for (int k = 0; k < 3; k++)
        free(p.dx[k]);
    oprun_close(&r);
}

static void conv2d_follows_its_definition(void **state)
{
    (void)state;
    check("conv2d", SAK_SHAPE(1, 1, 1, 1), SAK_SHAPE(1, 1, 1, 1), 0, true);
    check("conv2d", SAK_SHAPE(2, 5, 7, 3), SAK_SHAPE(4, 3, 3, 3), 1, true);
    check("conv2d", SAK_SHAPE(2, 5, 7, 3), SAK_SHAPE(4, 3, 3, 3), 0, false);
    check("conv2d", SAK_SHAPE(1, 6, 5, 2), SAK_SHAPE(3, 2, 2, 5), 3, true);
    check("conv2d", SAK_SHAPE(3, 4, 4, 17), SAK_SHAPE(9, 17, 1, 1), 0, true);
    check("conv2d", SAK_SHAPE(1, 2, 3, 2), SAK_SHAPE(2, 2, 1, 1), 2, true);
    check("conv2d", SAK_SHAPE(2, 16, 24, 33), SAK_SHAPE(70, 33, 3, 3), 1, true);
}

static void depthwise_follows_its_definition(void **state)
{
    (void)state;
    check("depthwise_conv2d", SAK_SHAPE(2, 5, 7, 3), SAK_SHAPE(3, 1, 3, 3), 1, true);
    check("depthwise_conv2d", SAK_SHAPE(1, 6, 4, 37), SAK_SHAPE(37, 1, 5, 3), 2, false);
    check("depthwise_conv2d", SAK_SHAPE(2, 9, 8, 5), SAK_SHAPE(5, 1, 7, 7), 3, true);
    check("depthwise_conv2d", SAK_SHAPE(1, 5, 5, 2), SAK_SHAPE(2, 1, 3, 3), 0, true);
}

/* Channels first, rows, columns: the order of a (C, 3, p, p) convolution weight. */
static void patchify_orders_columns_as_a_conv_weight(void **state)
{
    (void)state;
    oprun r = oprun_of("patchify");
    oprun_attr(&r, "patch", 3);
    oprun_in(&r, SAK_SHAPE(2, 8, 10, 3)); /* two rows and one column are dropped */
    oprun_open(&r, 2);
    oprun_forward(&r);
    oprun_backward(&r);
    const sak_shape want = SAK_SHAPE(2, 2 * 3, 27);
    assert_true(sak_shape_equal(&r.s.y, &want));
    for (int64_t b = 0; b < 2; b++)
        for (int64_t y = 0; y < 8; y++)
            for (int64_t x = 0; x < 10; x++)
                for (int64_t c = 0; c < 3; c++) {
                    const int64_t i = ((b * 8 + y) * 10 + x) * 3 + c;
                    const int64_t k = (b * 6 + y / 3 * 3 + x / 3) * 27 + c * 9 + y % 3 * 3 + x % 3;
                    const bool cut = y >= 6 || x >= 9;
                    assert_true(r.dx[0][i] == (cut ? 0 : r.dy[k]));
                    assert_true(cut || r.c.y[k] == r.x[0][i]);
                }
    oprun_close(&r);
}

static oprun dense(void)
{
    return make("conv2d", SAK_SHAPE(3, 16, 24, 20), SAK_SHAPE(130, 20, 3, 3), 1, true);
}

static oprun depthwise(void)
{
    return make("depthwise_conv2d", SAK_SHAPE(4, 30, 24, 40), SAK_SHAPE(40, 1, 5, 5), 2, true);
}

static void convolutions_have_the_same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    oprun_any_threads(dense);
    oprun_any_threads(depthwise);
}

static void conv2d_refuses_what_does_not_fit(void **state)
{
    (void)state;
    sak_error err;
    oprun wrong[] = {
        make("conv2d", SAK_SHAPE(1, 4, 4, 3), SAK_SHAPE(2, 4, 3, 3), 1, false), /* channels */
        make("conv2d", SAK_SHAPE(1, 4, 4, 3), SAK_SHAPE(2, 3, 5, 5), 0, false), /* too large */
        make("conv2d", SAK_SHAPE(4, 4, 3), SAK_SHAPE(2, 3, 3, 3), 0, false),
        make("depthwise_conv2d", SAK_SHAPE(1, 4, 4, 3), SAK_SHAPE(2, 1, 3, 3), 1, false),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wrong[i].s.op = wrong[i].op;
        wrong[i].s.attr = &wrong[i].attrs;
        assert_int_equal(wrong[i].op->shape(&wrong[i].s, &err), SAK_ESHAPE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv2d_follows_its_definition),
        cmocka_unit_test(depthwise_follows_its_definition),
        cmocka_unit_test(patchify_orders_columns_as_a_conv_weight),
        cmocka_unit_test(convolutions_have_the_same_bits_for_any_number_of_threads),
        cmocka_unit_test(conv2d_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
