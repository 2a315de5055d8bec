/* Which nodes are computed again for backward: those of a block, or single ones that cost little. */
#include "graph/checkpoint.h"

#include <stdlib.h>

/* Values that something outside their block reads. */
static bool *seen_outside(const sak_graph *g)
{
    bool *seen = calloc((size_t)g->n + 1, sizeof *seen);
    for (int i = 0; seen && i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (!node->live)
            continue;
        if (node->output || i == g->loss)
            seen[node->root] = true;
        for (int k = 0; k < node->s.n_in; k++) {
            const int root = g->node[node->in[k]]->root;
            if (node->block != g->node[root]->block)
                seen[root] = true;
        }
    }
    return seen;
}

static void need(sak_graph *g, const bool *seen, int i)
{
    sak_node *root = g->node[g->node[i]->root];
    if (root->kind == SAK_NODE_OP && root->block > 0 && !seen[g->node[i]->root])
        root->recomputed = true;
}

sak_status sak_graph_mark_recomputed(sak_graph *g, sak_error *err)
{
    bool *seen = seen_outside(g);
    if (!seen)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int t = g->n - 1; t >= 0; t--) { /* readers before what they read */
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        if (node->kind != SAK_NODE_OP || !node->live || node->s.op->view)
            continue;
        if (node->needs_grad && (node->s.op->keep & SAK_KEEP_Y))
            need(g, seen, i);
        for (int k = 0; k < node->s.n_in; k++)
            if (node->recomputed || (node->needs_grad && (node->s.op->keep >> k & 1)))
                need(g, seen, node->in[k]);
    }
    free(seen);
    return SAK_OK;
}

/* Roots whose value backward reads. */
static bool *kept(const sak_graph *g)
{
    bool *kept = calloc((size_t)g->n + 1, sizeof *kept);
    for (int i = 0; kept && i < g->n; i++) {
        const sak_node *node = g->node[i];
        const bool reads = node->kind == SAK_NODE_OP && node->live && node->needs_grad &&
                           !node->s.op->view;
        for (int k = 0; reads && k < node->s.n_in; k++)
            if (node->s.op->keep >> k & 1)
                kept[g->node[node->in[k]]->root] = true;
    }
    return kept;
}

/* Its own backward call, which comes after its readers', keeps all it is computed from. */
static bool can_come_again(const sak_graph *g, int i)
{
    const sak_node *node = g->node[i];
    if (node->kind != SAK_NODE_OP || !node->live || !node->needs_grad || !node->s.op->cheap)
        return false;
    for (int k = 0; k < node->s.n_in; k++) {
        const sak_node *in = g->node[g->node[node->in[k]]->root];
        if (in->recomputed || (in->kind == SAK_NODE_OP && !(node->s.op->keep >> k & 1)))
            return false;
    }
    return true;
}

/* An output may be a view of the node. */
static bool *read_by_people(const sak_graph *g)
{
    bool *is = calloc((size_t)g->n + 1, sizeof *is);
    for (int i = 0; is && i < g->n; i++)
        if (g->node[i]->output || i == g->loss)
            is[g->node[i]->root] = true;
    return is;
}

sak_status sak_graph_mark_cheap(sak_graph *g, sak_error *err)
{
    bool *wanted = kept(g), *out = read_by_people(g);
    for (int t = 0; wanted && out && t < g->n; t++) { /* inputs before what reads them */
        const int i = g->order[t];
        g->node[i]->recomputed = wanted[i] && !out[i] && can_come_again(g, i);
    }
    const bool enough = wanted && out;
    free(wanted);
    free(out);
    return enough ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
}
