/* Building the graph: nodes in creation order, shapes inferred as they come. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "graph/guard.h"
#include "graph/slab.h"

void sak_graph_open(sak_graph *g, bool training, uint64_t seed)
{
    const char *asked = getenv("SAK_REWRITE");
    *g = (sak_graph){.training = training, .seed = seed, .loss = -1};
    g->rewrite = !asked || strcmp(asked, "off") != 0;
    asked = getenv("SAK_BUFFERS");
    g->apart = asked && strcmp(asked, "apart") == 0;
}

void sak_graph_close(sak_graph *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == SAK_NODE_PARAM && g->node[i]->grad >= 0)
            sak_params_forget_grad(g->node[i]->params, g->node[i]->param,
                                   g->buffer[g->node[i]->grad].p);
    sak_guard_close(g);
    sak_free(g->input);
    sak_slab_close(g);
    sak_free(g->each);
    free(g->buffer);
    free(g->op_seconds);
    free(g->call);
    free(g->order);
    free(g->node);
    sak_arena_close(&g->arena);
    *g = (sak_graph){0};
}

static sak_status add(sak_graph *g, sak_node_kind kind, int *out, sak_error *err)
{
    if (g->closed)
        return SAK_FAIL(err, SAK_EINVAL, "the graph is complete: nothing can be added to it");
    if (g->n == g->cap) {
        const int cap = g->cap ? 2 * g->cap : 1024;
        sak_node **list = realloc(g->node, (size_t)cap * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory for graph nodes");
        g->node = list;
        g->cap = cap;
    }
    sak_node *node = sak_arena_take(&g->arena, sizeof *node);
    if (!node)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for graph nodes");
    node->kind = kind;
    node->root = node->grad_root = g->n;
    node->value = node->again = node->save = node->grad = -1;
    node->block = g->block;
    node->s.attr = &node->attr;
    node->s.training = g->training;
    g->node[g->n] = node;
    *out = g->n++;
    return SAK_OK;
}

sak_status sak_graph_input(sak_graph *g, const char *name, const sak_shape *shape, int *out,
                           sak_error *err)
{
    if (sak_graph_find(g, name) >= 0)
        return SAK_FAIL(err, SAK_EINVAL, "the graph already has an input or output '%s'", name);
    SAK_TRY(add(g, SAK_NODE_INPUT, out, err));
    g->node[*out]->s.y = *shape;
    g->node[*out]->name = sak_arena_text(&g->arena, name);
    return SAK_OK;
}

sak_status sak_graph_param(sak_graph *g, sak_params *p, int index, int *out, sak_error *err)
{
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == SAK_NODE_PARAM && g->node[i]->params == p &&
            g->node[i]->param == index) {
            *out = i;
            return SAK_OK;
        }
    SAK_TRY(add(g, SAK_NODE_PARAM, out, err));
    sak_node *node = g->node[*out];
    node->params = p;
    node->param = index;
    node->name = p->list[index].name;
    node->s.y = p->list[index].shape;
    return SAK_OK;
}

/* x * x: backward may write both gradients in one loop, so each needs a buffer of its own. */
static sak_status separate(sak_graph *g, int n, const int *in, int *own, sak_error *err)
{
    for (int i = 0; i < n; i++) {
        own[i] = in[i];
        for (int j = 0; j < i; j++) {
            if (in[j] != in[i])
                continue;
            const sak_op *copy = sak_op_find("affine");
            sak_attrs attr;
            sak_op_defaults(copy, &attr);
            SAK_TRY(sak_graph_op(g, copy, &attr, 1, &in[i], &own[i], err));
            break;
        }
    }
    return SAK_OK;
}

/* Checks an operation's inputs and infers its shape; own gets the nodes it will read. */
static sak_status infer(sak_graph *g, const sak_op *op, const sak_attrs *attr, int n, const int *in,
                        sak_opshape *s, int *own, sak_error *err)
{
    const int max = op->max_in ? op->max_in : op->n_in;
    if (n < op->n_in || n > max)
        return SAK_FAIL(err, SAK_EINVAL, "%s takes %s (%d to %d tensors), got %d", op->name,
                        op->inputs, op->n_in, max, n);
    *s = (sak_opshape){.op = op, .attr = attr, .n_in = n, .training = g->training};
    SAK_TRY(separate(g, n, in, own, err));
    for (int i = 0; i < n; i++)
        s->x[i] = g->node[own[i]]->s.y;
    sak_error why = {0};
    if (op->shape(s, &why) != SAK_OK)
        return SAK_FAIL(err, why.code, "%s%s%s",
                        strncmp(why.msg, op->name, strlen(op->name)) ? op->name : "",
                        strncmp(why.msg, op->name, strlen(op->name)) ? ": " : "", why.msg);
    return SAK_OK;
}

