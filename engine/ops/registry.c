/* The registry: the list of op tables, each with its family, and look-ups over all rows. */
#include <string.h>

#include "ops/op.h"

static const struct {
    const char *family;
    const sak_op *ops;
} tables[] = {
    {"elementwise", sak_ops_binary},
    {"elementwise", sak_ops_unary},
    {"elementwise", sak_ops_activation},
    {"elementwise", sak_ops_scalar},
    {"reduce", sak_ops_reduce},
    {"layout", sak_ops_permute},
    {"layout", sak_ops_concat},
    {"layout", sak_ops_pad_crop},
    {"layout", sak_ops_embedding},
    {"norm", sak_ops_layer_norm},
    {"norm", sak_ops_softmax},
    {"norm", sak_ops_batch_norm},
    {"norm", sak_ops_normalize},
    {"norm", sak_ops_center},
    {"linear", sak_ops_linear},
    {"attention", sak_ops_attention},
    {"window", sak_ops_window},
    {"conv", sak_ops_conv},
    {"conv", sak_ops_depthwise},
    {"conv", sak_ops_patchify},
    {"conv", sak_ops_conv_resize},
    {"resize", sak_ops_resize},
    {"mix", sak_ops_mix},
    {"loss", sak_ops_cross_entropy},
    {"loss", sak_ops_l1_masked},
    {"loss", sak_ops_binary_loss},
    {"distill", sak_ops_distill},
    {"random", sak_ops_random},
    {"linear", sak_ops_scaled_linear},
};
enum { TABLES = sizeof tables / sizeof *tables };

const sak_op *sak_op_at(int i)
{
    for (int t = 0; t < TABLES; t++)
        for (const sak_op *op = tables[t].ops; op->name; op++)
            if (i-- == 0)
                return op;
    return NULL;
}

const char *sak_op_family(const char *name)
{
    for (int t = 0; t < TABLES; t++)
        for (const sak_op *op = tables[t].ops; op->name; op++)
            if (strcmp(op->name, name) == 0)
                return tables[t].family;
    return NULL;
}

const sak_op *sak_op_find(const char *name)
{
    const sak_op *op = NULL;
    for (int i = 0; (op = sak_op_at(i)); i++)
        if (strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

int sak_op_attr(const sak_op *op, const char *name)
{
    for (int i = 0; op->attrs && op->attrs[i].type != SAK_ATTR_END; i++)
        if (strcmp(op->attrs[i].name, name) == 0)
            return i;
    return -1;
}

void sak_op_defaults(const sak_op *op, sak_attrs *attrs)
{
    *attrs = (sak_attrs){0};
    for (int i = 0; op->attrs && op->attrs[i].type != SAK_ATTR_END; i++)
        attrs->v[i] = op->attrs[i].def;
}

sak_status sak_shape_same(sak_opshape *s, sak_error *err)
{
    (void)err;
    s->y = s->x[0];
    return SAK_OK;
}
