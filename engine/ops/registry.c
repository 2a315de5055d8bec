/* The registry: the list of op families, and look-ups over all rows. */
#include <string.h>

#include "ops/op.h"

static const sak_op *const families[] = {
    sak_ops_elementwise, sak_ops_reduce,    sak_ops_layout, sak_ops_norm, sak_ops_linear,
    sak_ops_attention,   sak_ops_conv,      sak_ops_resize, sak_ops_mix,  sak_ops_loss,
    sak_ops_distill,     sak_ops_random,
};

const sak_op *sak_op_at(int i)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (const sak_op *op = families[f]; op->name; op++)
            if (i-- == 0)
                return op;
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
