/* L1 over the labelled pixels (depth, normals), method section 4. */
#include <math.h>
#include <tgmath.h>

#include "ops/loss_parts.h"

static sak_scratch l1_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_rows(&s->x[0]), LOSS_GRAIN), 2), 0};
}

static bool pixel_valid(const sak_real *t, int64_t C)
{
    for (int64_t k = 0; k < C; k++)
        if (t[k] == LOSS_IGNORED)
            return false;
    return true;
}

/* What the prediction is divided by: max(|p|, 1e-12), or 1. */
static sak_real divisor(const sak_opcall *c, const sak_real *p, int64_t C)
{
    if (SAK_ATTR(c->s, 0) == 0)
        return 1;
    sak_real q = 0;
    for (int64_t k = 0; k < C; k++)
        q += p[k] * p[k];
    q = sqrt(q);
    return q > (sak_real)1e-12 ? q : (sak_real)1e-12;
}

static void l1_forward_pixels(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    const int64_t C = sak_shape_last(&l->c->s->x[0]);
    double n = 0, sum = 0;
    for (int64_t i = begin; i < end; i++) {
        const sak_real *p = l->c->x[0] + i * C, *t = l->c->x[1] + i * C;
        if (!pixel_valid(t, C))
            continue;
        const sak_real d = divisor(l->c, p, C);
        for (int64_t k = 0; k < C; k++)
            sum += (double)fabs(p[k] / d - t[k]);
        n += 1;
    }
    l->part[2 * chunk] = n;
    l->part[2 * chunk + 1] = sum;
}

static void l1_forward(const sak_opcall *c)
{
    const int64_t pixels = sak_shape_rows(&c->s->x[0]), chunks = sak_chunks(pixels, LOSS_GRAIN);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(pixels, LOSS_GRAIN, l1_forward_pixels, &l);
    const double found = loss_sum(l.part, 0, chunks, 2, 0), n = found > 0 ? found : 1;
    c->y[0] = (sak_real)(loss_sum(l.part, 0, chunks, 2, 1) / n);
    if (c->save)
        c->save[0] = (sak_real)(1 / n);
}

static sak_real sign_of(sak_real v)
{
    return (sak_real)((v > 0) - (v < 0));
}

/* Of u = p/d with d = |p|:  dp = (g - u (u . g)) / d; below 1e-12, d is constant: dp = g / d. */
static void l1_backward_pixels(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const int64_t C = sak_shape_last(&c->s->x[0]);
    const sak_real w = c->dy[0] * c->save[0];
    for (int64_t i = begin; i < end; i++) {
        const sak_real *p = c->x[0] + i * C, *t = c->x[1] + i * C;
        const bool valid = pixel_valid(t, C);
        const sak_real d = divisor(c, p, C);
        sak_real along = 0; /* u . sign */
        if (SAK_ATTR(c->s, 0) != 0 && d > (sak_real)1e-12)
            for (int64_t k = 0; k < C; k++)
                along += p[k] / d * sign_of(p[k] / d - t[k]);
        for (int64_t k = 0; k < C; k++) {
            const sak_real u = p[k] / d;
            sak_put(c->dx[0], i * C + k, valid ? w * (sign_of(u - t[k]) - u * along) / d : 0,
                    c->acc[0]);
        }
    }
}

static void l1_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(sak_shape_rows(&c->s->x[0]), LOSS_GRAIN, l1_backward_pixels,
                         &(loss_loop){.c = c});
}

static const sak_attr_spec l1_attrs[] = {
    {.name = "normalize",
     .type = SAK_ATTR_BOOL,
     .doc = "scale the prediction to unit length first"},
    {0},
};

static const char *const l1_cases[] = {
    "pred=2x3x4x1 label=2x3x4x1",
    "pred=2x3x2x3:pos label=2x3x2x3:unit; normalize=true",
    "pred=2x3x2x2:in(1,3) label=2x3x2x2:int(4,9)",
    NULL,
};

const sak_op sak_ops_l1_masked[] = {
    {.name = "l1_masked", .inputs = "pred label", .n_in = 2, .attrs = l1_attrs,
     .shape = loss_shape_pair, .forward = l1_forward, .backward = l1_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .no_grad = SAK_KEEP_X(1), .save = loss_save_one,
     .scratch = l1_scratch, .cases = l1_cases,
     .eq = "y = sum_valid |p - t| / #valid pixels; normalize: p = pred / max(|pred|, 1e-12)",
     .doc = "L1 over pixels none of whose channels is 255 (depth, normals)."},
    {0},
};
