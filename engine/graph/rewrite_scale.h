/* Rewriting of scaled linear layers, part of rewrite.h. */
#ifndef SAK_GRAPH_REWRITE_SCALE_H
#define SAK_GRAPH_REWRITE_SCALE_H

#include "graph/graph.h"

/* mul(linear(x, w, b), s) → scaled_linear(x, w, s, b), where s is one number or one a channel and
 * nothing else reads the unscaled result.  `uses`: how many live nodes read each.  Counts what it
 * replaced in *count. */
sak_status sak_graph_rewrite_scales(sak_graph *g, const int *uses, int *count, sak_error *err);

#endif
