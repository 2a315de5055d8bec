/* Checkpointing: recomputed blocks give the bits of kept ones, in less memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"

enum { BLOCKS = 6, B = 3, L = 5, C = 8 };

static int apply(sak_graph *g, const char *name, int n, const int *in, const sak_shape *dims)
{
    const sak_op *op = sak_op_find(name);
    assert_non_null(op);
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    if (dims)
        attr.dims = *dims;
    sak_error err = {0};
    int out = -1;
    if (sak_graph_op(g, op, &attr, n, in, &out, &err) != SAK_OK)
        fail_msg("%s: %s", name, err.msg);
    return out;
}

#define OP(g, name, ...)                                                                           \
    apply((g), (name), (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__}, NULL)

static int param(sak_graph *g, sak_params *p, const char *what, int block, sak_shape shape, sak_init init,
                 bool buffer)
{
    char name[32];
    sak_error err = {0};
    int index = -1, node = -1;
    snprintf(name, sizeof name, "%d.%s", block, what);
    assert_int_equal(sak_params_add(p, name, &shape, init, buffer, &index, &err), SAK_OK);
    assert_int_equal(sak_graph_param(g, p, index, &node, &err), SAK_OK);
    return node;
}

/* Statistics that move, random numbers, views, and a residual. */
static int block(sak_graph *g, sak_params *p, int i, int x)
{
    const sak_init some = {SAK_INIT_NORMAL, 0.6}, one = {SAK_INIT_CONSTANT, 1}, zero = {SAK_INIT_ZEROS, 0};
    const sak_shape wide = SAK_SHAPE(B, L, 2 * C), flat = SAK_SHAPE(B * L, 2 * C);
    int y = OP(g, "linear", x, param(g, p, "up", i, SAK_SHAPE(2 * C, C), some, false));
    y = apply(g, "reshape", 1, &y, &flat);
    y = OP(g, "batch_norm", y, param(g, p, "w", i, SAK_SHAPE(2 * C), one, false),
           param(g, p, "b", i, SAK_SHAPE(2 * C), zero, false),
           param(g, p, "mean", i, SAK_SHAPE(2 * C), zero, true),
           param(g, p, "var", i, SAK_SHAPE(2 * C), one, true));
    y = OP(g, "gelu", apply(g, "reshape", 1, &y, &wide));
    y = OP(g, "mul", y, apply(g, "bernoulli", 0, NULL, &wide));
    y = OP(g, "tanh", OP(g, "linear", y, param(g, p, "down", i, SAK_SHAPE(C, 2 * C), some, false)));
    return OP(g, "add", x, y);
}

typedef struct made {
    sak_graph g;
    sak_params p;
    int loss;
} made;

static void open_graph(made *m, bool checkpoint)
{
    sak_error err = {0};
    int x = -1;
    const sak_shape shape = SAK_SHAPE(B, L, C);
    sak_graph_open(&m->g, true, 1);
    sak_params_open(&m->p, 7);
    m->g.checkpoint = checkpoint;
    assert_int_equal(sak_graph_input(&m->g, "x", &shape, &x, &err), SAK_OK);
    for (int i = 0; i < BLOCKS; i++) {
        m->g.block = ++m->g.n_blocks;
        x = block(&m->g, &m->p, i, x);
        m->g.block = 0;
    }
    m->loss = OP(&m->g, "mean_all", OP(&m->g, "square", x));
    if (sak_graph_plan(&m->g, m->loss, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sak_graph_allocate(&m->g, &err), SAK_OK);
    sak_real *v = sak_graph_value(&m->g, sak_graph_find(&m->g, "x"));
    for (int i = 0; i < B * L * C; i++)
        v[i] = (i * 37 % 41) / 20.0 - 1;
    for (uint64_t step = 0; step < 3; step++) {
        sak_graph_forward(&m->g, step);
        sak_graph_backward(&m->g, step);
    }
}

static void close_graph(made *m)
{
    sak_graph_close(&m->g);
    sak_params_close(&m->p);
}

static void recomputed_blocks_give_the_same_bits(void **state)
{
    (void)state;
    made kept, again;
    open_graph(&kept, false);
    open_graph(&again, true);
    const double loss = *sak_graph_value(&kept.g, kept.loss);
    assert_true(loss > 0 && loss == *sak_graph_value(&again.g, again.loss));
    assert_int_equal(kept.p.n, again.p.n);
    for (int i = 0; i < kept.p.n; i++) {
        const sak_param *a = &kept.p.list[i], *b = &again.p.list[i];
        const size_t bytes = (size_t)a->count * sizeof(sak_real);
        if (memcmp(kept.p.value + a->offset, again.p.value + b->offset, bytes) != 0)
            fail_msg("%s differs: statistics may have moved twice", a->name);
        if (!a->buffer && memcmp(a->grad, b->grad, bytes) != 0)
            fail_msg("the gradient of %s differs", a->name);
    }
    close_graph(&kept);
    close_graph(&again);
}

static void only_what_backward_needs_is_recomputed_and_memory_falls(void **state)
{
    (void)state;
    made kept, again;
    open_graph(&kept, false);
    open_graph(&again, true);
    int calls = 0;
    for (int c = 0; c < again.g.n_calls; c++) {
        const sak_call *call = &again.g.call[c];
        calls += call->again;
        /* the sum is a block's output, and nobody's gradient reads what is added */
        assert_false(call->again && strcmp(call->c.s->op->name, "add") == 0);
    }
    assert_int_equal(calls, BLOCKS * 7); /* two linears, norm, gelu, random numbers, product, tanh */
    assert_true(2 * again.g.activation_count < kept.g.activation_count);
    assert_true(sak_graph_flops(&again.g, true) > sak_graph_flops(&kept.g, true));
    close_graph(&kept);
    close_graph(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputed_blocks_give_the_same_bits),
        cmocka_unit_test(only_what_backward_needs_is_recomputed_and_memory_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
