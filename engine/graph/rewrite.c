/* Rewriting of convolutions over resized maps, see rewrite.h and ops/conv_resize.c. */
#include "graph/rewrite.h"

#include <stdlib.h>
#include <string.h>

#include "graph/rewrite_scale.h"

/* Neighbours in the concatenation that are resized from one grid in one way: their channels are
 * joined before resizing. */
typedef struct run {
    int level, n;           /* levels level … level + n */
    int64_t start, channels; /* of the convolution's input */
    sak_opshape s;          /* of the resize_conv2d */
} run;

typedef struct pattern {
    sak_graph *g;
    const int *uses;
    int conv, n_levels, level[SAK_MAX_IN]; /* nodes: the convolution and the resizes */
    sak_attrs attr;                        /* of resize_conv2d; the mode is each run's own */
    int n_runs;
    run runs[SAK_MAX_IN];
} pattern;

static bool is(const sak_node *node, const char *op)
{
    return node->kind == SAK_NODE_OP && strcmp(node->s.op->name, op) == 0;
}

static double attr_of(const sak_node *node, const char *name)
{
    return node->attr.v[sak_op_attr(node->s.op, name)];
}

static void set_attr(const char *op, sak_attrs *attr, const char *name, double v)
{
    attr->v[sak_op_attr(sak_op_find(op), name)] = v;
}

/* Read once, and by the graph alone. */
static bool is_private(const pattern *p, int i)
{
    return p->uses[i] == 1 && !p->g->node[i]->output && i != p->g->loss;
}

static bool is_level(const pattern *p, int i)
{
    return is(p->g->node[i], "resize") && is_private(p, i);
}

static bool match(pattern *p)
{
    const sak_graph *g = p->g;
    const sak_node *conv = g->node[p->conv];
    if (!is(conv, "conv2d") || !conv->live)
        return false;
    const int source = conv->in[0];
    const sak_node *from = g->node[source];
    if (is_level(p, source)) {
        p->n_levels = 1;
        p->level[0] = source;
        return true;
    }
    const double axis = is(from, "concat") ? attr_of(from, "axis") : 0;
    if ((axis != 3 && axis != -1) || !is_private(p, source))
        return false;
    for (int k = 0; k < from->s.n_in; k++) {
        if (!is_level(p, from->in[k]))
            return false;
        p->level[p->n_levels++] = from->in[k];
    }
    return true;
}

static bool same_grid(const sak_node *a, const sak_node *b)
{
    return a->s.x[0].d[1] == b->s.x[0].d[1] && a->s.x[0].d[2] == b->s.x[0].d[2] &&
           attr_of(a, "mode") == attr_of(b, "mode");
}

static void find_runs(pattern *p)
{
    const sak_node *const *node = (const sak_node *const *)p->g->node;
    const sak_node *conv = node[p->conv];
    int64_t start = 0;
    for (int k = 0; k < p->n_levels; k++) {
        const sak_node *level = node[p->level[k]];
        if (k == 0 || !same_grid(level, node[p->level[k - 1]]))
            p->runs[p->n_runs++] = (run){.level = k, .start = start};
        run *r = &p->runs[p->n_runs - 1];
        r->n++;
        r->channels += level->s.x[0].d[3];
        start += level->s.x[0].d[3];
    }
    sak_op_defaults(sak_op_find("resize_conv2d"), &p->attr);
    p->attr.dims = node[p->level[0]]->attr.dims;
    set_attr("resize_conv2d", &p->attr, "padding", attr_of(conv, "padding"));
}

static sak_attrs attr_of_run(const pattern *p, const run *r)
{
    sak_attrs attr = p->attr;
    set_attr("resize_conv2d", &attr, "mode", attr_of(p->g->node[p->level[r->level]], "mode"));
    return attr;
}

