/* List scheduling of forward and backward calls (schedule.h). */
#include "graph/schedule.h"

#include <stdlib.h>

#include "graph/mark.h"

enum { TINY_SHARE = 1024, NONE = -1 };

/* A call of the step: forward of node i is item i, its backward is item n + i. */
typedef struct item {
    bool exists, done;
    int waits; /* for so many others */
    int first; /* edge to an item that waits for this one */
    int rank;  /* place in the plain order */
} item;

typedef struct edge {
    int to, next;
} edge;

typedef struct schedule {
    sak_graph *g;
    int64_t tiny;
    item *items;
    edge *edges;
    int n_edges;
    int *heap, n_heap; /* items that may run ahead, lowest rank first */
    int *writer;       /* by gradient: the latest call, in plain order, that adds to it */
} schedule;

int64_t sak_graph_tiny(const sak_graph *g)
{
    int64_t largest = TINY_SHARE;
    for (int i = 0; i < g->n; i++) {
        const int64_t count = sak_shape_count(&g->node[i]->s.y);
        if (g->node[i]->kind == SAK_NODE_OP && g->node[i]->live && count > largest)
            largest = count;
    }
    return largest / TINY_SHARE;
}

bool sak_node_is_tiny(const sak_node *node, int64_t tiny)
{
    const int64_t save = node->kind == SAK_NODE_OP && node->s.op->save ? node->s.op->save(&node->s) : 0;
    return sak_shape_count(&node->s.y) + save <= tiny;
}

static bool has_forward(const sak_node *node)
{
    return node->kind == SAK_NODE_OP && node->live && !node->s.op->view;
}

/* A view that shares its input's gradient has nothing to do. */
static bool has_backward(const sak_graph *g, int i)
{
    const sak_node *node = g->node[i];
    return node->kind == SAK_NODE_OP && node->live && node->needs_grad &&
           !(node->s.op->view && node->grad_root != i);
}

static sak_call call_of(const sak_graph *g, int it)
{
    const int i = it % g->n;
    const bool backward = it >= g->n;
    return (sak_call){.node = i, .backward = backward,
                      .copy_to = backward && g->node[i]->s.op->view ? g->node[i]->in[0] : NONE};
}

static void after(schedule *s, int it, int before)
{
    s->edges[s->n_edges] = (edge){it, s->items[before].first};
    s->items[before].first = s->n_edges++;
    s->items[it].waits++;
}

static void list_forward(schedule *s)
{
    const sak_graph *g = s->g;
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        s->items[i].exists = has_forward(node);
        s->items[i].rank = t;
        for (int k = 0; s->items[i].exists && k < node->s.n_in; k++)
            if (s->items[g->node[node->in[k]]->root].exists)
                after(s, i, g->node[node->in[k]]->root);
    }
}

static void wait_for_root(schedule *s, int it, int i)
{
    const int root = s->g->node[i]->root;
    if (s->items[root].exists)
        after(s, it, root);
}

/* A backward call waits for its own forward one; but in a sum of losses, that is between numbers, only
 * for the values it reads. */
static void wait_for_forward(schedule *s, int i)
{
    const sak_graph *g = s->g;
    const sak_node *node = g->node[i];
    const sak_op *op = node->s.op;
    bool tiny = !op->save && !op->view && !(op->keep & SAK_KEEP_Y);
    for (int k = 0; k < node->s.n_in; k++)
        tiny = tiny && sak_node_is_tiny(g->node[node->in[k]], s->tiny);
    if (!tiny)
        wait_for_root(s, g->n + i, i);
    for (int k = 0; tiny && k < node->s.n_in; k++)
        if (op->keep >> k & 1)
            wait_for_root(s, g->n + i, node->in[k]);
}

/* Contributions to a gradient wait for one another, and its reader for the last. */
static void list_backward(schedule *s)
{
    const sak_graph *g = s->g;
    for (int t = g->n - 1; t >= 0; t--) {
        const int i = g->order[t], it = g->n + i;
        const sak_node *node = g->node[i];
        s->items[it].exists = has_backward(g, i);
        s->items[it].rank = 2 * g->n - t;
        if (!s->items[it].exists)
            continue;
        wait_for_forward(s, i);
        if (s->writer[node->grad_root] != NONE)
            after(s, it, s->writer[node->grad_root]);
        for (int k = 0; k < node->s.n_in; k++) {
            if (!sak_graph_wants(g, node, k))
                continue;
            int *writer = &s->writer[g->node[node->in[k]]->grad_root];
            if (*writer != NONE && *writer != it)
                after(s, it, *writer);
            *writer = it;
        }
    }
}

