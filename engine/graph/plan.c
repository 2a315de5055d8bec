/* Planning: in what order calls run, and what memory each finds.
 *
 * Forward calls come first, then backward ones, among them, where blocks are recomputed, repeated
 * forward ones before the first backward call of their block. */
#include <stdlib.h>

#include "graph/checkpoint.h"
#include "graph/life.h"
#include "graph/mark.h"
#include "graph/place.h"
#include "graph/rewrite.h"
#include "graph/share.h"

static bool runs_backward(const sak_node *node)
{
    return node->kind == SAK_NODE_OP && node->live && node->needs_grad;
}

/* A view shares its input's gradient when it is the only one that contributes to it. */
static sak_status share_with_views(sak_graph *g, sak_error *err)
{
    int *contributions = calloc((size_t)g->n + 1, sizeof *contributions);
    if (!contributions)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        for (int k = 0; runs_backward(node) && k < node->s.n_in; k++)
            contributions[node->in[k]] += sak_graph_wants(g, node, k);
    }
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        sak_node *node = g->node[i];
        if (runs_backward(node) && node->s.op->view && i != g->loss &&
            contributions[node->in[0]] == 1)
            node->grad_root = g->node[node->in[0]]->grad_root;
    }
    free(contributions);
    return SAK_OK;
}

static void add_call(sak_graph *g, sak_call call)
{
    g->call[g->n_calls++] = call;
}

static void add_again(sak_graph *g, int i)
{
    add_call(g, (sak_call){.node = i, .again = true, .copy_to = -1});
}

/* All of a block, before its first backward call. */
static void repeat_block(sak_graph *g, const sak_node *node, bool *done)
{
    if (node->block == 0 || done[node->block])
        return;
    done[node->block] = true;
    for (int t = 0; t < g->n; t++)
        if (g->node[g->order[t]]->recomputed && g->node[g->order[t]]->block == node->block)
            add_again(g, g->order[t]);
}

/* What is recomputed by itself, just before the first backward call that reads it. */
static void repeat_inputs(sak_graph *g, const sak_node *reader, bool *done)
{
    for (int k = 0; k < reader->s.n_in; k++) {
        const int root = g->node[reader->in[k]]->root;
        if (!(reader->s.op->keep >> k & 1) || !g->node[root]->recomputed || done[root])
            continue;
        done[root] = true;
        add_again(g, root);
    }
}

/* `done` is by block, or by node. */
static void list_backward(sak_graph *g, bool *done)
{
    g->first_backward = g->n_calls;
    for (int t = g->n - 1; t >= 0; t--) {
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        if (!runs_backward(node) || (node->s.op->view && node->grad_root != i))
            continue;
        if (g->checkpoint)
            repeat_block(g, node, done);
        else
            repeat_inputs(g, node, done);
        add_call(g, (sak_call){.node = i, .backward = true,
                               .copy_to = node->s.op->view ? node->in[0] : -1});
    }
}

static sak_status list_calls(sak_graph *g, sak_error *err)
{
    g->call = calloc((size_t)g->n * 3 + 1, sizeof *g->call);
    bool *done = calloc((size_t)(g->n > g->n_blocks ? g->n : g->n_blocks) + 1, sizeof *done);
    if (!g->call || !done) {
        free(done);
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    }
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        if (node->kind == SAK_NODE_OP && node->live && !node->s.op->view)
            add_call(g, (sak_call){.node = i, .copy_to = -1});
    }
    list_backward(g, done);
    free(done);
    return SAK_OK;
}

static void note_gradients(sak_graph *g)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (node->kind == SAK_NODE_PARAM && node->live && node->needs_grad)
            node->params->list[node->param].has_grad = true;
    }
}

sak_status sak_graph_plan(sak_graph *g, int loss, sak_error *err)
{
    if (g->closed)
        return SAK_FAIL(err, SAK_EINVAL, "the graph is planned already");
    if (loss >= 0 && sak_shape_count(&g->node[loss]->s.y) != 1)
        return SAK_FAIL(err, SAK_ESHAPE, "a loss must be one number, this one is %s",
                        SAK_SHAPE_TEXT(&g->node[loss]->s.y));
    g->loss = loss;
    SAK_TRY(sak_graph_mark(g, err));
    g->plain_flops[0] = sak_graph_flops(g, false);
    g->plain_flops[1] = sak_graph_flops(g, true);
    int rewritten = 0;
    if (g->rewrite)
        SAK_TRY(sak_graph_rewrite(g, &rewritten, err));
    if (rewritten > 0)
        SAK_TRY(sak_graph_mark(g, err));
    SAK_TRY(g->checkpoint ? sak_graph_mark_recomputed(g, err) : sak_graph_mark_cheap(g, err));
    g->closed = true;
    if (loss >= 0 && !g->node[loss]->needs_grad)
        return SAK_FAIL(err, SAK_EINVAL, "no trainable parameter reaches the loss");
    SAK_TRY(share_with_views(g, err));
    SAK_TRY(list_calls(g, err));
    SAK_TRY(sak_graph_share_gradients(g, err));
    note_gradients(g);
    SAK_TRY(sak_graph_list_buffers(g, err));
    return sak_graph_place(g, err);
}
