/* Sharing of gradients that pass an operation unchanged (share.h): a residual stream's gradient is one
 * buffer that every block adds to, instead of one copy a block. */
#include "graph/share.h"

#include <stdlib.h>
#include <string.h>

#include "graph/mark.h"

enum { NEVER = -1 };

static bool runs_backward(const sak_node *node)
{
    return node->kind == SAK_NODE_OP && node->live && node->needs_grad;
}

sak_status sak_graph_share_with_views(sak_graph *g, sak_error *err)
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

/* By owner of a gradient; times are places in the list of calls. */
typedef struct owner {
    int read;        /* by its own backward call, the last one that uses it */
    int first, next; /* writes: the earliest, and the earliest but one */
    int last;        /* the latest */
    int joined;      /* owner whose memory it uses */
} owner;

static void write_at(owner *o, int time)
{
    if (o->first == NEVER)
        o->first = time;
    else if (o->next == NEVER)
        o->next = time;
    o->last = time;
}

static owner *find_owners(const sak_graph *g)
{
    owner *of = malloc((size_t)(g->n + 1) * sizeof *of);
    if (!of)
        return NULL;
    for (int i = 0; i < g->n; i++)
        of[i] = (owner){NEVER, NEVER, NEVER, NEVER, i};
    for (int t = 0; t < g->n_calls; t++) {
        const sak_node *node = g->node[g->call[t].node];
        if (!g->call[t].backward)
            continue;
        of[node->grad_root].read = t;
        for (int k = 0; k < node->s.n_in; k++)
            if (sak_graph_wants(g, node, k))
                write_at(&of[g->node[node->in[k]]->grad_root], t);
    }
    return of;
}

/* May `in`, first written at time t by the reader whose gradient lies in group `to`, join that group?
 * Whatever the others of the group still read must be read before `in` changes, and the other way
 * round. */
static bool fits(const sak_graph *g, const owner *of, int in, int to, int t)
{
    const owner *o = &of[in];
    if (o->first != t || o->joined != in)
        return false;
    for (int i = 0; i < g->n; i++) {
        if (i == in || of[i].joined != to)
            continue;
        if (o->next != NEVER && of[i].read >= o->next)
            return false;
        if (of[i].last > t && of[i].next <= o->read)
            return false;
    }
    return true;
}

sak_status sak_graph_share_gradients(sak_graph *g, sak_error *err)
{
    owner *of = find_owners(g);
    if (!of)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int t = 0; t < g->n_calls; t++) {
        const sak_node *node = g->node[g->call[t].node];
        for (int k = 0; g->call[t].backward && k < node->s.n_in; k++) {
            if (!(node->s.op->passes >> k & 1) || !sak_graph_wants(g, node, k) ||
                !sak_shape_equal(&node->s.x[k], &node->s.y))
                continue;
            const int in = g->node[node->in[k]]->grad_root, to = of[node->grad_root].joined;
            if (g->node[in]->kind == SAK_NODE_OP && fits(g, of, in, to, t))
                of[in].joined = to;
        }
    }
    for (int i = 0; i < g->n; i++)
        g->node[i]->grad_root = of[g->node[i]->grad_root].joined;
    free(of);
    return SAK_OK;
}
