/* Which nodes of a block are computed again for backward. */
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
