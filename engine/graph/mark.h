/* What the graph's passes share: order, liveness and need of gradients. */
#ifndef SAK_GRAPH_MARK_H
#define SAK_GRAPH_MARK_H

#include "graph/graph.h"

/* Sets order, time, live and needs_grad of every node, for g->loss.  May be repeated. */
sak_status sak_graph_mark(sak_graph *g, sak_error *err);
/* Does the node's backward write the gradient of its input k? */
bool sak_graph_wants(const sak_graph *g, const sak_node *node, int k);

#endif
