/* Lifetimes (life.h): a buffer lives from its first writer to its last reader.  Time is the place in
 * the list of calls. */
#include "graph/life.h"

#include <stdlib.h>

#include "graph/mark.h"

enum { ALIGN_COUNT = SAK_ALIGN / 4, NEVER = -1 };

/* By node: when it is computed, and until when that is read. */
typedef struct times {
    int forward, again, backward; /* its calls */
    int value_to, again_to;       /* roots: last reader of the value, and of the recomputed one */
    int grad_from, grad_to;       /* gradient roots: first writer, last reader */
} times;

static times *find_calls(const sak_graph *g)
{
    times *of = malloc((size_t)(g->n + 1) * sizeof *of);
    for (int i = 0; of && i < g->n; i++)
        of[i] = (times){NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER};
    for (int c = 0; of && c < g->n_calls; c++) {
        times *t = &of[g->call[c].node];
        *(g->call[c].backward ? &t->backward : g->call[c].again ? &t->again : &t->forward) = c;
    }
    return of;
}

static void until(int *to, int time)
{
    if (*to < time)
        *to = time;
}

/* A call reads the value of node `from` at this time.  Backward, and what is repeated for it, sees the
 * recomputed one. */
static void reads(const sak_graph *g, times *of, int from, int time)
{
    times *root = &of[g->node[from]->root];
    const bool again = g->call[time].backward || g->call[time].again;
    until(again && root->again >= 0 ? &root->again_to : &root->value_to, time);
}

static void follow_values(const sak_graph *g, times *of)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (!node->live)
            continue;
        if (node->output || i == g->loss || node->kind == SAK_NODE_INPUT)
            of[node->root].value_to = g->n_calls;
        if (node->kind != SAK_NODE_OP || node->s.op->view)
            continue;
        const times *t = &of[i];
        until(&of[i].value_to, t->forward);
        until(&of[i].again_to, t->again);
        if (t->backward >= 0 && (node->s.op->keep & SAK_KEEP_Y))
            reads(g, of, i, t->backward);
        for (int k = 0; k < node->s.n_in; k++) {
            reads(g, of, node->in[k], t->forward);
            if (t->again >= 0)
                reads(g, of, node->in[k], t->again);
            if (t->backward >= 0 && (node->s.op->keep >> k & 1))
                reads(g, of, node->in[k], t->backward);
        }
    }
}

/* Parameters' gradients stay for the optimiser. */
static void follow_gradients(const sak_graph *g, times *of)
{
    for (int c = 0; c < g->n_calls; c++) {
        const sak_node *node = g->node[g->call[c].node];
        if (!g->call[c].backward)
            continue;
        times *own = &of[node->grad_root];
        if (own->grad_from < 0)
            own->grad_from = c; /* nobody writes the loss's: it is 1 */
        until(&own->grad_to, c);
        for (int k = 0; k < node->s.n_in; k++) {
            times *in = &of[g->node[node->in[k]]->grad_root];
            if (!sak_graph_wants(g, node, k))
                continue;
            if (in->grad_from < 0)
                in->grad_from = c;
            until(&in->grad_to, c);
        }
    }
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == SAK_NODE_PARAM && of[i].grad_from >= 0)
            of[i].grad_to = g->n_calls;
}

static int push(sak_graph *g, sak_buffer_kind kind, int node, int64_t count, int from, int to)
{
    const int64_t size = (count + ALIGN_COUNT - 1) / ALIGN_COUNT * ALIGN_COUNT;
    g->buffer[g->n_buffers] =
        (sak_buffer){.kind = kind, .node = node, .from = from, .to = to, .count = size, .at = NEVER};
    return g->n_buffers++;
}

static void push_node(sak_graph *g, const times *of, int i)
{
    sak_node *node = g->node[i];
    const times *t = &of[i];
    const int64_t count = sak_shape_count(&node->s.y);
    if (node->kind == SAK_NODE_INPUT)
        node->value = push(g, SAK_BUFFER_INPUT, i, count, 0, g->n_calls);
    else if (node->kind == SAK_NODE_OP && node->root == i)
        node->value = push(g, SAK_BUFFER_VALUE, i, count, t->forward, t->value_to);
    if (t->again >= 0)
        node->again = push(g, SAK_BUFFER_AGAIN, i, count, t->again, t->again_to);
    if (node->kind == SAK_NODE_OP && node->s.op->save)
        node->save = push(g, SAK_BUFFER_SAVE, i, node->s.op->save(&node->s), t->forward,
                          t->backward < 0 ? t->forward : t->backward);
    if (t->grad_from >= 0 && node->grad_root == i)
        node->grad = push(g, SAK_BUFFER_GRAD, i, count, t->grad_from, t->grad_to);
}

static void push_scratch(sak_graph *g)
{
    for (int c = 0; c < g->n_calls; c++) {
        sak_call *call = &g->call[c];
        const sak_opshape *s = &g->node[call->node]->s;
        const sak_scratch need = s->op->scratch ? s->op->scratch(s) : (sak_scratch){0};
        call->scratch = NEVER;
        if (need.shared > 0)
            call->scratch = push(g, SAK_BUFFER_SCRATCH, call->node, need.shared, c, c);
        if (need.each > g->each_count)
            g->each_count = (need.each + ALIGN_COUNT - 1) / ALIGN_COUNT * ALIGN_COUNT;
    }
}

sak_status sak_graph_list_buffers(sak_graph *g, sak_error *err)
{
    times *of = find_calls(g);
    g->buffer = calloc((size_t)g->n * 4 + (size_t)g->n_calls + 1, sizeof *g->buffer);
    if (!of || !g->buffer) {
        free(of);
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    }
    follow_values(g, of);
    follow_gradients(g, of);
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->live)
            push_node(g, of, i);
    push_scratch(g);
    free(of);
    return SAK_OK;
}
