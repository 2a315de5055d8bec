/* Planning: in what order calls run, and where every value and gradient lies in the activation
 * slab.
 *
 * Time is the place in the list of calls: forward ones, then backward ones, among them, where blocks
 * are recomputed, repeated forward ones before the first backward call of their block.  A buffer lives
 * from its first writer to its last reader; buffers whose lives overlap get disjoint ranges. */
#include <stdlib.h>
#include <string.h>

#include "graph/checkpoint.h"
#include "graph/mark.h"
#include "graph/rewrite.h"
#include "graph/share.h"

enum { ALIGN_COUNT = SAK_ALIGN / 4 };

typedef struct item {
    int64_t size, from, to; /* to is inclusive */
    int64_t *at;            /* where the offset goes */
    int64_t offset;
    int order;
} item;

/* Times, -1 = never.  By node: */
typedef struct times {
    int forward, again, backward;
    int value_to;  /* roots: last reader of the value … */
    int again_to;  /* … and of the recomputed one */
    int grad_from, grad_to; /* gradient roots: first writer, last reader */
    int contributions; /* how many backward calls write its gradient */
} times;

typedef struct plan {
    sak_graph *g;
    times *of;
    item *items;
    int n_items;
} plan;

static bool runs_backward(const sak_node *node)
{
    return node->kind == SAK_NODE_OP && node->live && node->needs_grad;
}

/* A view shares its input's gradient when it is the only one that contributes to it. */
static void share_gradients(plan *p)
{
    sak_graph *g = p->g;
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (!runs_backward(node))
            continue;
        for (int k = 0; k < node->s.n_in; k++)
            if (sak_graph_wants(g, node, k))
                p->of[node->in[k]].contributions++;
    }
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        sak_node *node = g->node[i];
        if (runs_backward(node) && node->s.op->view && i != g->loss &&
            p->of[node->in[0]].contributions == 1)
            node->grad_root = g->node[node->in[0]]->grad_root;
    }
}

static int add_call(sak_graph *g, sak_call call)
{
    g->call[g->n_calls] = call;
    return g->n_calls++;
}

static void add_again(plan *p, int i)
{
    p->of[i].again = add_call(p->g, (sak_call){.node = i, .again = true, .copy_to = -1});
}

static void add_recomputing_calls(plan *p, int block)
{
    const sak_graph *g = p->g;
    for (int t = 0; t < g->n; t++)
        if (g->node[g->order[t]]->recomputed && g->node[g->order[t]]->block == block)
            add_again(p, g->order[t]);
}

/* What is recomputed by itself, just before the first backward call that reads it. */
static void add_cheap_calls(plan *p, const sak_node *reader)
{
    for (int k = 0; k < reader->s.n_in; k++) {
        const int root = p->g->node[reader->in[k]]->root;
        if ((reader->s.op->keep >> k & 1) && p->g->node[root]->recomputed && p->of[root].again < 0)
            add_again(p, root);
    }
}

static sak_status list_calls(plan *p, sak_error *err)
{
    sak_graph *g = p->g;
    g->call = calloc((size_t)g->n * 3 + 1, sizeof *g->call);
    bool *done = calloc((size_t)g->n_blocks + 1, sizeof *done);
    if (!g->call || !done) {
        free(done);
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    }
    for (int t = 0; t < g->n; t++) {
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        if (node->kind == SAK_NODE_OP && node->live && !node->s.op->view)
            p->of[i].forward = add_call(g, (sak_call){.node = i, .copy_to = -1});
    }
    g->first_backward = g->n_calls;
    for (int t = g->n - 1; t >= 0; t--) {
        const int i = g->order[t];
        const sak_node *node = g->node[i];
        if (!runs_backward(node))
            continue;
        if (node->s.op->view && node->grad_root != i)
            continue;
        if (g->checkpoint && !done[node->block] && node->block > 0)
            add_recomputing_calls(p, node->block);
        else if (!g->checkpoint)
            add_cheap_calls(p, node);
        done[node->block] = true;
        p->of[i].backward = add_call(g, (sak_call){.node = i, .backward = true,
                                                   .copy_to = node->s.op->view ? node->in[0] : -1});
    }
    free(done);
    return SAK_OK;
}

static void until(int *to, int time)
{
    if (*to < time)
        *to = time;
}

/* Node i reads the value of `from` at this time: the recomputed one, if it is not yet backward's
 * turn to see the first. */
static void reads(plan *p, int from, int time)
{
    const int root = p->g->node[from]->root;
    if (p->of[root].again >= 0 && time >= p->g->first_backward)
        until(&p->of[root].again_to, time);
    else
        until(&p->of[root].value_to, time);
}

