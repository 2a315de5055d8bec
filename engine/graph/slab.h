/* The memory of a graph's activations, its own or shared with other graphs. */
#ifndef SAK_GRAPH_SLAB_H
#define SAK_GRAPH_SLAB_H

#include "graph/graph.h"

/* Sets g->activation; the first of the graphs that share a slab allocates it. */
sak_status sak_slab_open(sak_graph *g, sak_error *err);
/* The last one frees it. */
void sak_slab_close(sak_graph *g);

#endif
