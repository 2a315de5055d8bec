/* Prints a graph for people: one line a node. */
#include <inttypes.h>

#include "graph/graph.h"

void sak_graph_dump(const sak_graph *g, FILE *out)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        const char *kind = node->kind == SAK_NODE_INPUT   ? "input"
                           : node->kind == SAK_NODE_PARAM ? "param"
                                                          : node->s.op->name;
        fprintf(out, "%5d %-16s %-22s", i, kind, SAK_SHAPE_TEXT(&node->s.y));
        for (int k = 0; k < node->s.n_in; k++)
            fprintf(out, " %d", node->in[k]);
        fprintf(out, "%s%s%s%s%s", node->name ? "  " : "", node->name ? node->name : "",
                node->live ? "" : "  (pruned)", node->needs_grad ? "  grad" : "",
                node->output ? "  output" : "");
        if (node->value >= 0)
            fprintf(out, "  @%" PRId64 " calls %d-%d", g->buffer[node->value].at,
                    g->buffer[node->value].from, g->buffer[node->value].to);
        fputc('\n', out);
    }
}
