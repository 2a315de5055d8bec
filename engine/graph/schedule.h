/* The order of a step's calls. */
#ifndef SAK_GRAPH_SCHEDULE_H
#define SAK_GRAPH_SCHEDULE_H

#include "graph/graph.h"

/* After marking, and once views have their gradients: lists the forward and backward calls in
 * g->call, without repeated ones.  Plain: all forward calls as built, then backward in reverse.
 *
 * Eager: a backward call runs as soon as all its results depend on is there, so that what it reads can
 * go.  The losses of several levels or tasks, and the heads below them, are then done one after the
 * other, instead of all being kept until the last one is computed.  Every gradient is summed in the
 * plain order, so the bits are the same. */
sak_status sak_graph_schedule(sak_graph *g, bool eager, sak_error *err);

/* A result of at most this many elements, with what it saves, is negligible in this graph: a loss, a
 * mean. */
int64_t sak_graph_tiny(const sak_graph *g);
bool sak_node_is_tiny(const sak_node *node, int64_t tiny);

#endif
