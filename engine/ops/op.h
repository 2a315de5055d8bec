/* The op row: everything the engine knows about one operation, in one place.
 *
 * An op maps inputs x[0..n) to one output y.  Rows live in a table at the foot of a file;
 * registry.c lists the tables and names the family of each.  The row drives shape inference, the
 * executor, the memory planner, the Lua binding, `sak ops`, and the gradient check that visits every
 * row.
 *
 * Conventions: row-major, channels last.  Tokens (B, L, C); images and maps (B, H, W, C).
 * Parameters keep PyTorch's layout: linear weight (out, in), conv weight (out, in, kh, kw).
 * Labels are sak_real too; 255 = ignore.  */
#ifndef SAK_OPS_OP_H
#define SAK_OPS_OP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "base/real.h"
#include "base/rng.h"
#include "base/status.h"
#include "tensor/shape.h"

#define SAK_MAX_IN 16
#define SAK_MAX_ATTRS 8

typedef enum sak_attr_type {
    SAK_ATTR_END = 0, /* ends an attribute list */
    SAK_ATTR_INT,
    SAK_ATTR_REAL,
    SAK_ATTR_BOOL,
    SAK_ATTR_CHOICE, /* one of `choices` ("a|b|c"); stored as its index */
    SAK_ATTR_DIMS,   /* a list of integers, at most SAK_MAX_DIMS; one per op; stored in dims */
} sak_attr_type;

typedef struct sak_attr_spec {
    const char *name;
    sak_attr_type type;
    bool required;
    double def; /* default; index for CHOICE */
    const char *choices;
    const char *doc;
} sak_attr_spec;

/* Values in the order of the row's attribute list; dims holds the SAK_ATTR_DIMS one. */
typedef struct sak_attrs {
    double v[SAK_MAX_ATTRS];
    sak_shape dims;
} sak_attrs;

/* What a node looks like when its shape, save and scratch are computed (no data yet). */
typedef struct sak_opshape {
    const struct sak_op *op;
    const sak_attrs *attr;
    int n_in;
    sak_shape x[SAK_MAX_IN];
    sak_shape y;
    bool training;
} sak_opshape;

/* Scratch for one call, in elements of sak_real; gone when the call returns.  `shared` is one
 * block; `each` is a block per worker. */
typedef struct sak_scratch {
    int64_t shared, each;
} sak_scratch;

/* One execution.  Pointers are 64-byte aligned, but for
 * parameters of a frozen model, which may lie in a mapped file: those are aligned to their type.
 * forward:  reads x[i], writes all of y (and save).
 * backward: reads dy, and of x, y only what `keep` names (others are NULL); for each i with
 *           dx[i] != NULL writes all of dx[i], or adds to it where acc[i].  A dx aliases nothing but
 *           what over_dy and over_x of its row allow, and then acc[i] is false. */
typedef struct sak_opcall {
    const sak_opshape *s;
    const sak_real *x[SAK_MAX_IN];
    sak_real *y;
    sak_real *save;
    const sak_real *dy;
    sak_real *dx[SAK_MAX_IN];
    bool acc[SAK_MAX_IN];
    sak_real *shared;
    sak_real *each; /* worker w: each + w * each_stride */
    int64_t each_stride;
    bool again; /* forward is repeated for backward: inputs in `mutates` must stay as they are */
    sak_rng_key rng; /* seed, node and step; element index is the op's business */
} sak_opcall;

static inline sak_real *sak_each(const sak_opcall *c, int worker)
{
    return c->each + worker * c->each_stride;
}

/* Writes v to dx[i], or adds it where the caller accumulates. */
static inline void sak_put(sak_real *dx, int64_t i, sak_real v, bool acc)
{
    dx[i] = acc ? dx[i] + v : v;
}

enum {
    SAK_KEEP_Y = 1u << 31,
    SAK_KEEP_ALL_X = (1u << SAK_MAX_IN) - 1,
};
#define SAK_KEEP_X(i) (1u << (i))

