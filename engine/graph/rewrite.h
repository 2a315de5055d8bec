/* Rewriting: patterns of nodes replaced by cheaper forms of the same function, exact up to
 * rounding. */
#ifndef SAK_GRAPH_REWRITE_H
#define SAK_GRAPH_REWRITE_H

#include "graph/graph.h"

/* Between marking and planning.  *count gets the number of patterns replaced; nodes that nothing
 * reads any more stay in the graph and are pruned.
 *
 *   conv2d(resize(x))                   → resize_conv2d(x)
 *   conv2d(concat(resize(a), …))        → sum of resize_conv2d(concat(a, …)), one for each grid
 *
 *   mul(linear(x), scale)               → scaled_linear(x), see rewrite_scale.h
 *
 * the first two where the row's own count of operations falls, and nothing else reads the resized maps. */
sak_status sak_graph_rewrite(sak_graph *g, int *count, sak_error *err);

#endif
