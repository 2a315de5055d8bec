/* The graph as a whole, in double: differentiation against central differences of the whole loss,
 * sharing of memory by views, pruning, and refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "train/optim.h"

static int apply(sak_graph *g, const char *name, int n, const int *in, const char *key, double value,
                 const sak_shape *dims)
{
    const sak_op *op = sak_op_find(name);
    assert_non_null(op);
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    if (key) {
        const int i = sak_op_attr(op, key);
        assert_true(i >= 0);
        attr.v[i] = value;
    }
    if (dims)
        attr.dims = *dims;
    sak_error err = {0};
    int out = -1;
    if (sak_graph_op(g, op, &attr, n, in, &out, &err) != SAK_OK)
        fail_msg("%s: %s", name, err.msg);
    return out;
}

#define OP(g, name, ...)                                                                           \
    apply((g), (name), (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__}, NULL,  \
          0, NULL)

static int param(sak_graph *g, sak_params *p, const char *name, sak_shape shape)
{
    sak_error err = {0};
    int index = -1, node = -1;
    assert_int_equal(sak_params_add(p, name, &shape, (sak_init){SAK_INIT_NORMAL, 0.7}, false, &index,
                                    &err), SAK_OK);
    assert_int_equal(sak_graph_param(g, p, index, &node, &err), SAK_OK);
    return node;
}

/* Residual blocks, a tensor used three times, x * x, and views of shared tensors. */
static int build(sak_graph *g, sak_params *p)
{
    sak_error err = {0};
    int image = -1;
    const sak_shape in = SAK_SHAPE(2, 3, 4), flat = SAK_SHAPE(6, 4), wide = SAK_SHAPE(2, 12);
    assert_int_equal(sak_graph_input(g, "x", &in, &image, &err), SAK_OK);
    const int w = param(g, p, "w", SAK_SHAPE(4, 4)), b = param(g, p, "b", SAK_SHAPE(4));
    int x = OP(g, "linear", image, w, b);
    for (int i = 0; i < 2; i++) {
        const int h = OP(g, "linear", OP(g, "gelu", x), w, b); /* the weight is shared */
        x = OP(g, "add", x, h);
    }
    const int v1 = apply(g, "reshape", 1, &x, NULL, 0, &flat); /* two views of one tensor */
    const int v2 = apply(g, "reshape", 1, &x, NULL, 0, &wide);
    const int a = OP(g, "mul", v1, v1); /* the same tensor twice */
    const int s1 = OP(g, "sum_all", OP(g, "tanh", a)), s2 = OP(g, "mean_all", OP(g, "square", v2));
    const int only = apply(g, "reshape", 1, &w, NULL, 0, &(sak_shape){1, {16}}); /* view of a parameter */
    const int s3 = OP(g, "sum_all", OP(g, "square", only));
    OP(g, "exp", x); /* nothing looks at it */
    return OP(g, "add", OP(g, "add", s1, s2), s3);
}

static void open_graph(sak_graph *g, sak_params *p, int *loss)
{
    sak_error err = {0};
    sak_graph_open(g, true, 1);
    sak_params_open(p, 7);
    *loss = build(g, p);
    assert_int_equal(sak_graph_plan(g, *loss, &err), SAK_OK);
    assert_int_equal(sak_graph_allocate(g, &err), SAK_OK);
    sak_real *x = sak_graph_value(g, sak_graph_find(g, "x"));
    for (int i = 0; i < 24; i++)
        x[i] = sin(1 + i);
}

static double loss_of(sak_graph *g, int loss)
{
    sak_graph_forward(g, 0);
    return *sak_graph_value(g, loss);
}

static void gradients_of_a_whole_graph_match_central_differences(void **state)
{
    (void)state;
    sak_graph g;
    sak_params p;
    int loss;
    open_graph(&g, &p, &loss);
    for (int repeat = 0; repeat < 2; repeat++) { /* the second step must not see the first one */
        for (int i = 0; i < p.n; i++) {
            loss_of(&g, loss);
            sak_graph_backward(&g, 0);
            double all[16]; /* the next step overwrites gradients */
            memcpy(all, p.list[i].grad, (size_t)p.list[i].count * sizeof *all);
            for (int64_t k = 0; k < p.list[i].count; k++) {
                sak_real *v = p.value + p.list[i].offset + k;
                const double got = all[k], keep = *v, h = 1e-6;
                *v = keep + h;
                const double up = loss_of(&g, loss);
                *v = keep - h;
                const double down = loss_of(&g, loss);
                *v = keep;
                const double want = (up - down) / (2 * h);
                if (fabs(got - want) > 1e-7 * (1 + fabs(want)))
                    fail_msg("%s[%d]: %g, central difference %g", p.list[i].name, (int)k, got, want);
            }
        }
    }
    sak_graph_close(&g);
    sak_params_close(&p);
}

