/* resize_conv2d in float: the same as a resize and then a convolution, over several passes and
 * blocks of channels; the same bits for any number of threads. */
#include "oprun.h"

#include <stdlib.h>

typedef struct shape_case {
    sak_shape x, weight, size;
    int pad;
} shape_case;

static const shape_case *now;

static oprun make(void)
{
    oprun r = oprun_of("resize_conv2d");
    oprun_attr(&r, "padding", now->pad);
    r.attrs.dims = now->size;
    oprun_in(&r, now->x);
    oprun_in(&r, now->weight);
    oprun_in(&r, SAK_SHAPE(now->weight.d[0]));
    return r;
}

static void near_norm(const char *what, const sak_real *got, const sak_real *want, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += pow((double)got[i] - (double)want[i], 2);
        norm += pow((double)want[i], 2);
    }
    if (!(sqrt(error) <= 2e-6 * sqrt(norm)))
        fail_msg("%s: relative error %.3g", what, sqrt(error / norm));
}

/* The plain form, one row after the other. */
static void compare_with_the_plain_form(void)
{
    oprun fast = make(), up = oprun_of("resize"), conv = oprun_of("conv2d");
    oprun_open(&fast, 2);
    oprun_forward(&fast);
    oprun_backward(&fast);
    up.attrs.dims = now->size;
    oprun_in(&up, now->x);
    oprun_open(&up, 2);
    oprun_forward(&up);
    oprun_attr(&conv, "padding", now->pad);
    oprun_in(&conv, up.s.y);
    oprun_in(&conv, now->weight);
    oprun_in(&conv, SAK_SHAPE(now->weight.d[0]));
    oprun_open(&conv, 2);
    memcpy(conv.x[0], up.c.y, (size_t)sak_shape_count(&up.s.y) * sizeof(sak_real));
    oprun_forward(&conv);
    oprun_backward(&conv);
    near_norm("y", fast.c.y, conv.c.y, sak_shape_count(&conv.s.y));
    near_norm("dweight", fast.dx[1], conv.dx[1], sak_shape_count(&now->weight));
    near_norm("dbias", fast.dx[2], conv.dx[2], now->weight.d[0]);
    memcpy(up.dy, conv.dx[0], (size_t)sak_shape_count(&up.s.y) * sizeof(sak_real));
    oprun_backward(&up);
    near_norm("dx", fast.dx[0], up.dx[0], sak_shape_count(&now->x));
    oprun_close(&conv);
    oprun_close(&up);
    oprun_close(&fast);
}

static const shape_case cases[] = {
    {{4, {2, 3, 5, 40}}, {4, {136, 40, 3, 3}}, {2, {13, 19}}, 1},
    {{4, {1, 1, 1, 8}}, {4, {16, 8, 3, 3}}, {2, {4, 4}}, 1},
    {{4, {2, 9, 7, 12}}, {4, {10, 12, 5, 3}}, {2, {5, 6}}, 2},
    {{4, {3, 32, 32, 4}}, {4, {352, 4, 3, 3}}, {2, {40, 34}}, 1}, /* 2 passes */
};

static void it_equals_a_resize_and_then_a_convolution(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        now = &cases[i];
        compare_with_the_plain_form();
    }
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        now = &cases[i];
        oprun_any_threads(make);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_equals_a_resize_and_then_a_convolution),
        cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
