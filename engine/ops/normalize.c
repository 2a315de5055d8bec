/* Rows scaled to unit length. */
#include <math.h>

#include "ops/norm_rows.h"

/* save: 1 / |x| of each row; negative, -1 / eps, where |x| is at most eps. */
static void run_normalize(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    const sak_real eps = (sak_real)SAK_ATTR(c->s, 0);
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = c->x[0] + r * j->n;
        const sak_real norm = (sak_real)sqrt((double)j->simd->dot(j->n, x, x));
        c->save[r] = norm <= eps ? -1 / eps : 1 / norm;
        j->simd->scale(j->n, norm <= eps ? 1 / eps : 1 / norm, x, c->y + r * j->n, false);
    }
}

/* dx = (dy - y <y, dy>) / |x|, without the projection where the length was eps. */
static void run_normalize_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++) {
        const sak_real *y = c->y + r * j->n, *dy = c->dy + r * j->n;
        sak_real *dx = c->dx[0] + r * j->n;
        const sak_real inverse = c->save[r] < 0 ? -c->save[r] : c->save[r];
        j->simd->scale(j->n, inverse, dy, dx, c->acc[0]);
        if (c->save[r] > 0)
            j->simd->axpy(j->n, -inverse * j->simd->dot(j->n, y, dy), y, dx);
    }
}

static void normalize_forward(const sak_opcall *c)
{
    sak_norm_over_rows(c, run_normalize);
}

static void normalize_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_norm_over_rows(c, run_normalize_grad);
}

static int64_t normalize_save(const sak_opshape *s)
{
    return sak_shape_rows(&s->x[0]);
}

static const sak_attr_spec normalize_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-12, .doc = "least length"},
    {0},
};

static const char *const normalize_cases[] = {
    "x=2x3x5", "x=4x37", "x=7", "x=2x5:in(-0.1,0.1); eps=10", NULL,
};

const sak_op sak_ops_normalize[] = {
    {.name = "normalize",
     .inputs = "x",
     .n_in = 1,
     .attrs = normalize_attrs,
     .shape = sak_norm_shape,
     .forward = normalize_forward,
     .backward = normalize_backward,
     .keep = SAK_KEEP_Y,
     .save = normalize_save,
     .cases = normalize_cases,
     .eq = "y = x / max(|x|, eps)",
     .doc = "Unit length (L2) along the last axis."},
    {0},
};