static void nodes_nothing_depends_on_get_no_memory_and_no_call(void **state)
{
    (void)state;
    sak_graph g;
    sak_params p;
    int loss;
    open_graph(&g, &p, &loss);
    int pruned = 0;
    for (int i = 0; i < g.n; i++)
        if (!g.node[i]->live) {
            pruned++;
            assert_int_equal(g.node[i]->value, -1);
            for (int c = 0; c < g.n_calls; c++)
                assert_int_not_equal(g.call[c].node, i);
        }
    assert_int_equal(pruned, 1);
    sak_graph_close(&g);
    sak_params_close(&p);
}

static void frozen_parameters_keep_their_values_and_get_no_gradient(void **state)
{
    (void)state;
    sak_error err = {0};
    sak_graph g;
    sak_params p;
    sak_graph_open(&g, true, 1);
    sak_params_open(&p, 7);
    const int loss = build(&g, &p);
    p.list[sak_params_find(&p, "w")].trainable = false;
    assert_int_equal(sak_graph_plan(&g, loss, &err), SAK_OK);
    assert_int_equal(sak_graph_allocate(&g, &err), SAK_OK);
    sak_optim o;
    assert_int_equal(sak_optim_open(&o, SAK_ADAMW, &p, &err), SAK_OK);
    o.weight_decay = 0.1;
    const double w = p.value[p.list[0].offset], b = p.value[p.list[1].offset];
    sak_graph_forward(&g, 0);
    sak_graph_backward(&g, 0);
    sak_optim_step(&o, &p, 0.01, 0, 1);
    assert_true(p.value[p.list[0].offset] == w);
    assert_true(p.value[p.list[1].offset] != b);
    sak_optim_close(&o);
    sak_graph_close(&g);
    sak_params_close(&p);
}

static void wrong_shapes_and_losses_are_refused_with_their_values(void **state)
{
    (void)state;
    sak_error err = {0};
    sak_graph g;
    sak_graph_open(&g, true, 0);
    int a = -1, b = -1, out = -1;
    const sak_shape sa = SAK_SHAPE(2, 3), sb = SAK_SHAPE(2, 4);
    assert_int_equal(sak_graph_input(&g, "a", &sa, &a, &err), SAK_OK);
    assert_int_equal(sak_graph_input(&g, "b", &sb, &b, &err), SAK_OK);
    assert_int_equal(sak_graph_input(&g, "a", &sa, &out, &err), SAK_EINVAL);
    sak_attrs attr = {0};
    assert_int_equal(sak_graph_op(&g, sak_op_find("add"), &attr, 2, (int[]){a, b}, &out, &err),
                     SAK_ESHAPE);
    assert_non_null(strstr(err.msg, "(2, 3)"));
    assert_non_null(strstr(err.msg, "(2, 4)"));
    assert_int_equal(sak_graph_op(&g, sak_op_find("add"), &attr, 1, (int[]){a}, &out, &err), SAK_EINVAL);
    assert_int_equal(sak_graph_plan(&g, a, &err), SAK_ESHAPE); /* not one number */
    sak_graph_close(&g);

    sak_graph_open(&g, true, 0);
    assert_int_equal(sak_graph_input(&g, "a", &sa, &a, &err), SAK_OK);
    const int sum = OP(&g, "sum_all", a);
    assert_int_equal(sak_graph_plan(&g, sum, &err), SAK_EINVAL); /* nothing to train */
    assert_non_null(strstr(err.msg, "trainable"));
    sak_graph_close(&g);
}

static void buffers_that_live_together_do_not_overlap(void **state)
{
    (void)state;
    sak_graph g;
    sak_params p;
    int loss;
    open_graph(&g, &p, &loss);
    /* What backward keeps must still be there after forward: recompute each kept input of a gelu. */
    sak_graph_forward(&g, 0);
    for (int c = 0; c < g.forward_end; c++) {
        const sak_call *call = &g.call[c];
        if (strcmp(call->c.s->op->name, "gelu") != 0)
            continue;
        sak_real before[24];
        memcpy(before, call->c.x[0], sizeof before);
        sak_graph_backward(&g, 0);
        sak_graph_forward(&g, 0);
        assert_memory_equal(before, call->c.x[0], sizeof before);
    }
    sak_graph_close(&g);
    sak_params_close(&p);
}