static void push(schedule *s, int it)
{
    int at = s->n_heap++;
    for (; at > 0 && s->items[s->heap[(at - 1) / 2]].rank > s->items[it].rank; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = it;
}

static int pop(schedule *s)
{
    const int top = s->heap[0], last = s->heap[--s->n_heap];
    int at = 0;
    for (int child; (child = 2 * at + 1) < s->n_heap; at = child) {
        if (child + 1 < s->n_heap &&
            s->items[s->heap[child + 1]].rank < s->items[s->heap[child]].rank)
            child++;
        if (s->items[s->heap[child]].rank >= s->items[last].rank)
            break;
        s->heap[at] = s->heap[child];
    }
    s->heap[at] = last;
    return top;
}

/* Backward calls, and forward ones without side effects that lead to them. */
static bool may_run_ahead(const schedule *s, int it)
{
    const sak_graph *g = s->g;
    if (it >= g->n)
        return true;
    const sak_node *node = g->node[it];
    bool pure = node->s.op->mutates == 0;
    for (int k = 0; k < node->s.n_in; k++) {
        const sak_node *in = g->node[node->in[k]];
        pure = pure && !(in->kind == SAK_NODE_PARAM && in->params->list[in->param].buffer);
    }
    return pure && sak_node_is_tiny(node, s->tiny);
}

static void run(schedule *s, int it)
{
    sak_graph *g = s->g;
    s->items[it].done = true;
    g->call[g->n_calls++] = call_of(g, it);
    for (int e = s->items[it].first; e != NONE; e = s->edges[e].next)
        if (--s->items[s->edges[e].to].waits == 0 && may_run_ahead(s, s->edges[e].to))
            push(s, s->edges[e].to);
}

static void run_eagerly(schedule *s)
{
    const sak_graph *g = s->g;
    for (int i = 0; i < 2 * g->n; i++)
        if (s->items[i].exists && s->items[i].waits == 0 && i >= g->n)
            push(s, i); /* a loss that nothing is computed for */
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        if (s->items[i].exists && !s->items[i].done)
            run(s, i);
        while (s->n_heap > 0) {
            const int it = pop(s);
            if (!s->items[it].done)
                run(s, it);
        }
    }
}

static void run_plainly(schedule *s)
{
    const sak_graph *g = s->g;
    for (int t = 0; t < g->n; t++)
        if (s->items[g->order[t]].exists)
            run(s, g->order[t]);
    for (int t = g->n - 1; t >= 0; t--)
        if (s->items[g->n + g->order[t]].exists)
            run(s, g->n + g->order[t]);
}

static sak_status open_schedule(schedule *s, sak_graph *g, sak_error *err)
{
    const size_t n = (size_t)g->n;
    *s = (schedule){.g = g, .tiny = sak_graph_tiny(g), .items = calloc(2 * n + 1, sizeof *s->items),
                    .edges = calloc(n * (2 * SAK_MAX_IN + 2) + 1, sizeof *s->edges),
                    .heap = calloc(2 * n + 1, sizeof *s->heap),
                    .writer = calloc(n + 1, sizeof *s->writer)};
    g->call = calloc(n * 3 + 1, sizeof *g->call); /* with repeated ones */
    if (!s->items || !s->edges || !s->heap || !s->writer || !g->call)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int i = 0; i < g->n; i++)
        s->items[i].first = s->items[g->n + i].first = s->writer[i] = NONE;
    g->n_calls = 0;
    return SAK_OK;
}

sak_status sak_graph_schedule(sak_graph *g, bool eager, sak_error *err)
{
    schedule s;
    const sak_status st = open_schedule(&s, g, err);
    if (st == SAK_OK) {
        list_forward(&s);
        list_backward(&s);
        (eager ? run_eagerly : run_plainly)(&s);
    }
    free(s.items);
    free(s.edges);
    free(s.heap);
    free(s.writer);
    return st;
}
