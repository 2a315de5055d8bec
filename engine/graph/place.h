/* Where each buffer lies in the slab. */
#ifndef SAK_GRAPH_PLACE_H
#define SAK_GRAPH_PLACE_H

#include "graph/graph.h"

/* Gives every buffer its offset: two that are in use at the same time get disjoint ranges.  Sets
 * activation_count and input_count. */
sak_status sak_graph_place(sak_graph *g, sak_error *err);

#endif
