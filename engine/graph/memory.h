/* What the memory of a step consists of. */
#ifndef SAK_GRAPH_MEMORY_H
#define SAK_GRAPH_MEMORY_H

#include "graph/graph.h"

/* The moment of a planned step at which most of the slab is in use. */
typedef struct sak_peak {
    int call;
    int64_t count; /* elements in use then: no placement can do with fewer */
} sak_peak;

sak_peak sak_graph_peak(const sak_graph *g);

/* Is the buffer in use during the call?  Inputs always are. */
bool sak_buffer_lives(const sak_buffer *b, int call);

/* What kind of thing a buffer is, in words: "inputs", "values", "computed again", "saved statistics",
 * "gradients of values", "gradients of parameters", "scratch". */
const char *sak_buffer_kind_name(const sak_graph *g, const sak_buffer *b);

/* The parameter that a node's operation reads first, or that the nearest earlier node does: tells
 * people where in the model it stands.  "" where there is none. */
const char *sak_graph_landmark(const sak_graph *g, int node);

#endif
