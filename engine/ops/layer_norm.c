/* Layer normalisation. */
#include <string.h>

#include "kernels/colsum.h"
#include "ops/norm_rows.h"

/* y = (x - mean) rstd w + b over the last axis; save: mean and rstd of each row.
 * Ba, Kiros & Hinton, arXiv:1607.06450; the variance is the biased one, as in PyTorch. */
static void run_layer_norm(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++)
        j->simd->layer_norm(j->n, c->x[0] + r * j->n, c->x[1], c->x[2],
                            (sak_real)SAK_ATTR(c->s, 0), c->y + r * j->n, c->save + r,
                            c->save + j->rows + r);
}

static void layer_norm_forward(const sak_opcall *c)
{
    sak_norm_over_rows(c, run_layer_norm);
}

/* dx of the chunk's rows, and their share of dw and db: shared is dw (parts, n), db (parts, n). */
static void run_layer_norm_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    const bool params = c->dx[1] || c->dx[2];
    sak_real *dw = c->shared + chunk * j->n, *db = dw + j->parts * j->n;
    if (params) {
        memset(dw, 0, (size_t)j->n * sizeof *dw);
        memset(db, 0, (size_t)j->n * sizeof *db);
    }
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = c->x[0] + r * j->n, *dy = c->dy + r * j->n;
        const sak_real mean = c->save[r], rstd = c->save[j->rows + r];
        if (c->dx[0])
            j->simd->layer_norm_grad(j->n, x, c->x[1], dy, mean, rstd, c->dx[0] + r * j->n,
                                     c->acc[0]);
        if (params)
            j->simd->layer_norm_wgrad(j->n, x, dy, mean, rstd, dw, db);
    }
}

static void layer_norm_backward(const sak_opcall *c)
{
    const norm_job j = sak_norm_job(c->s);
    sak_norm_over_rows(c, run_layer_norm_grad);
    for (int i = 1; i <= 2; i++)
        if (c->dx[i])
            sak_combine(j.parts, j.n, c->shared + (i - 1) * j.parts * j.n, c->dx[i], c->acc[i]);
}

static int64_t layer_norm_save(const sak_opshape *s)
{
    return 2 * sak_shape_rows(&s->x[0]);
}

static sak_scratch layer_norm_scratch(const sak_opshape *s)
{
    const norm_job j = sak_norm_job(s);
    return (sak_scratch){.shared = 2 * j.parts * j.n};
}

static const sak_attr_spec layer_norm_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-5, .doc = "added to the variance"},
    {0},
};

static const char *const layer_norm_cases[] = {
    "x=2x3x5 weight=5 bias=5", "x=4x37 weight=37 bias=37; eps=0.1", "x=7 weight=7 bias=7",
    "x=16x16 weight=16 bias=16", NULL,
};

const sak_op sak_ops_layer_norm[] = {
    {.name = "layer_norm",
     .inputs = "x weight bias",
     .n_in = 3,
     .attrs = layer_norm_attrs,
     .shape = sak_norm_affine_shape,
     .forward = layer_norm_forward,
     .backward = layer_norm_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .save = layer_norm_save,
     .scratch = layer_norm_scratch,
     .flops = sak_norm_flops,
     .cheap = true,
     .cases = layer_norm_cases,
     .eq = "y = (x - mean) / sqrt(var + eps) weight + bias",
     .doc = "Layer normalisation over the last axis."},
    {0},
};
