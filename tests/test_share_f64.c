/* Gradients that share memory and values that are computed again, in double: graphs drawn at random against
 * central differences of the whole loss, and what a residual stream keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "drawn_graph.h"

enum { GRAPHS = 300 };

static double loss_of(drawn *d)
{
    sak_graph_forward(&d->g, 0);
    return *sak_graph_value(&d->g, d->loss);
}

static void check_gradients(drawn *d, uint64_t seed)
{
    for (int i = 0; i < d->p.n; i++) {
        const sak_param *q = &d->p.list[i];
        loss_of(d);
        sak_graph_backward(&d->g, 0);
        double all[ROWS * C > C * C ? ROWS * C : C * C]; /* the next step overwrites gradients */
        if (q->has_grad)
            memcpy(all, q->grad, (size_t)q->count * sizeof *all);
        for (int64_t k = 0; q->has_grad && k < q->count; k++) {
            sak_real *v = d->p.value + q->offset + k;
            const double got = all[k], keep = *v, h = 1e-6;
            *v = keep + h;
            const double up = loss_of(d);
            *v = keep - h;
            const double down = loss_of(d);
            *v = keep;
            const double want = (up - down) / (2 * h);
            if (fabs(got - want) > 1e-4 * (1 + fabs(want)))
                fail_msg("graph %d, %s[%d]: %g, central difference %g:%s", (int)seed, q->name, (int)k,
                         got, want, d->text);
        }
    }
}

static void graphs_drawn_at_random_have_the_gradients_of_central_differences(void **state)
{
    (void)state;
    int shared = 0, again = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        drawn d;
        draw(&d, seed, seed % 4 == 3, false);
        check_gradients(&d, seed);
        for (int i = 0; i < d.g.n; i++) {
            const sak_node *node = d.g.node[i];
            shared += node->kind == SAK_NODE_OP && !node->s.op->view && node->grad_root != i;
            again += node->recomputed;
        }
        close_drawn(&d);
    }
    assert_true(shared > GRAPHS && again > GRAPHS / 2); /* else this shows little */
}

static void a_residual_stream_has_one_gradient(void **state)
{
    (void)state;
    drawn d;
    open_drawn(&d);
    const sak_init some = {SAK_INIT_NORMAL, 0.5}, one = {SAK_INIT_CONSTANT, 1}, zero = {SAK_INIT_ZEROS, 0};
    const int w = param(&d, "w", SAK_SHAPE(C, C), some);
    const int norm[2] = {param(&d, "scale", SAK_SHAPE(C), one), param(&d, "shift", SAK_SHAPE(C), zero)};
    int stream[4] = {apply(&d, "tanh", 1, (int[]){param(&d, "x", SAK_SHAPE(ROWS, C), some)})}, inner[3];
    for (int i = 0; i < 3; i++) {
        const int h = apply(&d, "layer_norm", 3, (int[]){stream[i], norm[0], norm[1]});
        const int up = apply(&d, "linear", 2, (int[]){h, w});
        inner[i] = apply(&d, "gelu", 1, &up);
        const int down = apply(&d, "linear", 2, (int[]){inner[i], w});
        stream[i + 1] = apply(&d, "add", 2, (int[]){stream[i], down});
    }
    const int top = apply(&d, "square", 1, &stream[3]);
    d.loss = apply(&d, "mean_all", 1, &top);
    plan_drawn(&d);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d.g.node[stream[i]]->grad_root, stream[3]);
        assert_true(d.g.node[inner[i]]->recomputed); /* gelu keeps what it is computed from */
    }
    check_gradients(&d, 0);
    close_drawn(&d);
}

/* Through tanh into the memory of its dy; through a product into that of its x, kept or computed again, but
 * not where the x is read once more. */
static void a_gradient_lies_where_its_call_reads_for_the_last_time(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++) {
        drawn d;
        open_drawn(&d);
        const sak_init some = {SAK_INIT_NORMAL, 0.5};
        const int w = param(&d, "w", SAK_SHAPE(C, C), some), v = param(&d, "v", SAK_SHAPE(C, C), some);
        const int x = param(&d, "x", SAK_SHAPE(ROWS, C), some);
        const int first = apply(&d, "linear", 2, (int[]){x, w});
        const int kept = apply(&d, "linear", 2, (int[]){first, v});
        const int again = apply(&d, "gelu", 1, &kept);
        const int last = apply(&d, "linear", 2, (int[]){again, w});
        int top = apply(&d, "tanh", 1, &last);
        if (twice)
            top = apply(&d, "mul", 2, (int[]){top, first});
        d.loss = apply(&d, "sum_all", 1, &top);
        plan_drawn(&d);
        sak_node **n = d.g.node;
        if (!twice)
            assert_int_equal(n[last]->grad, n[top]->grad);
        assert_int_equal(n[kept]->grad, n[again]->grad); /* gelu's dy and dx */
        if (n[again]->recomputed)
            assert_int_equal(n[again]->grad, n[again]->again);
        else
            assert_int_equal(n[again]->grad, n[again]->value);
        assert_int_equal(n[first]->grad == n[first]->value, !twice);
        check_gradients(&d, (uint64_t)twice);
        close_drawn(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_drawn_at_random_have_the_gradients_of_central_differences),
        cmocka_unit_test(a_residual_stream_has_one_gradient),
        cmocka_unit_test(a_gradient_lies_where_its_call_reads_for_the_last_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
