/* The static graph: built once per (model, batch, mode), differentiated, planned, then executed
 * every step without allocating anything. */
#ifndef SAK_GRAPH_GRAPH_H
#define SAK_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "graph/params.h"
#include "ops/op.h"

typedef enum sak_node_kind { SAK_NODE_INPUT, SAK_NODE_PARAM, SAK_NODE_OP } sak_node_kind;

typedef struct sak_node {
    sak_node_kind kind;
    sak_opshape s;    /* for inputs and parameters only s.y is set */
    sak_attrs attr;   /* s.attr points here */
    int in[SAK_MAX_IN];
    const char *name; /* inputs, outputs and parameters; else NULL */
    sak_params *params;
    int param;
    bool output;     /* readable after a run */
    bool live;       /* some output or the loss depends on it */
    bool needs_grad; /* a trainable parameter lies below and the loss above */
    int time;        /* place in execution order, once planned */
    int block;       /* of nodes that may be recomputed together; 0 = none */
    bool recomputed; /* backward computes its value again */
    int root;        /* views: the node that owns the memory; else itself */
    int grad_root;   /* likewise for the gradient */
    int value, again, save, grad; /* buffers, -1 = none; `again` holds a recomputed value */
} sak_node;

typedef enum sak_buffer_kind {
    SAK_BUFFER_INPUT, /* memory of its own, outside the slab: filled before the step */
    SAK_BUFFER_VALUE,
    SAK_BUFFER_AGAIN,
    SAK_BUFFER_SAVE,
    SAK_BUFFER_GRAD,
    SAK_BUFFER_SCRATCH, /* shared scratch of one call */
} sak_buffer_kind;

/* A range of the activation slab, and when it is in use. */
typedef struct sak_buffer {
    sak_buffer_kind kind;
    int node;
    int from, to;      /* calls: of the first writer to that of the last reader; n_calls: after the step */
    int64_t count, at; /* elements: size, and offset in the slab or among the inputs */
    sak_real *p;       /* once allocated */
} sak_buffer;

typedef struct sak_call {
    int node;
    bool backward;
    bool again; /* forward, repeated for backward */
    sak_opcall c;
    int copy_to; /* backward of a view that cannot share its gradient: add into this node */
    int scratch; /* buffer, -1 = none */
} sak_call;

/* Memory for activations that several graphs use in turn. */
typedef struct sak_slab {
    sak_real *p;
    int64_t count; /* elements: of the largest */
    int users;
} sak_slab;

typedef struct sak_graph {
    bool training, closed;
    bool rewrite; /* replace patterns by cheaper forms of the same function (rewrite.h) */
    bool checkpoint; /* recompute the insides of blocks (checkpoint.h): less memory, the same bits */
    bool plain_order; /* all of forward before backward, even where that needs more memory */
    int block, n_blocks; /* nodes are added to this block, 0 = none */
    bool bf16; /* products round their operands to bfloat16; may be set until the first step */
    uint64_t seed;
    sak_arena arena;
    sak_node **node;
    int n, cap;
    int loss; /* node, or -1 */
    double plain_flops[2]; /* of the graph as built: forward; with backward */
    /* the plan */
    int *order; /* nodes in execution order: every node after its inputs */
    sak_call *call;
    int n_calls, forward_end; /* the forward pass ends there; some backward calls may come before */
    sak_buffer *buffer;
    int n_buffers;
    int64_t input_count, activation_count, each_count; /* elements: inputs, slab, scratch per thread */
    sak_real *input, *activation, *each;
    sak_slab *slab; /* holds the activations; NULL until allocated or shared */
    bool apart; /* every buffer is allocated by itself and spoilt while it is not in use (guard.h) */
    double *op_seconds; /* per call, filled while profiling */
    bool profiling;
} sak_graph;

/* Rewriting is on, unless SAK_REWRITE=off in the environment; set g->rewrite to change it before
 * planning.  The forms differ in rounding.  SAK_BUFFERS=apart sets g->apart. */
void sak_graph_open(sak_graph *g, bool training, uint64_t seed);
void sak_graph_close(sak_graph *g);

/* Building.  *out is the node's index. */
sak_status sak_graph_input(sak_graph *g, const char *name, const sak_shape *shape, int *out,
                           sak_error *err);
sak_status sak_graph_param(sak_graph *g, sak_params *p, int index, int *out, sak_error *err);
sak_status sak_graph_op(sak_graph *g, const sak_op *op, const sak_attrs *attr, int n, const int *in,
                        int *out, sak_error *err);
/* Names a node so that it can be read after a run. */
sak_status sak_graph_output(sak_graph *g, const char *name, int node, sak_error *err);

/* Makes an operation's node another operation on other inputs with a result of the same shape: who
 * reads it sees no difference. */
sak_status sak_graph_replace(sak_graph *g, int node, const sak_op *op, const sak_attrs *attr, int n,
                             const int *in, sak_error *err);

/* Ends building: rewrites, prunes, differentiates `loss` (a (1) node, or -1 for inference) and plans memory.
 * Allocates nothing yet, so that `check` can print the peak. */
sak_status sak_graph_plan(sak_graph *g, int loss, sak_error *err);
/* Two planned graphs without memory will have their activations in the same place: what one computes,
 * gradients too, is lost in the other's step.  Inputs stay apart. */
sak_status sak_graph_share_slab(sak_graph *a, sak_graph *b, sak_error *err);
/* Allocates inputs, slab and scratch, and the parameters' values. */
sak_status sak_graph_allocate(sak_graph *g, sak_error *err);

/* One forward pass and, where a loss was given, one backward pass: gradients are in the parameter
 * sets.  `step` keys the random ops. */
void sak_graph_forward(sak_graph *g, uint64_t step);
void sak_graph_backward(sak_graph *g, uint64_t step);

/* Looking in. */
int sak_graph_find(const sak_graph *g, const char *name); /* input or output; -1 if absent */
sak_real *sak_graph_value(const sak_graph *g, int node);
double sak_graph_flops(const sak_graph *g, bool with_backward); /* as executed */
size_t sak_graph_bytes(const sak_graph *g, int threads); /* inputs + activations + scratch */
/* SHA-256 of a planned graph: operations, attributes, shapes, names, what is differentiated.  Values of
 * parameters and inputs are no part of it. */
void sak_graph_hash(const sak_graph *g, char out[SAK_HASH_TEXT]);
void sak_graph_dump(const sak_graph *g, FILE *out);      /* one line a node, for people */

#endif
