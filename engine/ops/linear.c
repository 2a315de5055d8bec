/* Products: the linear layer and (batched) matrix multiplication. */
#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "ops/op.h"

/* --- linear ---------------------------------------------------------------------------------------*/

static sak_status linear_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0], *w = &s->x[1];
    if (w->n != 2)
        return SAK_FAIL(err, SAK_ESHAPE, "linear: weight must be (out, in), got %s",
                        SAK_SHAPE_TEXT(w));
    if (x->n < 1 || x->d[x->n - 1] != w->d[1])
        return SAK_FAIL(err, SAK_ESHAPE, "linear: x is %s but weight is %s", SAK_SHAPE_TEXT(x),
                        SAK_SHAPE_TEXT(w));
    if (s->n_in > 2 && (s->x[2].n != 1 || s->x[2].d[0] != w->d[0]))
        return SAK_FAIL(err, SAK_ESHAPE, "linear: bias must be (%lld), got %s", (long long)w->d[0],
                        SAK_SHAPE_TEXT(&s->x[2]));
    s->y = *x;
    s->y.d[x->n - 1] = w->d[0];
    return SAK_OK;
}

static sak_scratch linear_scratch(const sak_opshape *s)
{
    sak_scratch need = {0};
    if (s->n_in > 2)
        need.shared = sak_column_sums_scratch(sak_shape_rows(&s->y), sak_shape_last(&s->y));
    return need;
}

static double linear_flops(const sak_opshape *s)
{
    return 2.0 * (double)sak_shape_count(&s->x[0]) * (double)s->x[1].d[0];
}

static void linear_forward(const sak_opcall *c)
{
    const int64_t rows = sak_shape_rows(&c->s->y), in = c->s->x[1].d[1], out = c->s->x[1].d[0];
    sak_gemm_bias(rows, out, in, (sak_mat){c->x[0], in, 1}, (sak_mat){c->x[1], 1, in},
                  c->s->n_in > 2 ? c->x[2] : NULL, c->y, out);
}

static void linear_backward(const sak_opcall *c)
{
    const int64_t rows = sak_shape_rows(&c->s->y), in = c->s->x[1].d[1], out = c->s->x[1].d[0];
    if (c->dx[1])
        sak_gemm_parallel(out, in, rows, (sak_mat){c->dy, 1, out}, (sak_mat){c->x[0], in, 1},
                          c->dx[1], in, 1, c->acc[1]);
    if (c->s->n_in > 2 && c->dx[2])
        sak_column_sums(rows, out, c->dy, c->dx[2], c->acc[2], c->shared);
    if (c->dx[0]) /* last: it may lie where x does */
        sak_gemm_parallel(rows, in, out, (sak_mat){c->dy, out, 1}, (sak_mat){c->x[1], in, 1},
                          c->dx[0], in, 1, c->acc[0]);
}

/* --- matmul ---------------------------------------------------------------------------------------*/

typedef struct matmul {
    int64_t batch, m, n, k;
    bool shared_b, ta, tb;
} matmul;

static matmul matmul_sizes(const sak_opshape *s)
{
    const sak_shape *a = &s->x[0], *b = &s->x[1];
    matmul p = {.ta = SAK_ATTR(s, 0) != 0, .tb = SAK_ATTR(s, 1) != 0};
    p.batch = 1;
    for (int i = 0; i < a->n - 2; i++)
        p.batch *= a->d[i];
    p.shared_b = b->n == 2;
    p.m = a->d[a->n - 2 + p.ta];
    p.k = a->d[a->n - 1 - p.ta];
    p.n = b->d[b->n - 1 - p.tb];
    return p;
}

static sak_status matmul_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *a = &s->x[0], *b = &s->x[1];
    if (a->n < 2 || b->n < 2)
        return SAK_FAIL(err, SAK_ESHAPE, "matmul: a is %s and b is %s; both need two dimensions",
                        SAK_SHAPE_TEXT(a), SAK_SHAPE_TEXT(b));
    const matmul p = matmul_sizes(s);
    bool fits = p.k == b->d[b->n - 2 + p.tb] && (b->n == 2 || b->n == a->n);
    for (int i = 0; fits && b->n > 2 && i < a->n - 2; i++)
        fits = a->d[i] == b->d[i];
    if (!fits)
        return SAK_FAIL(err, SAK_ESHAPE, "matmul: a%s is %s but b%s is %s", p.ta ? "^T" : "",
                        SAK_SHAPE_TEXT(a), p.tb ? "^T" : "", SAK_SHAPE_TEXT(b));
    s->y = *a;
    s->y.d[a->n - 2] = p.m;
    s->y.d[a->n - 1] = p.n;
    return SAK_OK;
}

static double matmul_flops(const sak_opshape *s)
{
    const matmul p = matmul_sizes(s);
    return 2.0 * (double)p.batch * (double)p.m * (double)p.n * (double)p.k;
}

/* One product per batch element: c[i] = a[i] b[i]; steps of 0 share an operand. */
typedef struct batched {
    int64_t m, n, k, a_step, b_step;
    sak_mat a, b;
    sak_real *c;
    bool acc;
} batched;

static void batched_run(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const batched *p = ctx;
    for (int64_t i = begin; i < end; i++)
        sak_gemm(p->m, p->n, p->k, (sak_mat){p->a.p + i * p->a_step, p->a.rs, p->a.cs},
                 (sak_mat){p->b.p + i * p->b_step, p->b.rs, p->b.cs}, p->c + i * p->m * p->n, p->n,
                 1, p->acc);
}