static void become(sak_node *node, const sak_opshape *s, const sak_attrs *attr, const int *in)
{
    node->attr = *attr;
    node->s = *s;
    node->s.attr = &node->attr;
    memcpy(node->in, in, (size_t)s->n_in * sizeof *in);
}

sak_status sak_graph_op(sak_graph *g, const sak_op *op, const sak_attrs *attr, int n, const int *in,
                        int *out, sak_error *err)
{
    sak_opshape s;
    int own[SAK_MAX_IN];
    SAK_TRY(infer(g, op, attr, n, in, &s, own, err));
    SAK_TRY(add(g, SAK_NODE_OP, out, err));
    become(g->node[*out], &s, attr, own);
    if (op->view)
        g->node[*out]->root = g->node[own[0]]->root;
    return SAK_OK;
}

sak_status sak_graph_replace(sak_graph *g, int node, const sak_op *op, const sak_attrs *attr, int n,
                             const int *in, sak_error *err)
{
    sak_opshape s;
    int own[SAK_MAX_IN];
    SAK_TRY(infer(g, op, attr, n, in, &s, own, err));
    assert(!op->view && !g->node[node]->s.op->view &&
           sak_shape_equal(&s.y, &g->node[node]->s.y));
    become(g->node[node], &s, attr, own);
    return SAK_OK;
}

sak_status sak_graph_output(sak_graph *g, const char *name, int node, sak_error *err)
{
    if (g->closed)
        return SAK_FAIL(err, SAK_EINVAL, "the graph is complete: '%s' cannot become an output", name);
    if (sak_graph_find(g, name) >= 0)
        return SAK_FAIL(err, SAK_EINVAL, "the graph already has an input or output '%s'", name);
    if (g->node[node]->kind != SAK_NODE_OP || g->node[node]->output) {
        /* a second name, or the name of an input: a view gives it one of its own */
        const sak_op *reshape = sak_op_find("reshape");
        sak_attrs attr;
        sak_op_defaults(reshape, &attr);
        attr.dims = g->node[node]->s.y;
        SAK_TRY(sak_graph_op(g, reshape, &attr, 1, &node, &node, err));
    }
    g->node[node]->name = sak_arena_text(&g->arena, name);
    g->node[node]->output = true;
    return SAK_OK;
}

int sak_graph_find(const sak_graph *g, const char *name)
{
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->name && g->node[i]->kind != SAK_NODE_PARAM &&
            strcmp(g->node[i]->name, name) == 0)
            return i;
    return -1;
}

sak_real *sak_graph_value(const sak_graph *g, int i)
{
    const sak_node *node = g->node[g->node[i]->root];
    if (node->kind == SAK_NODE_PARAM)
        return (sak_real *)(uintptr_t)sak_params_value(node->params, node->param); /* ops only read it */
    return node->value < 0 ? NULL : g->buffer[node->value].p;
}

double sak_graph_flops(const sak_graph *g, bool with_backward)
{
    double total = 0;
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (node->kind != SAK_NODE_OP || !node->live || !node->s.op->flops)
            continue;
        const double f = node->s.op->flops(&node->s);
        /* one product for the input's gradient, one for the weight's (vectors cost nothing) */
        int products = node->s.n_in == 1 ? 2 : 0;
        for (int k = 0; k < node->s.n_in && node->s.n_in > 1; k++)
            products += g->node[node->in[k]]->needs_grad && node->s.x[k].n > 1;
        total += f + (with_backward && node->needs_grad ? f * products : 0) +
                 (with_backward && node->recomputed ? f : 0);
    }
    return total;
}

size_t sak_graph_bytes(const sak_graph *g, int threads)
{
    return (size_t)(g->input_count + g->activation_count + g->each_count * threads) * sizeof(sak_real);
}
