/* Which nodes are computed again for backward: those of a block, or single ones that cost little. */
#include "graph/checkpoint.h"

#include <stdlib.h>

#include "graph/schedule.h"

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

static int forward_end(const sak_graph *g)
{
    int end = g->n_calls;
    while (end > 0 && (g->call[end - 1].backward || g->call[end - 1].again))
        end--;
    return end;
}

/* Nodes whose backward readers come before anything large is computed after their forward ones. */
static sak_status unmark_near(sak_graph *g, sak_error *err)
{
    int *large = calloc((size_t)g->n_calls + 1, sizeof *large); /* results before each call */
    int *last = calloc((size_t)g->n + 1, sizeof *last); /* by node: call after its last forward reader */
    bool *far = calloc((size_t)g->n + 1, sizeof *far);
    const bool enough = large && last && far;
    const int64_t tiny = sak_graph_tiny(g);
    for (int c = 0; enough && c < g->n_calls; c++) {
        const sak_call *call = &g->call[c];
        const sak_node *node = g->node[call->node];
        large[c + 1] = large[c] + (!call->backward && !sak_node_is_tiny(node, tiny));
        for (int k = 0; k < node->s.n_in; k++) {
            const int root = g->node[node->in[k]]->root;
            if (!call->backward)
                last[root] = c + 1;
            else if (node->s.op->keep >> k & 1)
                far[root] = far[root] || large[c] > large[last[root]];
        }
    }
    for (int i = 0; enough && i < g->n; i++)
        g->node[i]->recomputed = g->node[i]->recomputed && far[i];
    free(large);
    free(last);
    free(far);
    return enough ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
}

sak_status sak_graph_unmark_early(sak_graph *g, sak_error *err)
{
    if (!g->checkpoint)
        return unmark_near(g, err);
    bool *early = calloc((size_t)g->n_blocks + 1, sizeof *early);
    if (!early)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    for (int c = 0; c < forward_end(g); c++)
        if (g->call[c].backward)
            early[g->node[g->call[c].node]->block] = true;
    for (int i = 0; i < g->n; i++)
        if (early[g->node[i]->block])
            g->node[i]->recomputed = false;
    free(early);
    return SAK_OK;
}

static void add_again(sak_graph *g, int node)
{
    g->call[g->n_calls++] = (sak_call){.node = node, .again = true, .copy_to = -1};
}

static void repeat_block(sak_graph *g, const sak_node *node, bool *done)
{
    if (node->block == 0 || done[node->block])
        return;
    done[node->block] = true;
    for (int t = 0; t < g->n; t++)
        if (g->node[g->order[t]]->recomputed && g->node[g->order[t]]->block == node->block)
            add_again(g, g->order[t]);
}

static void repeat_inputs(sak_graph *g, const sak_node *reader, bool *done)
{
    for (int k = 0; k < reader->s.n_in; k++) {
        const int root = g->node[reader->in[k]]->root;
        if (!(reader->s.op->keep >> k & 1) || !g->node[root]->recomputed || done[root])
            continue;
        done[root] = true;
        add_again(g, root);
    }
}

sak_status sak_graph_repeat(sak_graph *g, sak_error *err)
{
    const int n = g->n_calls, end = forward_end(g);
    sak_call *plain = g->call;
    g->call = calloc((size_t)(n + g->n) + 1, sizeof *g->call);
    bool *done = calloc((size_t)(g->n > g->n_blocks ? g->n : g->n_blocks) + 1, sizeof *done);
    g->n_calls = g->forward_end = 0;
    for (int c = 0; g->call && done && c < n; c++) {
        const sak_node *node = g->node[plain[c].node];
        if (c == end)
            g->forward_end = g->n_calls;
        if (plain[c].backward && g->checkpoint)
            repeat_block(g, node, done);
        else if (plain[c].backward)
            repeat_inputs(g, node, done);
        g->call[g->n_calls++] = plain[c];
    }
    if (end == n)
        g->forward_end = g->n_calls;
    free(plain);
    const bool enough = g->call && done;
    free(done);
    return enough ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
}
