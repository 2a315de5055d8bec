/* Rewriting, in double: the rewritten graph has the values and gradients of the plain one, and is
 * not made where something else looks at the resized maps or nothing would be saved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

typedef struct level {
    int h, w, channels;
} level;

typedef struct example {
    int B, levels, H, W, out, k, pad, mode;
    level level[4];
    bool bias, concat;   /* concat: also around a single level */
    bool name_resized;   /* the first resized map is an output of the graph */
    bool use_twice;      /* … or is read by a second operation */
    bool noise;          /* random numbers after the convolution */
} example;

static int apply(sak_graph *g, const char *name, int n, const int *in, const char *const *key,
                 const double *value, const sak_shape *dims)
{
    const sak_op *op = sak_op_find(name);
    assert_non_null(op);
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    for (int i = 0; key && key[i]; i++) {
        assert_true(sak_op_attr(op, key[i]) >= 0);
        attr.v[sak_op_attr(op, key[i])] = value[i];
    }
    if (dims)
        attr.dims = *dims;
    sak_error err = {0};
    int out = -1;
    if (sak_graph_op(g, op, &attr, n, in, &out, &err) != SAK_OK)
        fail_msg("%s: %s", name, err.msg);
    return out;
}

static int param(sak_graph *g, sak_params *p, const char *name, sak_shape shape)
{
    sak_error err = {0};
    int index = -1, node = -1;
    assert_int_equal(sak_params_add(p, name, &shape, (sak_init){SAK_INIT_NORMAL, 0.7}, false, &index,
                                    &err), SAK_OK);
    assert_int_equal(sak_graph_param(g, p, index, &node, &err), SAK_OK);
    return node;
}

static const char *const names[] = {"a", "b", "c", "d"};

/* conv2d over resized maps, all of them parameters so that every gradient is seen; squared. */
static int build(sak_graph *g, sak_params *p, const example *e)
{
    sak_error err = {0};
    int maps[4], channels = 0, extra = -1;
    for (int i = 0; i < e->levels; i++) {
        const level *l = &e->level[i];
        maps[i] = param(g, p, names[i], SAK_SHAPE(e->B, l->h, l->w, l->channels));
        maps[i] = apply(g, "resize", 1, &maps[i], (const char *const[]){"mode", NULL},
                        (double[]){e->mode}, &SAK_SHAPE(e->H, e->W));
        channels += l->channels;
    }
    if (e->name_resized)
        assert_int_equal(sak_graph_output(g, "resized", maps[0], &err), SAK_OK);
    if (e->use_twice)
        extra = apply(g, "sum_all", 1, &maps[0], NULL, NULL, NULL);
    int in[3] = {maps[0], -1, -1};
    if (e->levels > 1 || e->concat)
        in[0] = apply(g, "concat", e->levels, maps, (const char *const[]){"axis", NULL}, (double[]){3},
                      NULL);
    in[1] = param(g, p, "weight", SAK_SHAPE(e->out, channels, e->k, e->k));
    if (e->bias)
        in[2] = param(g, p, "bias", SAK_SHAPE(e->out));
    int y = apply(g, "conv2d", e->bias ? 3 : 2, in, (const char *const[]){"padding", NULL},
                  (double[]){e->pad}, NULL);
    assert_int_equal(sak_graph_output(g, "y", y, &err), SAK_OK);
    if (e->noise) {
        const int z = apply(g, "randn", 0, NULL, NULL, NULL, &g->node[y]->s.y);
        y = apply(g, "mul", 2, (int[]){y, z}, NULL, NULL, NULL);
    }
    const int square = apply(g, "square", 1, &y, NULL, NULL, NULL);
    const int loss = apply(g, "mean_all", 1, &square, NULL, NULL, NULL);
    return e->use_twice ? apply(g, "add", 2, (int[]){loss, extra}, NULL, NULL, NULL) : loss;
}

typedef struct made {
    sak_graph g;
    sak_params p;
    int loss;
} made;

static void open_example(made *m, const example *e, bool rewrite)
{
    sak_error err = {0};
    sak_graph_open(&m->g, true, 1);
    sak_params_open(&m->p, 7);
    m->g.rewrite = rewrite;
    m->loss = build(&m->g, &m->p, e);
    if (sak_graph_plan(&m->g, m->loss, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sak_graph_allocate(&m->g, &err), SAK_OK);
    for (int step = 0; step < 2; step++) { /* the second must not see the first */
        sak_graph_forward(&m->g, 3);
        sak_graph_backward(&m->g, 3);
    }
}

static void close_example(made *m)
{
    sak_graph_close(&m->g);
    sak_params_close(&m->p);
}

static int calls_of(const sak_graph *g, const char *op)
{
    int n = 0;
    for (int i = 0; i < g->forward_end; i++)
        n += !g->call[i].backward && strcmp(g->node[g->call[i].node]->s.op->name, op) == 0;
    return n;
}

static void near_to(const char *what, const sak_real *got, const sak_real *want, int64_t n)
{
    double top = 0;
    for (int64_t i = 0; i < n; i++)
        top = fmax(top, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= 1e-12 * (1 + top)))
            fail_msg("%s[%d]: %.15g, plain %.15g", what, (int)i, got[i], want[i]);
}

