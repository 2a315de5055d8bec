/* What a graph computes, as a hash: two planned graphs of one hash do the same with the same values. */
#include <string.h>

#include "base/hash.h"
#include "graph/graph.h"

static void add_text(sak_hash *h, const char *s)
{
    sak_hash_add(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static void add_int(sak_hash *h, int64_t x)
{
    sak_hash_add(h, &x, sizeof x);
}

static void add_shape(sak_hash *h, const sak_shape *s)
{
    add_int(h, s->n);
    sak_hash_add(h, s->d, sizeof s->d[0] * (size_t)s->n);
}

static void add_attributes(sak_hash *h, const sak_op *op, const sak_attrs *attr)
{
    for (int i = 0; op->attrs && op->attrs[i].type != SAK_ATTR_END; i++) {
        add_text(h, op->attrs[i].name);
        if (op->attrs[i].type == SAK_ATTR_DIMS)
            add_shape(h, &attr->dims);
        else
            sak_hash_add(h, &attr->v[i], sizeof attr->v[i]);
    }
}

static void add_node(sak_hash *h, const sak_node *node)
{
    add_int(h, node->kind);
    add_text(h, node->name);
    add_shape(h, &node->s.y);
    add_int(h, node->live << 3 | node->needs_grad << 2 | node->output << 1 | node->recomputed);
    if (node->kind != SAK_NODE_OP)
        return;
    add_text(h, node->s.op->name);
    add_attributes(h, node->s.op, &node->attr);
    add_int(h, node->s.n_in);
    for (int k = 0; k < node->s.n_in; k++)
        add_int(h, node->in[k]);
}

void sak_graph_hash(const sak_graph *g, char out[SAK_HASH_TEXT])
{
    sak_hash h;
    sak_hash_open(&h);
    add_int(&h, g->training << 3 | g->bf16 << 2 | g->rewrite << 1 | g->checkpoint);
    add_int(&h, (int64_t)g->seed);
    add_int(&h, g->loss);
    add_int(&h, g->n);
    for (int i = 0; i < g->n; i++) /* their numbers key the noise of random operations */
        add_node(&h, g->node[i]);
    sak_hash_text(&h, out);
}
