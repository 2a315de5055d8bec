/* What gradients cannot show: running statistics, evaluation mode, masks, noise, refused shapes. */
#include "oprun.h"

static void near_values(const char *what, const sak_real *got, const double *want, int n)
{
    for (int i = 0; i < n; i++)
        oprun_near(what, i, (double)got[i], want[i], 2e-6);
}

static void batch_norm_moves_its_statistics_only_in_training(void **state)
{
    (void)state;
    oprun r = oprun_of("batch_norm");
    oprun_attr(&r, "momentum", 0.25);
    oprun_in(&r, SAK_SHAPE(2, 2, 2));
    for (int i = 0; i < 4; i++)
        oprun_in(&r, SAK_SHAPE(2));
    oprun_open(&r, 1);
    const double x[] = {1, 10, 2, 10, 3, 14, 6, 14}, w[] = {2, 1}, b[] = {0.5, -1};
    for (int i = 0; i < 8; i++)
        r.x[0][i] = (sak_real)x[i];
    for (int i = 0; i < 2; i++) {
        r.x[1][i] = (sak_real)w[i];
        r.x[2][i] = (sak_real)b[i];
        r.x[3][i] = 1;
        r.x[4][i] = 2;
    }
    oprun_forward(&r);
    /* channel 0: mean 3, biased variance 3.5, unbiased 14/3; channel 1: 12, 4, 16/3 */
    const double mean[] = {3, 12}, var[] = {3.5, 4};
    double y[8];
    for (int i = 0; i < 8; i++)
        y[i] = (x[i] - mean[i % 2]) / sqrt(var[i % 2] + 1e-5) * w[i % 2] + b[i % 2];
    near_values("batch_norm in training", r.c.y, y, 8);
    const double running_mean[] = {0.75 + 0.25 * 3, 0.75 + 0.25 * 12};
    const double running_var[] = {1.5 + 0.25 * 14 / 3, 1.5 + 0.25 * 16 / 3};
    near_values("running_mean", r.x[3], running_mean, 2);
    near_values("running_var", r.x[4], running_var, 2);
    r.s.training = false;
    oprun_forward(&r);
    for (int i = 0; i < 8; i++)
        y[i] = (x[i] - running_mean[i % 2]) / sqrt(running_var[i % 2] + 1e-5) * w[i % 2] + b[i % 2];
    near_values("batch_norm in evaluation", r.c.y, y, 8);
    near_values("running_mean after evaluation", r.x[3], running_mean, 2);
    oprun_close(&r);
}

static void center_is_used_before_it_moves(void **state)
{
    (void)state;
    oprun r = oprun_of("center");
    oprun_in(&r, SAK_SHAPE(2, 2));
    oprun_in(&r, SAK_SHAPE(2));
    oprun_open(&r, 1);
    const double x[] = {1, 2, 3, 6}, y[] = {-9, -18, -7, -14}, moved[] = {9.2, 18.4};
    for (int i = 0; i < 4; i++)
        r.x[0][i] = (sak_real)x[i];
    r.x[1][0] = 10;
    r.x[1][1] = 20;
    oprun_forward(&r);
    near_values("center", r.c.y, y, 4);
    near_values("running_center", r.x[1], moved, 2);
    r.s.training = false;
    oprun_forward(&r);
    near_values("running_center after evaluation", r.x[1], moved, 2);
    oprun_close(&r);
}

static void top_k_mask_gives_ties_to_the_lowest_index(void **state)
{
    (void)state;
    oprun r = oprun_of("top_k_mask");
    oprun_attr(&r, "k", 2);
    oprun_in(&r, SAK_SHAPE(3, 4));
    oprun_open(&r, 1);
    const double x[] = {1, 3, 2, 0, 5, 5, 5, 5, -1, -4, -1, -1};
    const double y[] = {0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0};
    for (int i = 0; i < 12; i++)
        r.x[0][i] = (sak_real)x[i];
    oprun_forward(&r);
    near_values("top_k_mask", r.c.y, y, 12);
    oprun_close(&r);
}

