/* Execution: resolves every pointer once, then walks the calls.  A step allocates nothing. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pool.h"
#include "graph/graph.h"
#include "graph/guard.h"
#include "graph/slab.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"

static sak_real *at(const sak_graph *g, int buffer)
{
    return buffer < 0 ? NULL : g->buffer[buffer].p;
}

static sak_real *grad_of(const sak_graph *g, int i)
{
    return at(g, g->node[g->node[i]->grad_root]->grad);
}

/* What backward sees of a value: where it was recomputed, that. */
static sak_real *value_again(const sak_graph *g, int i)
{
    const sak_node *root = g->node[g->node[i]->root];
    return root->again >= 0 ? at(g, root->again) : sak_graph_value(g, i);
}

static void resolve_again(sak_graph *g, sak_call *call)
{
    const sak_node *node = g->node[call->node];
    for (int k = 0; k < node->s.n_in; k++)
        call->c.x[k] = value_again(g, node->in[k]);
    call->c.y = value_again(g, call->node);
    call->c.again = true;
}

static void resolve_forward(sak_graph *g, sak_call *call)
{
    const sak_node *node = g->node[call->node];
    for (int k = 0; k < node->s.n_in; k++)
        call->c.x[k] = sak_graph_value(g, node->in[k]);
    call->c.y = sak_graph_value(g, call->node);
}

/* `written` marks gradient roots that an earlier call has filled: the next one adds. */
static void resolve_backward(sak_graph *g, sak_call *call, bool *written)
{
    const sak_node *node = g->node[call->node];
    const sak_op *op = node->s.op;
    call->c.dy = grad_of(g, call->node);
    if (!op->view && (op->keep & SAK_KEEP_Y))
        call->c.y = value_again(g, call->node);
    for (int k = 0; k < node->s.n_in; k++) {
        if (!op->view && (op->keep >> k & 1))
            call->c.x[k] = value_again(g, node->in[k]);
        const sak_node *in = g->node[node->in[k]];
        if (!in->needs_grad || (op->no_grad >> k & 1))
            continue;
        if (op->passes >> k & 1 && in->grad_root == node->grad_root)
            continue; /* the same memory: nothing to do */
        call->c.dx[k] = grad_of(g, node->in[k]);
        call->c.acc[k] = written[in->grad_root];
        written[in->grad_root] = true;
    }
}

static sak_status seal_params(const sak_graph *g, sak_error *err)
{
    for (int i = 0; i < g->n; i++)
        if (g->node[i]->kind == SAK_NODE_PARAM)
            SAK_TRY(sak_params_seal(g->node[i]->params, err));
    return SAK_OK;
}

/* Another graph over the same parameters may have put its own there. */
static void offer_gradients(const sak_graph *g)
{
    for (int i = 0; i < g->n; i++) {
        const sak_node *node = g->node[i];
        if (node->kind == SAK_NODE_PARAM && node->grad >= 0)
            node->params->list[node->param].grad = at(g, node->grad);
    }
}

static sak_status allocate_buffers(sak_graph *g, sak_error *err)
{
    if (g->apart)
        return sak_guard_open(g, err);
    SAK_TRY(sak_alloc((void **)&g->input, (size_t)g->input_count, sizeof(sak_real), err));
    SAK_TRY(sak_slab_open(g, err));
    for (int i = 0; i < g->n_buffers; i++) {
        sak_buffer *b = &g->buffer[i];
        b->p = (b->kind == SAK_BUFFER_INPUT ? g->input : g->activation) + b->at;
    }
    return SAK_OK;
}

static sak_status resolve(sak_graph *g, sak_error *err)
{
    bool *written = calloc((size_t)g->n + 1, sizeof *written);
    if (!written)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's calls");
    if (g->loss >= 0)
        written[g->node[g->loss]->grad_root] = true; /* it begins as 1 */
    for (int i = 0; i < g->n_calls; i++) {
        sak_call *call = &g->call[i];
        const sak_node *node = g->node[call->node];
        call->c = (sak_opcall){.s = &node->s,
                               .save = at(g, node->save),
                               .shared = at(g, call->scratch),
                               .each = g->each,
                               .each_stride = g->each_count,
                               .rng = {g->seed, SAK_RNG_OP, 0, (uint32_t)call->node}};
        if (call->backward)
            resolve_backward(g, call, written);
        else if (call->again)
            resolve_again(g, call);
        else
            resolve_forward(g, call);
    }
    free(written);
    return SAK_OK;
}

sak_status sak_graph_allocate(sak_graph *g, sak_error *err)
{
    if (g->op_seconds)
        return SAK_OK;
    SAK_TRY(seal_params(g, err));
    const size_t threads = (size_t)sak_pool_threads();
    SAK_TRY(allocate_buffers(g, err));
    SAK_TRY(sak_alloc((void **)&g->each, (size_t)g->each_count * threads, sizeof(sak_real), err));
    SAK_TRY(resolve(g, err));
    offer_gradients(g);
    g->op_seconds = calloc((size_t)g->n_calls + 1, sizeof *g->op_seconds);
    return g->op_seconds ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's calls");
}

enum { COPY_GRAIN = 16384 }; /* elements */

static void copy_part(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_opcall *c = ctx;
    sak_real *dx = c->dx[0] + begin;
    if (c->acc[0])
        sak_simd_table()->add(end - begin, dx, c->dy + begin, dx);
    else
        memcpy(dx, c->dy + begin, (size_t)(end - begin) * sizeof *dx);
}

static void copy_gradient(const sak_graph *g, sak_call *call)
{
    sak_parallel_for(sak_shape_count(&g->node[call->node]->s.y), COPY_GRAIN, copy_part, &call->c);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void walk(sak_graph *g, int from, int to, uint64_t step)
{
    sak_gemm_set_bf16(g->bf16);
    for (int i = from; i < to; i++) {
        sak_call *call = &g->call[i];
        const double start = g->profiling ? now() : 0;
        call->c.rng.step = step;
        if (g->apart)
            sak_guard_before(g, i);
        if (call->backward && call->node == g->loss)
            *grad_of(g, g->loss) = 1;
        if (call->copy_to >= 0)
            copy_gradient(g, call);
        else if (call->backward)
            call->c.s->op->backward(&call->c);
        else
            call->c.s->op->forward(&call->c);
        if (g->profiling)
            g->op_seconds[i] += now() - start;
        if (g->apart)
            sak_guard_after(g, i);
    }
    sak_gemm_set_bf16(false);
}

void sak_graph_forward(sak_graph *g, uint64_t step)
{
    walk(g, 0, g->forward_end, step);
}

void sak_graph_backward(sak_graph *g, uint64_t step)
{
    if (g->loss < 0)
        return;
    offer_gradients(g);
    walk(g, g->forward_end, g->n_calls, step);
}