static void lifetimes(plan *p)
{
    sak_graph *g = p->g;
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (!node->live)
            continue;
        if (node->output || i == g->loss || node->kind == SAK_NODE_INPUT)
            p->of[node->root].value_to = g->n_calls;
        if (node->kind != SAK_NODE_OP || node->s.op->view)
            continue;
        const times *t = &p->of[i];
        until(&p->of[i].value_to, t->forward);
        until(&p->of[i].again_to, t->again);
        if (t->backward >= 0 && (node->s.op->keep & SAK_KEEP_Y))
            reads(p, i, t->backward);
        for (int k = 0; k < node->s.n_in; k++) {
            reads(p, node->in[k], t->forward);
            if (t->again >= 0)
                reads(p, node->in[k], t->again);
            if (t->backward >= 0 && (node->s.op->keep >> k & 1))
                reads(p, node->in[k], t->backward);
        }
    }
    if (g->loss >= 0)
        p->of[g->node[g->loss]->grad_root].grad_from = g->first_backward;
    for (int c = g->first_backward; c < g->n_calls; c++) {
        const sak_node *node = g->node[g->call[c].node];
        if (g->call[c].backward)
            p->of[node->grad_root].grad_to = c;
        for (int k = 0; g->call[c].backward && k < node->s.n_in; k++) {
            int *from = &p->of[g->node[node->in[k]]->grad_root].grad_from;
            if (sak_graph_wants(g, node, k) && *from < 0)
                *from = c;
        }
    }
}

static void push(plan *p, int64_t count, int64_t from, int64_t to, int64_t *at)
{
    const int64_t size = (count + ALIGN_COUNT - 1) / ALIGN_COUNT * ALIGN_COUNT;
    p->items[p->n_items] =
        (item){.size = size, .from = from, .to = to, .at = at, .order = p->n_items};
    p->n_items++;
}

static void list_items(plan *p)
{
    sak_graph *g = p->g;
    for (int i = 0; i < g->n; i++) {
        sak_node *node = g->node[i];
        if (!node->live || node->kind == SAK_NODE_PARAM)
            continue;
        const times *t = &p->of[i];
        const int64_t count = sak_shape_count(&node->s.y);
        const int from = node->kind == SAK_NODE_INPUT ? 0 : t->forward;
        if (node->root == i)
            push(p, count, from, t->value_to, &node->value_at);
        if (t->again >= 0)
            push(p, count, t->again, t->again_to, &node->again_at);
        if (node->kind == SAK_NODE_OP && node->s.op->save)
            push(p, node->s.op->save(&node->s), from, t->backward < 0 ? from : t->backward,
                 &node->save_at);
        if (node->needs_grad && node->grad_root == i)
            push(p, count, t->grad_from < 0 ? t->backward : t->grad_from, t->grad_to,
                 &node->grad_at);
    }
}

static int by_size(const void *pa, const void *pb)
{
    const item *a = pa, *b = pb;
    if (a->size != b->size)
        return a->size < b->size ? 1 : -1;
    return a->order - b->order; /* a total order: the plan is the same everywhere */
}

/* Greedy by size: each buffer takes the lowest gap among the placed ones that live with it. */
static sak_status place(plan *p, sak_error *err)
{
    item **placed = calloc((size_t)p->n_items + 1, sizeof *placed);
    if (!placed)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    qsort(p->items, (size_t)p->n_items, sizeof *p->items, by_size);
    int64_t peak = 0;
    for (int i = 0; i < p->n_items; i++) {
        item *it = &p->items[i];
        int64_t at = 0;
        int pos = 0;
        for (int j = 0; j < i; j++) {
            const item *q = placed[j]; /* sorted by offset */
            if (q->to < it->from || it->to < q->from)
                continue;
            if (q->offset >= at + it->size)
                break;
            if (q->offset + q->size > at)
                at = q->offset + q->size;
        }
        it->offset = at;
        while (pos < i && placed[pos]->offset <= at)
            pos++;
        memmove(placed + pos + 1, placed + pos, (size_t)(i - pos) * sizeof *placed);
        placed[pos] = it;
        *it->at = at;
        if (at + it->size > peak)
            peak = at + it->size;
    }
    p->g->activation_count = peak;
    free(placed);
    return SAK_OK;
}

static void size_scratch(sak_graph *g)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (node->kind != SAK_NODE_OP || !node->live || !node->s.op->scratch)
            continue;
        const sak_scratch s = node->s.op->scratch(&node->s);
        if (s.shared > g->shared_count)
            g->shared_count = s.shared;
        if (s.each > g->each_count)
            g->each_count = s.each;
    }
    g->each_count = (g->each_count + ALIGN_COUNT - 1) / ALIGN_COUNT * ALIGN_COUNT;
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
    plan p = {.g = g};
    const size_t n = (size_t)g->n;
    p.of = malloc((n + 1) * sizeof *p.of);
    p.items = calloc(4 * n, sizeof *p.items);
    sak_status st = p.of && p.items ? SAK_OK
                                    : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (size_t i = 0; st == SAK_OK && i < n; i++)
        p.of[i] = (times){-1, -1, -1, -1, -1, -1, -1, 0};
    if (st == SAK_OK) {
        share_gradients(&p);
        st = list_calls(&p, err);
    }
    if (st == SAK_OK)
        st = sak_graph_share_gradients(g, err);
    if (st == SAK_OK) {
        lifetimes(&p);
        list_items(&p);
        size_scratch(g);
        note_gradients(g);
        st = place(&p, err);
    }
    free(p.of);
    free(p.items);
    return st;
}
