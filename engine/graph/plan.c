/* Planning: in what order calls run, and what memory each finds.  Of several orders that give the same
 * bits, the one that needs least memory. */
#include <stdlib.h>

#include "graph/checkpoint.h"
#include "graph/life.h"
#include "graph/mark.h"
#include "graph/memory.h"
#include "graph/place.h"
#include "graph/reuse.h"
#include "graph/rewrite.h"
#include "graph/schedule.h"
#include "graph/share.h"

static void note_gradients(sak_graph *g)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (node->kind == SAK_NODE_PARAM && node->live && node->needs_grad)
            node->params->list[node->param].has_grad = true;
    }
}

static void forget_arrangement(sak_graph *g)
{
    free(g->call);
    free(g->buffer);
    g->call = NULL;
    g->buffer = NULL;
    g->n_calls = g->n_buffers = 0;
    for (int i = 0; i < g->n; i++) {
        sak_node *node = g->node[i];
        node->grad_root = i;
        node->value = node->again = node->save = node->grad = -1;
        node->recomputed = false;
    }
}

/* How calls may be arranged. */
typedef struct arrangement {
    bool eager;        /* backward calls run as soon as they can … */
    bool repeat_early; /* … and blocks whose backward comes early are computed again all the same */
} arrangement;

static sak_status arrange(sak_graph *g, arrangement a, int64_t *peak, sak_error *err)
{
    forget_arrangement(g);
    SAK_TRY(g->checkpoint ? sak_graph_mark_recomputed(g, err) : sak_graph_mark_cheap(g, err));
    SAK_TRY(sak_graph_share_with_views(g, err));
    SAK_TRY(sak_graph_schedule(g, a.eager, err));
    if (!g->checkpoint || !a.repeat_early)
        SAK_TRY(sak_graph_unmark_early(g, err));
    SAK_TRY(sak_graph_repeat(g, err));
    SAK_TRY(sak_graph_share_gradients(g, err));
    SAK_TRY(sak_graph_list_buffers(g, err));
    SAK_TRY(sak_graph_reuse_buffers(g, err));
    *peak = sak_graph_peak(g).count;
    return SAK_OK;
}

/* The first of these that needs hardly more than the best of them. */
static sak_status choose(sak_graph *g, sak_error *err)
{
    static const arrangement all[] = {{true, false}, {true, true}, {false, true}};
    const int n = (int)(sizeof all / sizeof *all), from = g->loss >= 0 && !g->plain_order ? 0 : n - 1;
    int64_t peak[sizeof all / sizeof *all], least = INT64_MAX;
    for (int i = from; i < n; i++) {
        SAK_TRY(arrange(g, all[i], &peak[i], err));
        least = peak[i] < least ? peak[i] : least;
    }
    int i = from;
    while (peak[i] > least + least / 50)
        i++;
    return i == n - 1 ? SAK_OK : arrange(g, all[i], &peak[i], err);
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
    g->closed = true;
    if (loss >= 0 && !g->node[loss]->needs_grad)
        return SAK_FAIL(err, SAK_EINVAL, "no trainable parameter reaches the loss");
    note_gradients(g);
    SAK_TRY(choose(g, err));
    return sak_graph_place(g, err);
}
