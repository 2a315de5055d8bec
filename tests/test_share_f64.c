/* Gradients that share memory and values that are computed again, in double: graphs drawn at random against
 * central differences of the whole loss, and what a residual stream keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "graph/graph.h"

enum { ROWS = 3, C = 4, GRAPHS = 300, OPS = 14 };

typedef struct drawn {
    sak_graph g;
    sak_params p;
    int node[OPS + 2], n, loss;
    char text[1024]; /* what was drawn, for messages */
} drawn;

static int apply(drawn *d, const char *name, int n, const int *in)
{
    const sak_op *op = sak_op_find(name);
    assert_non_null(op);
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    if (strcmp(name, "reshape") == 0)
        attr.dims = SAK_SHAPE(ROWS, C);
    sak_error err = {0};
    int out = -1;
    if (sak_graph_op(&d->g, op, &attr, n, in, &out, &err) != SAK_OK)
        fail_msg("%s: %s", name, err.msg);
    const size_t used = strlen(d->text);
    snprintf(d->text + used, sizeof d->text - used, " %d=%s(%d,%d)", out, name, n > 0 ? in[0] : -1,
             n > 1 ? in[1] : -1);
    return out;
}

static int param(drawn *d, const char *name, sak_shape shape, sak_init init)
{
    sak_error err = {0};
    int index = -1, node = -1;
    assert_int_equal(sak_params_add(&d->p, name, &shape, init, false, &index, &err), SAK_OK);
    assert_int_equal(sak_graph_param(&d->g, &d->p, index, &node, &err), SAK_OK);
    return node;
}

static void open_drawn(drawn *d)
{
    *d = (drawn){0};
    sak_graph_open(&d->g, true, 1);
    sak_params_open(&d->p, 7);
}

static void close_drawn(drawn *d)
{
    sak_graph_close(&d->g);
    sak_params_close(&d->p);
}

static void plan(drawn *d)
{
    sak_error err = {0};
    if (sak_graph_plan(&d->g, d->loss, &err) != SAK_OK || sak_graph_allocate(&d->g, &err) != SAK_OK)
        fail_msg("%s", err.msg);
}

/* Sums of anything drawn before, functions of it, and views, any of them read any number of times. */
static void draw(drawn *d, uint64_t seed)
{
    static const char *const names[] = {"add", "add", "add",  "add",   "sub",        "reshape",
                                        "gelu", "tanh", "square", "linear", "layer_norm", "mul"};
    sak_rng rng = sak_rng_open(3, SAK_RNG_TEST, seed, 0);
    open_drawn(d);
    const sak_init some = {SAK_INIT_NORMAL, 0.5}, one = {SAK_INIT_CONSTANT, 1};
    const int w = param(d, "w", SAK_SHAPE(C, C), some), scale = param(d, "scale", SAK_SHAPE(C), one);
    const int shift = param(d, "shift", SAK_SHAPE(C), some);
    d->node[d->n++] = param(d, "x", SAK_SHAPE(ROWS, C), some);
    d->node[d->n++] = param(d, "y", SAK_SHAPE(ROWS, C), some);
    for (int i = 0; i < OPS; i++) {
        const char *name = names[(int)sak_rng_range(&rng, 0, 12)];
        int in[3];
        for (int k = 0; k < 2; k++) { /* mostly something recent */
            const double u = sak_rng_range(&rng, 0, 1);
            in[k] = d->node[d->n - 1 - (int)(u * u * d->n)];
        }
        const sak_op *op = sak_op_find(name);
        if (strcmp(name, "linear") == 0)
            in[1] = w;
        if (strcmp(name, "layer_norm") == 0)
            in[1] = scale, in[2] = shift;
        d->node[d->n] = apply(d, name, op->n_in, in);
        d->n++;
    }
    const int last[2] = {d->node[d->n - 1], d->node[d->n - 2]};
    const int both = apply(d, "add", 2, last), soft = apply(d, "tanh", 1, &both);
    d->loss = apply(d, "sum_all", 1, &soft);
    plan(d);
}

static double loss_of(drawn *d)
{
    sak_graph_forward(&d->g, 0);
    return *sak_graph_value(&d->g, d->loss);
}

static void check_gradients(drawn *d, uint64_t seed)
{
    loss_of(d);
    sak_graph_backward(&d->g, 0);
    for (int i = 0; i < d->p.n; i++) {
        const sak_param *q = &d->p.list[i];
        for (int64_t k = 0; q->has_grad && k < q->count; k++) {
            sak_real *v = d->p.value + q->offset + k;
            const double got = d->p.grad[q->offset + k], keep = *v, h = 1e-6;
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
        draw(&d, seed);
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
    plan(&d);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d.g.node[stream[i]]->grad_root, stream[3]);
        assert_true(d.g.node[inner[i]]->recomputed); /* gelu keeps what it is computed from */
    }
    check_gradients(&d, 0);
    close_drawn(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_drawn_at_random_have_the_gradients_of_central_differences),
        cmocka_unit_test(a_residual_stream_has_one_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
