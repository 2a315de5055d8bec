/* Checkpointing: blocks of nodes keep their inputs and outputs only; what backward needs in between
 * is computed again (Chen et al., arXiv:1604.06174). */
#ifndef SAK_GRAPH_CHECKPOINT_H
#define SAK_GRAPH_CHECKPOINT_H

#include "graph/graph.h"

/* After marking: sets `recomputed` of every node inside a block (see sak_graph.block) whose value
 * backward reads, or needs for such a value, and that nothing outside the block reads. */
sak_status sak_graph_mark_recomputed(sak_graph *g, sak_error *err);

/* Without checkpointing: sets `recomputed` of the results that cost little (the row's `cheap`) and that
 * backward can have again from inputs it keeps anyway, so that only one of the two is kept. */
sak_status sak_graph_mark_cheap(sak_graph *g, sak_error *err);

/* After scheduling: takes the mark from what need not be computed again, since its backward call comes
 * so early that the value is still at hand.  Blocks: when it comes within the forward pass; single
 * nodes: when nothing large is computed in between. */
sak_status sak_graph_unmark_early(sak_graph *g, sak_error *err);

/* After that: puts repeated forward calls into the list, those of a block before its first backward
 * call, single ones before the first that reads them.  Sets forward_end. */
sak_status sak_graph_repeat(sak_graph *g, sak_error *err);

#endif
