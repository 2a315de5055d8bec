/* Reuse of buffers by gradients (reuse.h). */
#include "graph/reuse.h"

#include <stdlib.h>

enum { NONE = -1 };

/* The buffer that a backward call reads x[k] from; NONE: memory of a parameter or an input. */
static int value_read(const sak_graph *g, const sak_node *node, int k)
{
    const sak_node *root = g->node[g->node[node->in[k]]->root];
    return root->kind != SAK_NODE_OP ? NONE : root->again >= 0 ? root->again : root->value;
}

static bool read_once(const sak_graph *g, const sak_node *node, int k)
{
    for (int j = 0; j < node->s.n_in; j++)
        if (j != k && g->node[node->in[j]]->root == g->node[node->in[k]]->root)
            return false;
    return true;
}

/* Buffer `later`, which call c is the first to write, moves into `earlier`, which c is the last to read. */
static bool merge(sak_graph *g, int *into, int c, int later, int earlier)
{
    if (later < 0 || earlier < 0)
        return false;
    while (into[earlier] != earlier)
        earlier = into[earlier];
    sak_buffer *to = &g->buffer[earlier], *from = &g->buffer[later];
    if (into[later] != later || later == earlier || to->to != c || from->from != c ||
        to->count != from->count)
        return false;
    to->to = from->to;
    into[later] = earlier;
    return true;
}

static void merge_call(sak_graph *g, int *into, int c)
{
    const sak_call *call = &g->call[c];
    const sak_node *node = g->node[call->node];
    const sak_op *op = node->s.op;
    if (!call->backward || call->copy_to >= 0)
        return;
    for (int k = 0; k < node->s.n_in; k++) {
        const sak_node *in = g->node[node->in[k]];
        if (!in->needs_grad || (op->no_grad >> k & 1))
            continue;
        const int grad = g->node[in->grad_root]->grad;
        const bool same = sak_shape_equal(&node->s.x[k], &node->s.y);
        if (op->over_dy >> k & 1 && same &&
            merge(g, into, c, grad, g->node[node->grad_root]->grad))
            return;
        if (op->over_x >> k & 1 && read_once(g, node, k) &&
            merge(g, into, c, grad, value_read(g, node, k)))
            return;
    }
}

/* Where a buffer is after the merged ones have left the list. */
static int found(const int *into, const int *number, int buffer)
{
    if (buffer < 0)
        return buffer;
    while (into[buffer] != buffer)
        buffer = into[buffer];
    return number[buffer];
}

sak_status sak_graph_reuse_buffers(sak_graph *g, sak_error *err)
{
    int *into = calloc((size_t)g->n_buffers * 2 + 1, sizeof *into), *number = into + g->n_buffers;
    if (!into)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int i = 0; i < g->n_buffers; i++)
        into[i] = i;
    for (int c = 0; c < g->n_calls; c++)
        merge_call(g, into, c);
    int left = 0;
    for (int i = 0; i < g->n_buffers; i++)
        if (into[i] == i) {
            g->buffer[left] = g->buffer[i];
            number[i] = left++;
        }
    for (int i = 0; i < g->n; i++) {
        sak_node *node = g->node[i];
        node->value = found(into, number, node->value);
        node->again = found(into, number, node->again);
        node->save = found(into, number, node->save);
        node->grad = found(into, number, node->grad);
    }
    for (int c = 0; c < g->n_calls; c++)
        g->call[c].scratch = found(into, number, g->call[c].scratch);
    g->n_buffers = left;
    free(into);
    return SAK_OK;
}
