/* Buffers: what needs memory during a step, and from which call to which. */
#ifndef SAK_GRAPH_LIFE_H
#define SAK_GRAPH_LIFE_H

#include "graph/graph.h"

/* After the calls are listed and gradients shared: lists the buffers of inputs, values, gradients and
 * scratch with their lifetimes, and notes them in the nodes and calls. */
sak_status sak_graph_list_buffers(sak_graph *g, sak_error *err);

#endif
