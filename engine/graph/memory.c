/* Looking at a plan: when most is in use, and by what (memory.h). */
#include "graph/memory.h"

#include <stdlib.h>

bool sak_buffer_lives(const sak_buffer *b, int call)
{
    return b->from <= call && call <= b->to;
}

sak_peak sak_graph_peak(const sak_graph *g)
{
    sak_peak peak = {0};
    int64_t *change = calloc((size_t)g->n_calls + 2, sizeof *change), count = 0;
    for (int i = 0; change && i < g->n_buffers; i++) {
        const sak_buffer *b = &g->buffer[i];
        if (b->kind == SAK_BUFFER_INPUT)
            continue;
        change[b->from] += b->count;
        change[b->to + 1] -= b->count;
    }
    for (int c = 0; change && c <= g->n_calls; c++) {
        count += change[c];
        if (count > peak.count)
            peak = (sak_peak){c, count};
    }
    free(change);
    return peak;
}

const char *sak_buffer_kind_name(const sak_graph *g, const sak_buffer *b)
{
    static const char *const names[] = {
        [SAK_BUFFER_INPUT] = "inputs",          [SAK_BUFFER_VALUE] = "values",
        [SAK_BUFFER_AGAIN] = "computed again",  [SAK_BUFFER_SAVE] = "saved statistics",
        [SAK_BUFFER_GRAD] = "gradients of values", [SAK_BUFFER_SCRATCH] = "scratch"};
    if (b->kind == SAK_BUFFER_GRAD && g->node[b->node]->kind == SAK_NODE_PARAM)
        return "gradients of parameters";
    return names[b->kind];
}

const char *sak_graph_landmark(const sak_graph *g, int node)
{
    for (int t = g->node[node]->time; t >= 0; t--) {
        const sak_node *at = g->node[g->order[t]];
        for (int k = 0; at->live && k < at->s.n_in; k++)
            if (g->node[at->in[k]]->kind == SAK_NODE_PARAM)
                return g->node[at->in[k]]->name;
    }
    return "";
}