typedef struct sak_op {
    const char *name;
    /* "x weight bias?" names the inputs in order; `?` marks an optional trailing one, a final
     * "xs…" takes one or more.  Optional inputs may also be passed as nil from Lua: then n_in is
     * smaller (optional inputs are always last). */
    const char *inputs;
    int n_in, max_in; /* accepted number of inputs; max_in 0 = n_in */
    const sak_attr_spec *attrs; /* ended by {0}; NULL = none */
    /* Checks everything about inputs and attributes and sets s->y. */
    sak_status (*shape)(sak_opshape *s, sak_error *err);
    void (*forward)(const sak_opcall *c);
    void (*backward)(const sak_opcall *c); /* NULL: no gradient flows */
    unsigned keep;    /* SAK_KEEP_X(i) | SAK_KEEP_Y: what backward reads */
    unsigned no_grad; /* bit i: input i is never differentiated (labels, ids) */
    unsigned mutates; /* bit i: forward in training writes input i (BatchNorm statistics) */
    unsigned passes;  /* bit i: where x[i] has y's shape, its gradient is y's; backward gets no dx[i]
                       * when the two share memory */
    unsigned over_dy; /* bit i: where x[i] has y's shape, dx[i] may lie where dy does: an element of dy
                       * is read for the last time before that of dx[i] is written */
    unsigned over_x;  /* bit i: dx[i] may lie where x[i] does, likewise */
    bool cheap;       /* a few operations an element: backward may have y again from the x it keeps */
    bool view;        /* y has x[0]'s elements in x[0]'s order: no forward, memory is shared */
    int64_t (*save)(const sak_opshape *s);       /* elements kept from forward to backward */
    sak_scratch (*scratch)(const sak_opshape *s); /* covers forward and backward */
    double (*flops)(const sak_opshape *s);       /* forward, multiply-add = 2; NULL = 0 */
    struct {
        double lo, hi;
    } domain; /* where gradient checks draw inputs; {0,0} = [-2, 2] */
    /* Gradient-check cases: one string per case, e.g. "x=2x3x4 weight=5x4 bias=5; axis=-1".
     * Input values may be overridden: "label=2x3:int(0,4)" draws integers 0..3, with some 255;
     * "x=2x3:pos" draws from (0.1, 2); ":unit" normalises the last axis; ":01" draws 0/1.
     * Required for every row with a backward. */
    const char *const *cases;
    const char *eq;  /* the equation, plain text */
    const char *doc; /* one line */
} sak_op;

/* The tables, one a file, ended by a row with name NULL; their order is registry.c's. */
extern const sak_op sak_ops_binary[], sak_ops_unary[], sak_ops_activation[], sak_ops_scalar[],
    sak_ops_reduce[], sak_ops_permute[], sak_ops_concat[], sak_ops_pad_crop[], sak_ops_embedding[],
    sak_ops_layer_norm[], sak_ops_softmax[], sak_ops_batch_norm[], sak_ops_normalize[],
    sak_ops_center[], sak_ops_linear[], sak_ops_attention[], sak_ops_window[], sak_ops_conv[],
    sak_ops_depthwise[], sak_ops_patchify[], sak_ops_conv_resize[], sak_ops_resize[], sak_ops_mix[],
    sak_ops_cross_entropy[], sak_ops_l1_masked[], sak_ops_binary_loss[], sak_ops_distill[],
    sak_ops_random[], sak_ops_scaled_linear[];

/* All rows: i = 0, 1, … until NULL. */
const sak_op *sak_op_at(int i);
const sak_op *sak_op_find(const char *name);
/* The family of an op: "linear", "norm" …; NULL when there is no such op. */
const char *sak_op_family(const char *name);
/* Index of an attribute in the row's list, or -1. */
int sak_op_attr(const sak_op *op, const char *name);
/* Fills attrs with the row's defaults. */
void sak_op_defaults(const sak_op *op, sak_attrs *attrs);

/* Shape rules shared by families. */
sak_status sak_shape_same(sak_opshape *s, sak_error *err); /* y like x[0] */

#define SAK_ATTR(s, i) ((s)->attr->v[i])

#endif
