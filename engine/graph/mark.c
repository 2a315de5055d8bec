/* Marks what a planned graph executes: the order, which nodes live, which need gradients. */
#include "graph/mark.h"

#include <stdlib.h>

bool sak_graph_wants(const sak_graph *g, const sak_node *node, int k)
{
    return g->node[node->in[k]]->needs_grad && !(node->s.op->no_grad >> k & 1);
}

static void mark_live(sak_graph *g)
{
    for (int t = g->n - 1; t >= 0; t--) {
        const int i = g->order[t];
        sak_node *node = g->node[i];
        node->live = node->live || node->output || i == g->loss;
        if (!node->live || node->kind != SAK_NODE_OP)
            continue;
        for (int k = 0; k < node->s.n_in; k++)
            g->node[node->in[k]]->live = true;
    }
}

/* A node needs a gradient when a trainable parameter lies below it and the loss above it. */
static void mark_gradients(sak_graph *g)
{
    if (g->loss < 0)
        return;
    for (int t = 0; t < g->n; t++) {
        sak_node *node = g->node[g->order[t]];
        if (node->kind == SAK_NODE_PARAM) {
            node->needs_grad = node->params->list[node->param].trainable;
        } else if (node->kind == SAK_NODE_OP && (node->s.op->backward || node->s.op->view)) {
            for (int k = 0; k < node->s.n_in; k++)
                node->needs_grad = node->needs_grad || sak_graph_wants(g, node, k);
        }
    }
    bool *above = calloc((size_t)g->n, sizeof *above);
    if (!above)
        return; /* every gradient is kept: more work, same result */
    above[g->loss] = true;
    const int at = g->node[g->loss]->time;
    for (int t = at; t >= 0; t--) {
        const int i = g->order[t];
        sak_node *node = g->node[i];
        node->needs_grad = node->needs_grad && above[i];
        if (!node->needs_grad || node->kind != SAK_NODE_OP)
            continue;
        for (int k = 0; k < node->s.n_in; k++)
            if (sak_graph_wants(g, node, k))
                above[node->in[k]] = true;
    }
    for (int t = at + 1; t < g->n; t++)
        g->node[g->order[t]]->needs_grad = false;
    free(above);
}

/* Inputs first, else as built; only rewriting leaves a node with a later one as input. */
static void put_in_order(sak_graph *g, int i, int *count)
{
    sak_node *node = g->node[i];
    if (node->time >= 0)
        return;
    for (int k = 0; k < node->s.n_in; k++)
        put_in_order(g, node->in[k], count);
    node->time = *count;
    g->order[(*count)++] = i;
}

sak_status sak_graph_mark(sak_graph *g, sak_error *err)
{
    int *order = realloc(g->order, (size_t)(g->n + 1) * sizeof *order), count = 0;
    if (!order)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    g->order = order;
    for (int i = 0; i < g->n; i++) {
        g->node[i]->time = -1;
        g->node[i]->live = g->node[i]->needs_grad = false;
    }
    for (int i = 0; i < g->n; i++)
        put_in_order(g, i, &count);
    mark_live(g);
    mark_gradients(g);
    return SAK_OK;
}
