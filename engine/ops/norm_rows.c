/* What the normalisations share: chunks of rows, shape rules, the count of operations. */
#include "ops/norm_rows.h"

#define GRAIN 16384  /* elements per chunk */
#define MAX_PARTS 64 /* partial sums of a parameter's gradient */

norm_job sak_norm_job(const sak_opshape *s)
{
    norm_job j = {.simd = sak_simd_table(), .rows = sak_shape_rows(&s->x[0]),
                  .n = sak_shape_last(&s->x[0])};
    const int64_t least = GRAIN / (j.n + 1) + 1, few = (j.rows + MAX_PARTS - 1) / MAX_PARTS;
    j.grain = least > few ? least : few;
    j.parts = sak_chunks(j.rows, j.grain);
    return j;
}

void sak_norm_over_rows(const sak_opcall *c, sak_chunk_fn *fn)
{
    norm_job j = sak_norm_job(c->s);
    j.c = c;
    sak_parallel_for(j.rows, j.grain, fn, &j);
}

sak_status sak_norm_has_rows(const sak_opshape *s, sak_error *err)
{
    if (s->x[0].n < 1 || sak_shape_count(&s->x[0]) < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x is empty: %s", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

sak_status sak_norm_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(sak_norm_has_rows(s, err));
    return sak_shape_same(s, err);
}

sak_status sak_norm_affine_shape(sak_opshape *s, sak_error *err)
{
    static const char *const names[] = {"x", "weight", "bias", "running_mean", "running_var"};
    SAK_TRY(sak_norm_has_rows(s, err));
    const int64_t C = sak_shape_last(&s->x[0]);
    for (int i = 1; i < s->n_in; i++)
        if (s->x[i].n != 1 || s->x[i].d[0] != C)
            return SAK_FAIL(err, SAK_ESHAPE, "%s: x is %s, so %s must be (%lld), got %s",
                            s->op->name, SAK_SHAPE_TEXT(&s->x[0]), names[i], (long long)C,
                            SAK_SHAPE_TEXT(&s->x[i]));
    return sak_shape_same(s, err);
}

double sak_norm_flops(const sak_opshape *s)
{
    return 8.0 * (double)sak_shape_count(&s->y);
}
