/* The checking mode of a graph (sak_graph.apart, or SAK_BUFFERS=apart in the environment): every buffer
 * is an allocation of its own, and is full of NaN before its first writer and after its last reader.
 * A lifetime that the plan has wrong gives NaN where the result should be; the address sanitizer and
 * valgrind see the access itself, and any beyond a buffer's end.  Same bits, more memory and time. */
#ifndef SAK_GRAPH_GUARD_H
#define SAK_GRAPH_GUARD_H

#include "graph/graph.h"

sak_status sak_guard_open(sak_graph *g, sak_error *err);
void sak_guard_close(sak_graph *g);

/* Around each call of a step. */
void sak_guard_before(sak_graph *g, int call);
void sak_guard_after(sak_graph *g, int call);

#endif