static void reductions_keep_or_drop_their_axis(void **state)
{
    (void)state;
    static const struct {
        int axis, keep;
        sak_shape want;
    } all[] = {
        {-1, 0, {2, {2, 3}}}, {1, 0, {2, {2, 4}}}, {0, 1, {3, {1, 3, 4}}}, {2, 1, {3, {2, 3, 1}}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        oprun r = oprun_of("mean");
        oprun_attr(&r, "axis", all[i].axis);
        oprun_attr(&r, "keepdim", all[i].keep);
        oprun_in(&r, SAK_SHAPE(2, 3, 4));
        oprun_open(&r, 1);
        if (!sak_shape_equal(&r.s.y, &all[i].want))
            fail_msg("axis %d, keepdim %d gives %s", all[i].axis, all[i].keep,
                     SAK_SHAPE_TEXT(&r.s.y));
        oprun_forward(&r);
        oprun_close(&r);
    }
    oprun r = oprun_of("max");
    oprun_attr(&r, "axis", 0);
    oprun_in(&r, SAK_SHAPE(5));
    oprun_open(&r, 1);
    assert_true(r.s.y.n == 1 && r.s.y.d[0] == 1);
    oprun_close(&r);
}

static void noise_has_the_right_moments_and_rests_in_evaluation(void **state)
{
    (void)state;
    enum { N = 40000 };
    oprun r = oprun_of("randn");
    r.attrs.dims = SAK_SHAPE(4, N / 4);
    oprun_open(&r, 2);
    oprun_forward(&r);
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++) {
        sum += (double)r.c.y[i];
        squares += (double)r.c.y[i] * (double)r.c.y[i];
    }
    assert_true(fabs(sum / N) < 4 / sqrt(N) && fabs(squares / N - 1) < 4 * sqrt(2.0 / N));
    r.s.training = false;
    oprun_forward(&r);
    for (int i = 0; i < N; i++)
        assert_true(r.c.y[i] == 0);
    oprun_close(&r);

    oprun b = oprun_of("bernoulli");
    b.attrs.dims = SAK_SHAPE(N);
    oprun_attr(&b, "p", 0.25);
    oprun_open(&b, 2);
    oprun_forward(&b);
    int zeros = 0;
    for (int i = 0; i < N; i++) {
        zeros += b.c.y[i] == 0;
        assert_true(b.c.y[i] == 0 || fabs((double)b.c.y[i] - 4.0 / 3) < 1e-6);
    }
    assert_true(fabs((double)zeros / N - 0.25) < 4 * sqrt(0.25 * 0.75 / N));
    b.s.training = false;
    oprun_forward(&b);
    for (int i = 0; i < N; i++)
        assert_true(b.c.y[i] == 1);
    oprun_close(&b);
}

/* The shape rule's answer for up to two inputs and the first attribute. */
static sak_status ask(const char *name, sak_shape a, sak_shape b, double attr, sak_error *err)
{
    oprun r = oprun_of(name);
    r.s.op = r.op;
    r.s.attr = &r.attrs;
    r.s.training = true;
    if (attr == attr)
        r.attrs.v[0] = attr;
    oprun_in(&r, a);
    oprun_in(&r, b);
    for (r.s.n_in = 2; r.s.n_in < r.op->n_in;)
        oprun_in(&r, b);
    return r.op->shape(&r.s, err);
}

static void what_does_not_fit_is_refused_with_its_shapes(void **state)
{
    (void)state;
    sak_error err;
    assert_int_equal(ask("add", SAK_SHAPE(2, 3), SAK_SHAPE(2), NAN, &err), SAK_ESHAPE);
    assert_non_null(strstr(err.msg, "(2, 3)"));
    assert_int_equal(ask("sum", SAK_SHAPE(2, 3), SAK_SHAPE(1), 2, &err), SAK_ESHAPE);
    assert_int_equal(ask("layer_norm", SAK_SHAPE(2, 3), SAK_SHAPE(2), NAN, &err), SAK_ESHAPE);
    assert_non_null(strstr(err.msg, "weight"));
    assert_int_equal(ask("batch_norm", SAK_SHAPE(1, 3), SAK_SHAPE(3), NAN, &err), SAK_ESHAPE);
    assert_int_equal(ask("softmax", SAK_SHAPE(2, 3), SAK_SHAPE(1), 0, &err), SAK_EINVAL);
    assert_int_equal(ask("top_k_mask", SAK_SHAPE(2, 3), SAK_SHAPE(1), 4, &err), SAK_EINVAL);
    assert_int_equal(ask("center", SAK_SHAPE(2, 3), SAK_SHAPE(2), NAN, &err), SAK_ESHAPE);
    assert_int_equal(ask("clamp", SAK_SHAPE(2), SAK_SHAPE(1), INFINITY, &err), SAK_OK);
    assert_int_equal(ask("randn", SAK_SHAPE(2), SAK_SHAPE(1), NAN, &err), SAK_ESHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_norm_moves_its_statistics_only_in_training),
        cmocka_unit_test(center_is_used_before_it_moves),
        cmocka_unit_test(top_k_mask_gives_ties_to_the_lowest_index),
        cmocka_unit_test(reductions_keep_or_drop_their_axis),
        cmocka_unit_test(noise_has_the_right_moments_and_rests_in_evaluation),
        cmocka_unit_test(what_does_not_fit_is_refused_with_its_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