/* Both forms; how many resize_conv2d the rewritten one runs. */
static int compare(const example *e)
{
    made plain, fast;
    open_example(&plain, e, false);
    open_example(&fast, e, true);
    const int n = calls_of(&fast.g, "resize_conv2d");
    assert_int_equal(calls_of(&plain.g, "resize_conv2d"), 0);
    assert_int_equal(calls_of(&plain.g, "conv2d"), 1);
    assert_int_equal(calls_of(&fast.g, "conv2d"), n == 0);
    const int y = sak_graph_find(&plain.g, "y");
    near_to("y", sak_graph_value(&fast.g, sak_graph_find(&fast.g, "y")), sak_graph_value(&plain.g, y),
            sak_shape_count(&plain.g.node[y]->s.y));
    near_to("loss", sak_graph_value(&fast.g, fast.loss), sak_graph_value(&plain.g, plain.loss), 1);
    for (int i = 0; i < plain.p.n; i++) {
        const sak_param *a = &plain.p.list[i];
        near_to(a->name, fast.p.list[i].grad, a->grad, a->count);
    }
    assert_true(plain.g.plain_flops[1] == fast.g.plain_flops[1]);
    if (n > 0)
        assert_true(sak_graph_flops(&fast.g, false) < plain.g.plain_flops[0]);
    close_example(&plain);
    close_example(&fast);
    return n;
}

static void a_convolution_of_a_resized_map_runs_on_the_small_grid(void **state)
{
    (void)state;
    const example e = {.B = 2, .levels = 1, .H = 12, .W = 20, .out = 5, .k = 3, .pad = 1, .bias = true,
                       .level = {{3, 5, 24}}};
    assert_int_equal(compare(&e), 1);
}

static void levels_of_one_grid_are_joined_before_and_others_summed(void **state)
{
    (void)state;
    example e = {.B = 2, .levels = 4, .H = 12, .W = 11, .out = 6, .k = 3, .pad = 1, .bias = true,
                 .level = {{3, 4, 9}, {3, 4, 8}, {3, 4, 7}, {3, 4, 9}}};
    assert_int_equal(compare(&e), 1);
    e.level[1] = (level){2, 4, 8}; /* 1, 1, 2 levels */
    assert_int_equal(compare(&e), 3);
    e.level[3] = (level){1, 1, 24};
    e.bias = false;
    assert_int_equal(compare(&e), 4);
    e.levels = 1;
    e.level[0] = (level){3, 4, 30};
    e.concat = true;
    assert_int_equal(compare(&e), 1);
}

static void many_shapes_agree_with_the_plain_form(void **state)
{
    (void)state;
    sak_rng rng = sak_rng_open(5, SAK_RNG_TEST, 0, 0);
    int rewritten = 0;
    for (int i = 0; i < 150; i++) {
        example e = {.B = 1 + i % 2, .levels = 1 + i % 3, .bias = i & 1, .mode = i % 4, .noise = i % 5 == 0};
        e.k = 1 + (int)sak_rng_range(&rng, 0, 4.99);
        e.pad = (int)sak_rng_range(&rng, 0, 2.99);
        e.H = e.k + (int)sak_rng_range(&rng, 0, 9.99);
        e.W = e.k + (int)sak_rng_range(&rng, 0, 9.99);
        e.out = 1 + (int)sak_rng_range(&rng, 0, 4.99);
        for (int k = 0; k < e.levels; k++)
            e.level[k] = (level){1 + (int)sak_rng_range(&rng, 0, 4.99), 1 + (int)sak_rng_range(&rng, 0, 4.99),
                                 1 + (int)sak_rng_range(&rng, 0, 20.99)};
        rewritten += compare(&e) > 0;
    }
    assert_true(rewritten > 30 && rewritten < 150); /* both ways were seen */
}

