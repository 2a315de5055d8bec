/* Slabs that several graphs use in turn (slab.h). */
#include "graph/slab.h"

#include <stdlib.h>

static sak_status own_slab(sak_graph *g, sak_error *err)
{
    if (g->slab)
        return SAK_OK;
    g->slab = calloc(1, sizeof *g->slab);
    if (!g->slab)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's activations");
    *g->slab = (sak_slab){.count = g->activation_count, .users = 1};
    return SAK_OK;
}

sak_status sak_graph_share_slab(sak_graph *a, sak_graph *b, sak_error *err)
{
    if (!a->closed || !b->closed || a->op_seconds || b->op_seconds || (b->slab && b->slab != a->slab))
        return SAK_FAIL(err, SAK_EINVAL, "graphs share memory once they are planned and before they have any");
    SAK_TRY(own_slab(a, err));
    if (b->slab)
        return SAK_OK;
    b->slab = a->slab;
    b->slab->users++;
    if (b->slab->count < b->activation_count)
        b->slab->count = b->activation_count;
    return SAK_OK;
}

sak_status sak_slab_open(sak_graph *g, sak_error *err)
{
    SAK_TRY(own_slab(g, err));
    if (!g->slab->p)
        SAK_TRY(sak_alloc((void **)&g->slab->p, (size_t)g->slab->count, sizeof(sak_real), err));
    g->activation = g->slab->p;
    return SAK_OK;
}

void sak_slab_close(sak_graph *g)
{
    if (g->slab && --g->slab->users == 0) {
        sak_free(g->slab->p);
        free(g->slab);
    }
    g->slab = NULL;
    g->activation = NULL;
}