/* Forward operations before and after, as the rows count them. */
static bool pays(const pattern *p)
{
    const sak_node *conv = p->g->node[p->conv];
    double before = conv->s.op->flops(&conv->s), after = 0;
    for (int k = 0; k < p->n_levels; k++) {
        const sak_node *level = p->g->node[p->level[k]];
        before += level->s.op->flops(&level->s);
    }
    for (int i = 0; i < p->n_runs; i++) {
        const run *r = &p->runs[i];
        const sak_attrs attr = attr_of_run(p, r);
        sak_opshape s = {.op = sak_op_find("resize_conv2d"), .attr = &attr, .n_in = 2,
                         .x = {p->g->node[p->level[r->level]]->s.x[0], conv->s.x[1]},
                         .y = conv->s.y};
        s.x[0].d[3] = s.x[1].d[1] = r->channels;
        after += s.op->flops(&s) + (i > 0 ? (double)sak_shape_count(&s.y) : 0);
    }
    return after < before;
}

/* The run's maps joined, and its channels of the weight. */
static sak_status inputs_of_run(const pattern *p, const run *r, int *in, sak_error *err)
{
    sak_graph *g = p->g;
    int maps[SAK_MAX_IN];
    for (int k = 0; k < r->n; k++)
        maps[k] = g->node[p->level[r->level + k]]->in[0];
    in[0] = maps[0];
    in[1] = g->node[p->conv]->in[1];
    sak_attrs attr;
    if (r->n > 1) {
        sak_op_defaults(sak_op_find("concat"), &attr);
        set_attr("concat", &attr, "axis", 3);
        SAK_TRY(sak_graph_op(g, sak_op_find("concat"), &attr, r->n, maps, &in[0], err));
    }
    if (p->n_runs > 1) {
        sak_op_defaults(sak_op_find("slice"), &attr);
        set_attr("slice", &attr, "axis", 1);
        set_attr("slice", &attr, "start", (double)r->start);
        set_attr("slice", &attr, "length", (double)r->channels);
        SAK_TRY(sak_graph_op(g, sak_op_find("slice"), &attr, 1, &in[1], &in[1], err));
    }
    return SAK_OK;
}

/* The convolution's node becomes the last of the new ones; the first run takes the bias. */
static sak_status apply(const pattern *p, sak_error *err)
{
    sak_graph *g = p->g;
    const sak_op *op = sak_op_find("resize_conv2d"), *plus = sak_op_find("add");
    const bool bias = g->node[p->conv]->s.n_in > 2;
    int sum = -1;
    for (int i = 0; i < p->n_runs; i++) {
        int in[3] = {-1, -1, g->node[p->conv]->in[2]}, part = -1;
        SAK_TRY(inputs_of_run(p, &p->runs[i], in, err));
        const sak_attrs attr = attr_of_run(p, &p->runs[i]);
        const int n_in = i == 0 && bias ? 3 : 2;
        if (p->n_runs == 1)
            return sak_graph_replace(g, p->conv, op, &attr, n_in, in, err);
        SAK_TRY(sak_graph_op(g, op, &attr, n_in, in, &part, err));
        sak_attrs none;
        sak_op_defaults(plus, &none);
        if (i == p->n_runs - 1)
            return sak_graph_replace(g, p->conv, plus, &none, 2, (int[]){sum, part}, err);
        if (i > 0)
            SAK_TRY(sak_graph_op(g, plus, &none, 2, (int[]){sum, part}, &part, err));
        sum = part;
    }
    return SAK_OK;
}

static int *count_uses(const sak_graph *g)
{
    int *uses = calloc((size_t)g->n + 1, sizeof *uses);
    for (int i = 0; uses && i < g->n; i++)
        for (int k = 0; g->node[i]->live && k < g->node[i]->s.n_in; k++)
            uses[g->node[i]->in[k]]++;
    return uses;
}

sak_status sak_graph_rewrite(sak_graph *g, int *count, sak_error *err)
{
    int *uses = count_uses(g);
    if (!uses)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for the graph's plan");
    sak_status st = SAK_OK;
    for (int i = 0, n = g->n; st == SAK_OK && i < n; i++) {
        pattern p = {.g = g, .uses = uses, .conv = i};
        if (!match(&p))
            continue;
        find_runs(&p);
        if (!pays(&p))
            continue;
        g->block = g->node[i]->block;
        st = apply(&p, err);
        g->block = 0;
        ++*count;
    }
    if (st == SAK_OK)
        st = sak_graph_rewrite_scales(g, uses, count, err);
    free(uses);
    return st;
}
