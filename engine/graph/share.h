/* Gradients that are another gradient: shared instead of copied. */
#ifndef SAK_GRAPH_SHARE_H
#define SAK_GRAPH_SHARE_H

#include "graph/graph.h"

/* Before the calls are listed: a view shares its input's gradient when it is the only one that
 * contributes to it. */
sak_status sak_graph_share_with_views(sak_graph *g, sak_error *err);

/* After the calls are listed: gives an input whose gradient is its reader's (the row's `passes`) the
 * reader's memory, wherever no call reads a gradient after another one has added to it.  The bits stay
 * the same: what was a copy followed by sums becomes the sums. */
sak_status sak_graph_share_gradients(sak_graph *g, sak_error *err);

#endif
