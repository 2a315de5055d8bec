/* Gradients in the memory of what their call reads for the last time. */
#ifndef SAK_GRAPH_REUSE_H
#define SAK_GRAPH_REUSE_H

#include "graph/graph.h"

/* After buffers are listed: where a backward call is the last to read its dy or an x, and the first to
 * write a gradient of the same size that its row lets lie there (over_dy, over_x), the two become one
 * buffer. */
sak_status sak_graph_reuse_buffers(sak_graph *g, sak_error *err);

#endif
