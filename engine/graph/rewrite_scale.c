/* A linear layer and the scale on its result become one operation (rewrite_scale.h). */
#include "graph/rewrite_scale.h"

#include <string.h>

static bool is_linear(const sak_node *node)
{
    return node->kind == SAK_NODE_OP && strcmp(node->s.op->name, "linear") == 0;
}

/* (1), or (out) of the layer. */
static bool is_scale(const sak_shape *s, const sak_node *layer)
{
    return s->n == 1 && (s->d[0] == 1 || s->d[0] == layer->s.x[1].d[0]);
}

/* Scaling the weight, forward and backward, must cost less than scaling the result. */
static bool pays(const sak_node *layer)
{
    return 2 * layer->s.x[1].d[1] < 3 * sak_shape_rows(&layer->s.y);
}

/* Which input of the product is a layer's result that can go; -1: none. */
static int layer_of(const sak_graph *g, const sak_node *mul, const int *uses)
{
    for (int k = 0; k < 2; k++) {
        const int i = mul->in[k];
        const sak_node *layer = g->node[i];
        if (is_linear(layer) && uses[i] == 1 && !layer->output && i != g->loss &&
            layer->block == mul->block && sak_shape_equal(&layer->s.y, &mul->s.y) &&
            is_scale(&mul->s.x[1 - k], layer) && pays(layer))
            return k;
    }
    return -1;
}

sak_status sak_graph_rewrite_scales(sak_graph *g, const int *uses, int *count, sak_error *err)
{
    const sak_op *op = sak_op_find("scaled_linear");
    sak_attrs attr;
    sak_op_defaults(op, &attr);
    for (int i = 0, n = g->n; i < n; i++) {
        const sak_node *mul = g->node[i];
        if (!mul->live || mul->kind != SAK_NODE_OP || strcmp(mul->s.op->name, "mul") != 0)
            continue;
        const int k = layer_of(g, mul, uses);
        if (k < 0)
            continue;
        const sak_node *layer = g->node[mul->in[k]];
        const int in[4] = {layer->in[0], layer->in[1], mul->in[1 - k], layer->in[2]};
        SAK_TRY(sak_graph_replace(g, i, op, &attr, layer->s.n_in + 1, in, err));
        ++*count;
    }
    return SAK_OK;
}
