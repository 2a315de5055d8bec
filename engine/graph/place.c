/* Offsets in the activation slab (place.h).  Greedy by size: each buffer takes the lowest gap among
 * the placed ones that live with it. */
#include "graph/place.h"

#include <stdlib.h>
#include <string.h>

/* A total order: the plan is the same everywhere. */
static int by_size(const void *pa, const void *pb)
{
    const sak_buffer *a = *(sak_buffer *const *)pa, *b = *(sak_buffer *const *)pb;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a < b ? -1 : 1;
}

/* `placed` is sorted by offset. */
static int64_t lowest_gap(sak_buffer *const *placed, int n, const sak_buffer *b)
{
    int64_t at = 0;
    for (int i = 0; i < n; i++) {
        const sak_buffer *q = placed[i];
        if (q->to < b->from || b->to < q->from)
            continue;
        if (q->at >= at + b->count)
            break;
        if (q->at + q->count > at)
            at = q->at + q->count;
    }
    return at;
}

static int insert(sak_buffer **placed, int n, sak_buffer *b)
{
    int pos = n;
    while (pos > 0 && placed[pos - 1]->at > b->at)
        pos--;
    memmove(placed + pos + 1, placed + pos, (size_t)(n - pos) * sizeof *placed);
    placed[pos] = b;
    return n + 1;
}

sak_status sak_graph_place(sak_graph *g, sak_error *err)
{
    sak_buffer **list = calloc((size_t)g->n_buffers * 2 + 1, sizeof *list), **placed = list + g->n_buffers;
    if (!list)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    int n = 0, done = 0;
    g->activation_count = g->input_count = 0;
    for (int i = 0; i < g->n_buffers; i++) {
        sak_buffer *b = &g->buffer[i];
        if (b->kind != SAK_BUFFER_INPUT) {
            list[n++] = b;
            continue;
        }
        b->at = g->input_count;
        g->input_count += b->count;
    }
    qsort(list, (size_t)n, sizeof *list, by_size);
    for (int i = 0; i < n; i++) {
        list[i]->at = lowest_gap(placed, done, list[i]);
        done = insert(placed, done, list[i]);
        if (list[i]->at + list[i]->count > g->activation_count)
            g->activation_count = list[i]->at + list[i]->count;
    }
    free(list);
    return SAK_OK;
}
