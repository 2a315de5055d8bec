/* Mixture of representations: a weighted sum of expert tensors in one pass. */
#include "kernels/simd.h"
#include "ops/op.h"

typedef struct mix {
    const sak_opcall *c;
    const sak_simd *simd;
    int64_t rows, C, E, share; /* `share` rows use one row of p */
} mix;

static mix mix_sizes(const sak_opcall *c)
{
    const sak_opshape *s = c->s;
    const int64_t rows = sak_shape_rows(&s->y);
    return (mix){c, sak_simd_table(), rows, sak_shape_last(&s->y), s->n_in - 1,
                 rows / (sak_shape_rows(&s->x[0]) > 0 ? sak_shape_rows(&s->x[0]) : 1)};
}

static sak_status mix_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *p = &s->x[0], *x = &s->x[1];
    for (int e = 2; e < s->n_in; e++)
        if (!sak_shape_equal(x, &s->x[e]))
            return SAK_FAIL(err, SAK_ESHAPE, "mix: expert 1 is %s but expert %d is %s",
                            SAK_SHAPE_TEXT(x), e, SAK_SHAPE_TEXT(&s->x[e]));
    bool fits = x->n >= 2 && (p->n == 2 || p->n == x->n) && sak_shape_last(p) == s->n_in - 1;
    for (int i = 0; fits && i < p->n - 1; i++)
        fits = p->d[i] == x->d[i];
    if (!fits)
        return SAK_FAIL(err, SAK_ESHAPE, "mix: p must be (B, E) or (B, L, E) for E = %d experts "
                        "(B, L, C) = %s, got %s", s->n_in - 1, SAK_SHAPE_TEXT(x), SAK_SHAPE_TEXT(p));
    s->y = *x;
    return SAK_OK;
}

static sak_scratch mix_scratch(const sak_opshape *s)
{
    return (sak_scratch){.shared = sak_shape_rows(&s->y) * (s->n_in - 1)};
}

static double mix_flops(const sak_opshape *s)
{
    return 2.0 * (s->n_in - 1) * (double)sak_shape_count(&s->y);
}

static int64_t mix_grain(const mix *m)
{
    return 32768 / (m->C * m->E + 1) + 1;
}

static void mix_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const mix *m = ctx;
    for (int64_t i = begin; i < end; i++) {
        const sak_real *p = m->c->x[0] + i / m->share * m->E;
        for (int64_t e = 0; e < m->E; e++)
            m->simd->scale(m->C, p[e], m->c->x[1 + e] + i * m->C, m->c->y + i * m->C, e > 0);
    }
}

static void mix_forward(const sak_opcall *c)
{
    mix m = mix_sizes(c);
    sak_parallel_for(m.rows, mix_grain(&m), mix_rows, &m);
}

static void mix_grad_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const mix *m = ctx;
    const sak_opcall *c = m->c;
    for (int64_t i = begin; i < end; i++) {
        const sak_real *p = c->x[0] + i / m->share * m->E, *dy = c->dy + i * m->C;
        for (int64_t e = 0; e < m->E; e++) {
            if (c->dx[1 + e])
                m->simd->scale(m->C, p[e], dy, c->dx[1 + e] + i * m->C, c->acc[1 + e]);
            if (c->dx[0])
                c->shared[i * m->E + e] = m->simd->dot(m->C, dy, c->x[1 + e] + i * m->C);
        }
    }
}

/* dp of one row of p: the sum over the rows that share it, in order. */
static void mix_grad_weights(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const mix *m = ctx;
    for (int64_t i = begin; i < end; i++)
        for (int64_t e = 0; e < m->E; e++) {
            sak_real sum = 0;
            for (int64_t j = 0; j < m->share; j++)
                sum += m->c->shared[(i * m->share + j) * m->E + e];
            sak_put(m->c->dx[0], i * m->E + e, sum, m->c->acc[0]);
        }
}

static void mix_backward(const sak_opcall *c)
{
    mix m = mix_sizes(c);
    sak_parallel_for(m.rows, mix_grain(&m), mix_grad_rows, &m);
    if (c->dx[0])
        sak_parallel_for(m.rows / m.share, 4096 / (m.share * m.E) + 1, mix_grad_weights, &m);
}

const sak_op sak_ops_mix[] = {
    {.name = "mix", .inputs = "p xs…", .n_in = 2, .max_in = SAK_MAX_IN, .shape = mix_shape,
     .forward = mix_forward, .backward = mix_backward, .keep = SAK_KEEP_ALL_X,
     .scratch = mix_scratch, .flops = mix_flops,
     .cases = (const char *const[]){"p=2x3 a=2x5x4 b=2x5x4 c=2x5x4", "p=2x1 a=2x3x2",
                                    "p=2x5x2 a=2x5x3 b=2x5x3", "p=3x4 a=3x7 b=3x7 c=3x7 d=3x7",
                                    "p=1x2 a=1x3x2x5 b=1x3x2x5", NULL},
     .eq = "y[b, l] = sum_e p[b, (l,) e] x_e[b, l]",
     .doc = "Weighted sum of E tensors; weights per sample (B, E) or per token (B, L, E)."},
    {0},
};