static void batched_products(int64_t batch, const batched *p)
{
    if (batch == 1) {
        sak_gemm_parallel(p->m, p->n, p->k, p->a, p->b, p->c, p->n, 1, p->acc);
        return;
    }
    const double each = 2.0 * (double)p->m * (double)p->n * (double)p->k;
    sak_parallel_for(batch, each < 1e6 ? (int64_t)(1e6 / (each + 1)) + 1 : 1, batched_run,
                     (void *)(uintptr_t)p);
}

/* A row-major (rows, cols) matrix, or its transpose. */
static sak_mat mat(const sak_real *p, int64_t cols, bool transpose)
{
    return transpose ? (sak_mat){p, 1, cols} : (sak_mat){p, cols, 1};
}

static void matmul_forward(const sak_opcall *c)
{
    const matmul p = matmul_sizes(c->s);
    const sak_mat a = mat(c->x[0], p.ta ? p.m : p.k, p.ta), b = mat(c->x[1], p.tb ? p.k : p.n, p.tb);
    if (p.shared_b && !p.ta)
        sak_gemm_parallel(p.batch * p.m, p.n, p.k, a, b, c->y, p.n, 1, 0);
    else
        batched_products(p.batch, &(batched){p.m, p.n, p.k, p.m * p.k, p.shared_b ? 0 : p.k * p.n,
                                             a, b, c->y, false});
}

static void matmul_backward(const sak_opcall *c)
{
    const matmul p = matmul_sizes(c->s);
    const int64_t mk = p.m * p.k, kn = p.k * p.n, mn = p.m * p.n, b_step = p.shared_b ? 0 : kn;
    const sak_mat dy = mat(c->dy, p.n, false), dy_t = mat(c->dy, p.n, true);
    if (c->dx[0]) {
        const sak_mat b_t = mat(c->x[1], p.tb ? p.k : p.n, !p.tb);
        const sak_mat b = mat(c->x[1], p.tb ? p.k : p.n, p.tb);
        if (p.ta)
            batched_products(p.batch, &(batched){p.k, p.m, p.n, b_step, mn, b, dy_t, c->dx[0],
                                                 c->acc[0]});
        else if (p.shared_b)
            sak_gemm_parallel(p.batch * p.m, p.k, p.n, dy, b_t, c->dx[0], p.k, 1, c->acc[0]);
        else
            batched_products(p.batch, &(batched){p.m, p.k, p.n, mn, b_step, dy, b_t, c->dx[0],
                                                 c->acc[0]});
    }
    if (!c->dx[1])
        return;
    /* db = a^T dy, or its transpose; a shared b sums over the batch: one long product when the
     * rows of all batches follow each other, else one product after the other. */
    const bool joined = p.shared_b && !p.ta;
    const int64_t rows = joined ? p.batch * p.m : p.m;
    for (int64_t i = 0; i < (p.shared_b && p.ta ? p.batch : 1); i++) {
        const sak_real *ai = c->x[0] + i * mk, *di = c->dy + i * mn;
        const sak_mat a = mat(ai, p.ta ? p.m : p.k, p.ta), a_t = mat(ai, p.ta ? p.m : p.k, !p.ta);
        const batched one = p.tb ? (batched){p.n, p.k, rows, mn, mk, mat(di, p.n, true), a,
                                             c->dx[1], c->acc[1] || i > 0}
                                 : (batched){p.k, p.n, rows, mk, mn, a_t, mat(di, p.n, false),
                                             c->dx[1], c->acc[1] || i > 0};
        batched_products(p.shared_b ? 1 : p.batch, &one);
    }
}

static const sak_attr_spec matmul_attrs[] = {
    {.name = "ta", .type = SAK_ATTR_BOOL, .doc = "a is given transposed, (..., k, m)"},
    {.name = "tb", .type = SAK_ATTR_BOOL, .doc = "b is given transposed, (..., n, k)"},
    {0},
};

const sak_op sak_ops_linear[] = {
    {.name = "linear", .inputs = "x weight bias?", .n_in = 2, .max_in = 3, .shape = linear_shape,
     .forward = linear_forward, .backward = linear_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .over_x = SAK_KEEP_X(0), .scratch = linear_scratch, .flops = linear_flops,
     .cases = (const char *const[]){"x=2x3x4 weight=5x4 bias=5", "x=7x3 weight=2x3",
                                    "x=5 weight=3x5 bias=3", "x=1x1 weight=1x1 bias=1",
                                    "x=67x33 weight=17x33 bias=17", NULL},
     .eq = "y = x weight^T + bias", .doc = "Linear layer on the last axis; weight (out, in)."},
    {.name = "matmul", .inputs = "a b", .n_in = 2, .attrs = matmul_attrs, .shape = matmul_shape,
     .forward = matmul_forward, .backward = matmul_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .flops = matmul_flops,
     .cases = (const char *const[]){"a=3x4 b=4x5", "a=2x3x4 b=2x4x5", "a=2x3x4 b=4x5",
                                    "a=2x4x3 b=2x4x5; ta=true", "a=2x3x4 b=2x5x4; tb=true",
                                    "a=2x4x3 b=2x5x4; ta=true tb=true", "a=2x4x3 b=4x5; ta=true",
                                    "a=2x3x4 b=5x4; tb=true", "a=3x4x3 b=5x4; ta=true tb=true",
                                    "a=2x2x3x4 b=2x2x4x1", NULL},
     .eq = "y = a b", .doc = "Matrix product of the last two axes; b may lack the batch axes."},
    {0},
};