/* Training and evaluation in turn, in one slab: inputs of each stay, and so do its results. */
static void two_graphs_use_one_slab_in_turn(void **state)
{
    (void)state;
    sak_error err = {0};
    sak_graph g[2], alone;
    sak_params p, q;
    int loss[2], alone_loss;
    open_graph(&alone, &q, &alone_loss);
    sak_params_open(&p, 7);
    for (int i = 0; i < 2; i++) {
        sak_graph_open(&g[i], i == 0, 1);
        loss[i] = build(&g[i], &p);
        if (i == 1)
            assert_int_equal(sak_graph_output(&g[i], "loss", loss[i], &err), SAK_OK);
        assert_int_equal(sak_graph_plan(&g[i], i == 0 ? loss[i] : -1, &err), SAK_OK);
    }
    assert_int_equal(sak_graph_share_slab(&g[0], &g[1], &err), SAK_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sak_graph_allocate(&g[i], &err), SAK_OK);
        for (int k = 0; k < 24; k++)
            sak_graph_value(&g[i], sak_graph_find(&g[i], "x"))[k] = i == 0 ? sin(1 + k) : cos(k);
    }
    assert_ptr_equal(g[0].activation, g[1].activation);
    assert_int_equal(sak_graph_share_slab(&g[0], &alone, &err), SAK_EINVAL); /* has memory already */
    const double want = loss_of(&alone, alone_loss), other = loss_of(&g[1], loss[1]);
    for (int repeat = 0; repeat < 2; repeat++) {
        assert_true(loss_of(&g[0], loss[0]) == want);
        sak_graph_backward(&g[0], 0);
        sak_graph_forward(&alone, 0);
        sak_graph_backward(&alone, 0);
        for (int i = 0; i < p.n; i++)
            assert_memory_equal(p.list[i].grad, q.list[i].grad, (size_t)p.list[i].count * sizeof(sak_real));
        assert_true(loss_of(&g[1], loss[1]) == other && other != want);
    }
    sak_graph_close(&g[0]); /* the other one keeps the slab */
    assert_true(loss_of(&g[1], loss[1]) == other);
    sak_graph_close(&g[1]);
    sak_graph_close(&alone);
    sak_params_close(&p);
    sak_params_close(&q);
}

/* Names, shapes and inputs as the graph was made; what nothing depends on, what has a gradient, what is
 * kept for the caller; where a buffer lies and between which calls it is in use. */
static void a_dump_has_a_line_a_node_with_shape_inputs_marks_and_lifetime(void **state)
{
    (void)state;
    sak_graph g;
    sak_params p;
    sak_error err = {0};
    int x = -1;
    sak_graph_open(&g, true, 1);
    sak_params_open(&p, 7);
    assert_int_equal(sak_graph_input(&g, "pixels", &SAK_SHAPE(2, 3), &x, &err), SAK_OK);
    const int w = param(&g, &p, "weight", SAK_SHAPE(4, 3));
    const int y = OP(&g, "linear", x, w), unused = OP(&g, "exp", y), loss = OP(&g, "sum_all", y);
    assert_int_equal(sak_graph_output(&g, "y", y, &err), SAK_OK);
    assert_int_equal(sak_graph_plan(&g, loss, &err), SAK_OK);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    sak_graph_dump(&g, out);
    fclose(out);
    static const char *const start[] = {
        "    0 input            (2, 3)                ", "    1 param            (4, 3)                ",
        "    2 linear           (2, 4)                 0 1", "    3 exp              (2, 4)                 2",
        "    4 sum_all          ",
    };
    static const char *const says[] = {"  pixels", "  weight", "  output", "  (pruned)", "  grad"};
    char *line = text;
    for (int i = 0; i < 5; i++) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        if (strncmp(line, start[i], strlen(start[i])) != 0 || !strstr(line, says[i]))
            fail_msg("node %d: '%s'", i, line);
        assert_int_equal(strstr(line, "(pruned)") != NULL, i == unused);
        assert_int_equal(strstr(line, "  grad") != NULL, i == w || i == y || i == loss);
        const sak_node *node = g.node[i];
        char place[80] = "";
        if (node->value >= 0)
            snprintf(place, sizeof place, "  @%lld calls %d-%d", (long long)g.buffer[node->value].at,
                     g.buffer[node->value].from, g.buffer[node->value].to);
        assert_true(*place ? strstr(line, place) != NULL : strstr(line, "calls") == NULL);
        line = end + 1;
    }
    assert_int_equal(*line, 0);
    free(text);
    sak_graph_close(&g);
    sak_params_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_a_whole_graph_match_central_differences),
        cmocka_unit_test(nodes_nothing_depends_on_get_no_memory_and_no_call),
        cmocka_unit_test(frozen_parameters_keep_their_values_and_get_no_gradient),
        cmocka_unit_test(wrong_shapes_and_losses_are_refused_with_their_values),
        cmocka_unit_test(two_graphs_use_one_slab_in_turn),
        cmocka_unit_test(buffers_that_live_together_do_not_overlap),
        cmocka_unit_test(a_dump_has_a_line_a_node_with_shape_inputs_marks_and_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
