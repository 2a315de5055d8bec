/* A linear layer whose result is scaled, by one factor (adapters) or one a channel (layer scale): the
 * scale goes into the weight, so that no unscaled result is written, kept or read again. */
#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "ops/op.h"

enum { X, WEIGHT, SCALE, BIAS };

#define GRAIN 32768 /* elements of the weight per chunk */

typedef struct sizes {
    int64_t rows, in, out;
    bool one, bias; /* one factor for all channels */
} sizes;

static sizes sizes_of(const sak_opshape *s)
{
    return (sizes){sak_shape_rows(&s->x[X]), s->x[WEIGHT].d[1], s->x[WEIGHT].d[0],
                   sak_shape_count(&s->x[SCALE]) == 1, s->n_in > BIAS};
}

static sak_status scaled_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[X], *w = &s->x[WEIGHT], *scale = &s->x[SCALE];
    if (w->n != 2 || x->n < 1 || x->d[x->n - 1] != w->d[1])
        return SAK_FAIL(err, SAK_ESHAPE, "scaled_linear: x is %s but weight is %s", SAK_SHAPE_TEXT(x),
                        SAK_SHAPE_TEXT(w));
    if (scale->n != 1 || (scale->d[0] != 1 && scale->d[0] != w->d[0]))
        return SAK_FAIL(err, SAK_ESHAPE, "scaled_linear: scale must be (1) or (%lld), got %s",
                        (long long)w->d[0], SAK_SHAPE_TEXT(scale));
    if (s->n_in > BIAS && (s->x[BIAS].n != 1 || s->x[BIAS].d[0] != w->d[0]))
        return SAK_FAIL(err, SAK_ESHAPE, "scaled_linear: bias must be (%lld), got %s",
                        (long long)w->d[0], SAK_SHAPE_TEXT(&s->x[BIAS]));
    s->y = *x;
    s->y.d[x->n - 1] = w->d[0];
    return SAK_OK;
}

/* Scratch: a matrix like the weight, two vectors of `out`, and room for column sums. */
static sak_scratch scaled_scratch(const sak_opshape *s)
{
    const sizes z = sizes_of(s);
    return (sak_scratch){.shared = z.out * (z.in + 2) + sak_column_sums_scratch(z.rows, z.out)};
}

static double scaled_flops(const sak_opshape *s)
{
    return 2.0 * (double)sak_shape_count(&s->x[X]) * (double)s->x[WEIGHT].d[0];
}

static sak_real factor(const sak_opcall *c, const sizes *z, int64_t o)
{
    return c->x[SCALE][z->one ? 0 : o];
}

/* to[o] = (to[o] +) scale[o] from[o], rows of n elements */
typedef struct scaling {
    const sak_opcall *c;
    const sizes *z;
    int64_t n;
    const sak_real *from;
    sak_real *to;
    bool acc;
} scaling;

static void scale_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const scaling *j = ctx;
    for (int64_t o = begin; o < end; o++)
        sak_simd_table()->scale(j->n, factor(j->c, j->z, o), j->from + o * j->n, j->to + o * j->n,
                                j->acc);
}

static void run(scaling j)
{
    sak_parallel_for(j.z->out, GRAIN / (j.n + 1) + 1, scale_rows, &j);
}

static void scaled_forward(const sak_opcall *c)
{
    const sizes z = sizes_of(c->s);
    sak_real *w = c->shared, *b = w + z.out * z.in;
    run((scaling){c, &z, z.in, c->x[WEIGHT], w, false});
    if (z.bias)
        run((scaling){c, &z, 1, c->x[BIAS], b, false});
    sak_gemm_bias(z.rows, z.out, z.in, (sak_mat){c->x[X], z.in, 1}, (sak_mat){w, 1, z.in},
                  z.bias ? b : NULL, c->y, z.out);
}

