/* Graphs drawn at random: sums of anything, functions of it, views, any of them read any number of times. */
#ifndef SAK_TESTS_DRAWN_GRAPH_H
#define SAK_TESTS_DRAWN_GRAPH_H

#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "graph/graph.h"

enum { ROWS = 3, C = 4, OPS = 14 };

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
    *d = (drawn){.loss = -1};
    sak_graph_open(&d->g, true, 1);
    sak_params_open(&d->p, 7);
}

static void close_drawn(drawn *d)
{
    sak_graph_close(&d->g);
    sak_params_close(&d->p);
}

static void plan_drawn(drawn *d)
{
    sak_error err = {0};
    if (sak_graph_plan(&d->g, d->loss, &err) != SAK_OK || sak_graph_allocate(&d->g, &err) != SAK_OK)
        fail_msg("%s", err.msg);
}

/* The loss is a sum of terms, each of what came last before it. */
static void add_term(drawn *d)
{
    const int last[2] = {d->node[d->n - 1], d->node[d->n - 2]};
    const int both = apply(d, "add", 2, last), soft = apply(d, "tanh", 1, &both);
    const int term = apply(d, "sum_all", 1, &soft);
    d->loss = d->loss < 0 ? term : apply(d, "add", 2, (int[]){d->loss, term});
}

/* With `checkpoint`, blocks of four nodes are computed again. */
static void draw(drawn *d, uint64_t seed, bool checkpoint, bool plain_order)
{
    static const char *const names[] = {"add", "add", "add",  "add",   "sub",        "reshape",
                                        "gelu", "tanh", "square", "linear", "layer_norm", "mul"};
    sak_rng rng = sak_rng_open(3, SAK_RNG_TEST, seed, 0);
    open_drawn(d);
    d->g.checkpoint = checkpoint;
    d->g.plain_order = plain_order;
    const sak_init some = {SAK_INIT_NORMAL, 0.5}, one = {SAK_INIT_CONSTANT, 1};
    const int w = param(d, "w", SAK_SHAPE(C, C), some), scale = param(d, "scale", SAK_SHAPE(C), one);
    const int shift = param(d, "shift", SAK_SHAPE(C), some);
    d->node[d->n++] = param(d, "x", SAK_SHAPE(ROWS, C), some);
    d->node[d->n++] = param(d, "y", SAK_SHAPE(ROWS, C), some);
    for (int i = 0; i < OPS; i++) {
        const char *name = names[(int)sak_rng_range(&rng, 0, 12)];
        if (checkpoint)
            d->g.block = d->g.n_blocks = 1 + i / 4;
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
        d->g.block = 0;
        if (i % 5 == 3)
            add_term(d);
    }
    plan_drawn(d);
}

#endif