static void what_is_read_elsewhere_or_saves_nothing_is_left_alone(void **state)
{
    (void)state;
    const example e = {.B = 1, .levels = 2, .H = 8, .W = 8, .out = 4, .k = 3, .pad = 1,
                       .level = {{2, 2, 16}, {2, 2, 16}}};
    example other = e;
    assert_int_equal(compare(&e), 1);
    other.name_resized = true;
    assert_int_equal(compare(&other), 0);
    other = e;
    other.use_twice = true;
    assert_int_equal(compare(&other), 0);
    other = e;
    other.level[0] = other.level[1] = (level){16, 16, 16}; /* down: the map before is the larger */
    assert_int_equal(compare(&other), 0);
}

static void random_numbers_are_the_same_in_both_forms(void **state)
{
    (void)state;
    const example e = {.B = 1, .levels = 2, .H = 8, .W = 8, .out = 4, .k = 3, .pad = 1, .noise = true,
                       .level = {{2, 2, 16}, {3, 2, 16}}};
    assert_int_equal(compare(&e), 2);
}

/* A layer, times a scale of `factors` numbers, plus what it is computed from. */
static void open_scaled(made *m, int factors, bool bias, bool seen, bool rewrite)
{
    enum { ROWS = 150, C = 6 };
    sak_error err = {0};
    sak_graph_open(&m->g, true, 1);
    sak_params_open(&m->p, 7);
    m->g.rewrite = rewrite;
    const int x = param(&m->g, &m->p, "x", SAK_SHAPE(ROWS, C));
    int in[3] = {x, param(&m->g, &m->p, "w", SAK_SHAPE(C, C)), -1};
    if (bias)
        in[2] = param(&m->g, &m->p, "b", SAK_SHAPE(C));
    const int layer = apply(&m->g, "linear", bias ? 3 : 2, in, NULL, NULL, NULL);
    if (seen)
        assert_int_equal(sak_graph_output(&m->g, "layer", layer, &err), SAK_OK);
    const int scale = param(&m->g, &m->p, "scale", SAK_SHAPE(factors));
    const int scaled = apply(&m->g, "mul", 2, factors > 1 ? (int[]){layer, scale} : (int[]){scale, layer},
                             NULL, NULL, NULL);
    const int y = apply(&m->g, "add", 2, (int[]){x, scaled}, NULL, NULL, NULL);
    const int square = apply(&m->g, "square", 1, &y, NULL, NULL, NULL);
    m->loss = apply(&m->g, "sum_all", 1, &square, NULL, NULL, NULL);
    if (sak_graph_plan(&m->g, m->loss, &err) != SAK_OK || sak_graph_allocate(&m->g, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    sak_graph_forward(&m->g, 0);
    sak_graph_backward(&m->g, 0);
}

static void a_scale_goes_into_its_layer_unless_the_layer_is_seen(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        made plain, fast;
        open_scaled(&plain, i & 1 ? 6 : 1, i & 2, i & 4, false);
        open_scaled(&fast, i & 1 ? 6 : 1, i & 2, i & 4, true);
        assert_int_equal(calls_of(&plain.g, "scaled_linear"), 0);
        assert_int_equal(calls_of(&fast.g, "scaled_linear"), !(i & 4));
        assert_int_equal(calls_of(&fast.g, "mul"), (i & 4) != 0);
        near_to("loss", sak_graph_value(&fast.g, fast.loss), sak_graph_value(&plain.g, plain.loss), 1);
        for (int k = 0; k < plain.p.n; k++)
            near_to(plain.p.list[k].name, fast.p.list[k].grad, plain.p.list[k].grad, plain.p.list[k].count);
        if (!(i & 4)) /* the unscaled result is not kept */
            assert_true(fast.g.activation_count < plain.g.activation_count);
        close_example(&plain);
        close_example(&fast);
    }
}

static void the_environment_turns_rewriting_off(void **state)
{
    (void)state;
    sak_graph g;
    assert_int_equal(setenv("SAK_REWRITE", "off", 1), 0);
    sak_graph_open(&g, true, 1);
    assert_false(g.rewrite);
    unsetenv("SAK_REWRITE");
    sak_graph_open(&g, true, 1);
    assert_true(g.rewrite);
    sak_graph_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_convolution_of_a_resized_map_runs_on_the_small_grid),
        cmocka_unit_test(levels_of_one_grid_are_joined_before_and_others_summed),
        cmocka_unit_test(many_shapes_agree_with_the_plain_form),
        cmocka_unit_test(what_is_read_elsewhere_or_saves_nothing_is_left_alone),
        cmocka_unit_test(random_numbers_are_the_same_in_both_forms),
        cmocka_unit_test(a_scale_goes_into_its_layer_unless_the_layer_is_seen),
        cmocka_unit_test(the_environment_turns_rewriting_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