/* With G = dy^T x and g = sum of dy, the gradients of an unscaled layer's weight and bias:
 * dW = scale G, db = scale g, dscale = G . W + g b by channel. */
typedef struct products {
    const sak_opcall *c;
    const sizes *z;
    const sak_real *G, *g;
    sak_real *dot;
} products;

static void scale_products(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const products *p = ctx;
    for (int64_t o = begin; o < end; o++)
        p->dot[o] = sak_simd_table()->dot(p->z->in, p->G + o * p->z->in, p->c->x[WEIGHT] + o * p->z->in) +
                    (p->z->bias ? p->g[o] * p->c->x[BIAS][o] : 0);
}

static void put_scale_gradient(const products *p)
{
    const sak_opcall *c = p->c;
    sak_parallel_for(p->z->out, GRAIN / (p->z->in + 1) + 1, scale_products, (void *)(uintptr_t)p);
    if (p->z->one) {
        sak_put(c->dx[SCALE], 0, sak_simd_table()->sum(p->z->out, p->dot), c->acc[SCALE]);
        return;
    }
    for (int64_t o = 0; o < p->z->out; o++)
        sak_put(c->dx[SCALE], o, p->dot[o], c->acc[SCALE]);
}

static void put_parameter_gradients(const sak_opcall *c, const sizes *z)
{
    sak_real *w = c->shared, *g = w + z->out * z->in, *dot = g + z->out;
    if (c->dx[WEIGHT] || c->dx[SCALE])
        sak_gemm_parallel(z->out, z->in, z->rows, (sak_mat){c->dy, 1, z->out},
                          (sak_mat){c->x[X], z->in, 1}, w, z->in, 1, 0);
    if (z->bias)
        sak_column_sums(z->rows, z->out, c->dy, g, false, dot + z->out);
    if (c->dx[SCALE])
        put_scale_gradient(&(products){c, z, w, g, dot});
    if (c->dx[WEIGHT])
        run((scaling){c, z, z->in, w, c->dx[WEIGHT], c->acc[WEIGHT]});
    if (z->bias && c->dx[BIAS])
        run((scaling){c, z, 1, g, c->dx[BIAS], c->acc[BIAS]});
}

static void scaled_backward(const sak_opcall *c)
{
    const sizes z = sizes_of(c->s);
    if (c->dx[WEIGHT] || c->dx[SCALE] || (z.bias && c->dx[BIAS]))
        put_parameter_gradients(c, &z);
    if (!c->dx[X])
        return;
    /* last: it may lie where x does */
    run((scaling){c, &z, z.in, c->x[WEIGHT], c->shared, false});
    sak_gemm_parallel(z.rows, z.in, z.out, (sak_mat){c->dy, z.out, 1}, (sak_mat){c->shared, z.in, 1},
                      c->dx[X], z.in, 1, c->acc[X]);
}

const sak_op sak_ops_scaled_linear[] = {
    {.name = "scaled_linear", .inputs = "x weight scale bias?", .n_in = 3, .max_in = 4,
     .shape = scaled_shape, .forward = scaled_forward, .backward = scaled_backward,
     .keep = SAK_KEEP_X(X) | SAK_KEEP_X(WEIGHT) | SAK_KEEP_X(SCALE) | SAK_KEEP_X(BIAS),
     .over_x = SAK_KEEP_X(X), .scratch = scaled_scratch, .flops = scaled_flops,
     .cases = (const char *const[]){"x=2x3x4 weight=5x4 scale=1 bias=5", "x=7x3 weight=2x3 scale=1",
                                    "x=2x3x4 weight=5x4 scale=5 bias=5", "x=5 weight=3x5 scale=3",
                                    "x=67x33 weight=17x33 scale=1 bias=17",
                                    "x=67x33 weight=17x33 scale=17 bias=17", NULL},
     .eq = "y = scale (x weight^T + bias)",
     .doc = "Linear layer times a scale, (1) or (out): adapters, layer scale."},
    {0},
};
