/* Broadcasting binary operations.
 *
 * Shapes are first collapsed: dimensions of size 1 go, neighbours over which both operands advance
 * alike merge.  (L, C) onto (B, L, C) becomes two dimensions, a scalar onto anything becomes one; the
 * innermost one is then contiguous or constant for each operand, so the kernels see long rows.
 *
 * The gradient of a broadcast operand sums over the dimensions it was stretched along, in an order
 * that depends on the shapes only. */
#include "ops/broadcast.h"

#include <string.h>

#include "kernels/colsum.h"

#define GRAIN 32768     /* elements per chunk */
#define STRIP 512       /* elements of a gradient that are formed, then summed, in the L1 cache */
#define MANY 16         /* this many independent results keep the threads busy */
#define SMALL 65536     /* elements below which splitting a sum does not pay */
#define MAX_PARTS 64

/* ---- collapsed dimensions ---------------------------------------------------------------------- */

typedef struct offset {
    int64_t y, a, b;
} offset;

/* Sizes and strides, outermost first. */
typedef struct dims {
    int n;
    int64_t d[SAK_MAX_DIMS];
    offset by[SAK_MAX_DIMS];
} dims;

static int64_t dim_from_right(const sak_shape *s, int i)
{
    return i < s->n ? s->d[s->n - 1 - i] : 1;
}

static dims collapse(const sak_opshape *s)
{
    dims r = {0}; /* innermost first while it grows */
    offset step = {1, 1, 1};
    for (int i = 0; i < s->y.n; i++) {
        const int64_t d = dim_from_right(&s->y, i), da = dim_from_right(&s->x[0], i),
                      db = dim_from_right(&s->x[1], i);
        if (d == 1)
            continue;
        const offset by = {step.y, da == 1 ? 0 : step.a, db == 1 ? 0 : step.b};
        step = (offset){step.y * d, step.a * da, step.b * db};
        const int k = r.n - 1;
        if (k >= 0 && by.a == r.by[k].a * r.d[k] && by.b == r.by[k].b * r.d[k]) {
            r.d[k] *= d;
        } else {
            r.d[r.n] = d;
            r.by[r.n++] = by;
        }
    }
    if (r.n == 0) {
        r.d[0] = 1;
        r.by[r.n++] = (offset){1, 1, 1};
    }
    for (int i = 0, j = r.n - 1; i < j; i++, j--) {
        const int64_t d = r.d[i];
        const offset by = r.by[i];
        r.d[i] = r.d[j];
        r.by[i] = r.by[j];
        r.d[j] = d;
        r.by[j] = by;
    }
    return r;
}

static int64_t count(const dims *d)
{
    int64_t n = 1;
    for (int i = 0; i < d->n; i++)
        n *= d->d[i];
    return n;
}

/* Where the i-th combination of indices (row-major) starts. */
static offset locate(const dims *d, int64_t i)
{
    offset at = {0, 0, 0};
    for (int k = d->n - 1; k >= 0; k--) {
        const int64_t j = i % d->d[k];
        i /= d->d[k];
        at.y += j * d->by[k].y;
        at.a += j * d->by[k].a;
        at.b += j * d->by[k].b;
    }
    return at;
}

sak_status sak_broadcast_shape(sak_opshape *s, sak_error *err)
{
    return sak_shape_broadcast(&s->x[0], &s->x[1], &s->y, err);
}

/* ---- element by element ------------------------------------------------------------------------ */

typedef struct job {
    const sak_opcall *c;
    const sak_simd *simd;
    sak_binary kind;
    int side; /* whose gradient; -1: forward */
    int64_t inner;
    bool a1, b1; /* constant along the innermost dimension */
    dims outer;  /* all but the innermost; for a gradient: the kept ones … */
    dims sum;    /* … and the summed ones */
    bool inner_summed;
    int64_t kept, summed; /* combinations of each */
    int64_t parts, grain; /* split of the sum: parts > 1 uses partial results */
} job;

/* The operand's share of dy over n <= STRIP elements of one row; may be dy itself. */
static const sak_real *share(const job *j, int64_t n, offset at, int64_t i, sak_real *tmp)
{
    const sak_opcall *c = j->c;
    const sak_real *dy = c->dy + at.y + i;
    const sak_real *a = c->x[0] ? c->x[0] + at.a + (j->a1 ? 0 : i) : NULL;
    const sak_real *b = c->x[1] ? c->x[1] + at.b + (j->b1 ? 0 : i) : NULL;
    const bool first = j->side == 0;
    switch (j->kind) {
    case SAK_BINARY_ADD:
        return dy;
    case SAK_BINARY_SUB:
        if (first)
            return dy;
        j->simd->unary[SAK_UNARY_NEG](n, dy, tmp);
        break;
    case SAK_BINARY_MUL:
        j->simd->binary[SAK_BINARY_MUL](n, NULL, dy, false, first ? b : a, first ? j->b1 : j->a1,
                                        tmp);
        break;
    case SAK_BINARY_DIV:
        if (first)
            j->simd->binary[SAK_BINARY_DIV](n, NULL, dy, false, b, j->b1, tmp);
        else
            j->simd->binary[SAK_BINARY_DIV_GRAD](n, dy, a, j->a1, b, j->b1, tmp);
        break;
    default: /* max: where it is the larger one; min: where the other one is */
        if (first == (j->kind == SAK_BINARY_MAX))
            j->simd->binary[SAK_BINARY_PICK](n, dy, a, j->a1, b, j->b1, tmp);
        else
            j->simd->binary[SAK_BINARY_PICK](n, dy, b, j->b1, a, j->a1, tmp);
    }
    return tmp;
}

static void forward_segment(const job *j, offset at, int64_t i, int64_t n)
{
    const sak_opcall *c = j->c;
    j->simd->binary[j->kind](n, NULL, c->x[0] + at.a + (j->a1 ? 0 : i), j->a1,
                             c->x[1] + at.b + (j->b1 ? 0 : i), j->b1, c->y + at.y + i);
}

static void backward_segment(const job *j, offset at, int64_t i, int64_t n)
{
    sak_real tmp[STRIP];
    sak_real *dx = j->c->dx[j->side] + at.y; /* same shape as y */
    for (const int64_t end = i + n; i < end; i += STRIP) {
        const int64_t k = end - i < STRIP ? end - i : STRIP;
        if (j->c->acc[j->side]) {
            j->simd->add(k, dx + i, share(j, k, at, i, tmp), dx + i);
        } else {
            const sak_real *d = share(j, k, at, i, dx + i);
            if (d != dx + i)
                memcpy(dx + i, d, (size_t)k * sizeof *d);
        }
    }
}

/* Walks the flat range [begin, end) of y row by row. */
static void run_elements(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    for (int64_t e = begin; e < end;) {
        const int64_t row = e / j->inner, i = e - row * j->inner;
        const int64_t n = end - e < j->inner - i ? end - e : j->inner - i;
        const offset at = locate(&j->outer, row);
        if (j->side < 0)
            forward_segment(j, at, i, n);
        else
            backward_segment(j, at, i, n);
        e += n;
    }
}

/* ---- sums -------------------------------------------------------------------------------------- */

static int64_t strips(const job *j)
{
    return (j->inner + STRIP - 1) / STRIP;
}

/* Plans the gradient of one operand: what is summed, and whether the sum itself is split. */
static job plan(const sak_opshape *s, int side)
{
    dims d = collapse(s);
    job j = {.side = side, .parts = 1};
    d.n--;
    j.inner = d.d[d.n];
    j.a1 = d.by[d.n].a == 0;
    j.b1 = d.by[d.n].b == 0;
    j.inner_summed = side == 0 ? j.a1 : side == 1 && j.b1;
    for (int i = 0; i < d.n; i++) {
        dims *to = side >= 0 && (side ? d.by[i].b : d.by[i].a) == 0 ? &j.sum : &j.outer;
        to->d[to->n] = d.d[i];
        to->by[to->n++] = d.by[i];
    }
    j.kept = count(&j.outer);
    j.summed = count(&j.sum);
    const int64_t total = j.kept * j.summed * j.inner;
    const int64_t length = j.inner_summed ? j.summed * j.inner : j.summed; /* what may be split */
    const int64_t results = j.inner_summed ? j.kept : j.kept * strips(&j);
    int64_t parts = 1;
    if (results < MANY && total >= SMALL)
        parts = total / GRAIN < MAX_PARTS ? total / GRAIN : MAX_PARTS;
    j.grain = length > 0 ? (length + parts - 1) / parts : 1;
    j.parts = sak_chunks(length, j.grain);
    if (j.parts < 1)
        j.parts = 1;
    return j;
}

static bool sums(const job *j)
{
    return j->inner_summed || j->sum.n > 0;
}

static int64_t partials(const job *j)
{
    return sums(j) && j->parts > 1 ? j->parts * j->kept * (j->inner_summed ? 1 : j->inner) : 0;
}

static offset plus(offset p, offset q)
{
    return (offset){p.y + q.y, p.a + q.a, p.b + q.b};
}

/* sum over [begin, end) of the flat (summed, inner) range, for kept combination k */
static sak_real sum_range(const job *j, int64_t k, int64_t begin, int64_t end)
{
    const sak_opcall *c = j->c;
    const offset base = locate(&j->outer, k);
    const bool other1 = j->side == 0 ? j->b1 : j->a1;
    const bool straight = j->kind == SAK_BINARY_MUL && !other1; /* a dot product */
    sak_real tmp[STRIP];
    double total = 0;
    for (int64_t e = begin; e < end;) {
        const int64_t row = e / j->inner, i = e - row * j->inner;
        int64_t n = end - e < j->inner - i ? end - e : j->inner - i;
        const offset at = plus(base, locate(&j->sum, row));
        const int64_t most = straight || j->kind == SAK_BINARY_ADD ? 8 * STRIP : STRIP;
        n = n < most ? n : most;
        if (straight) {
            const sak_real *other = j->side == 0 ? c->x[1] + at.b : c->x[0] + at.a;
            total += (double)j->simd->dot(n, c->dy + at.y + i, other + i);
        } else {
            total += (double)j->simd->sum(n, share(j, n, at, i, tmp));
        }
        e += n;
    }
    return (sak_real)total;
}

/* out[0 … n) = sum over summed combinations [begin, end) of columns i … i+n-1, n <= STRIP */
static void sum_columns(const job *j, int64_t k, int64_t i, int64_t n, int64_t begin, int64_t end,
                        sak_real *out)
{
    const offset base = locate(&j->outer, k);
    sak_real tmp[STRIP];
    memset(out, 0, (size_t)n * sizeof *out);
    for (int64_t r = begin; r < end; r++)
        j->simd->add(n, out, share(j, n, plus(base, locate(&j->sum, r)), i, tmp), out);
}

/* Results begin … end-1, each summed by one thread. */
static void run_results(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    sak_real *dx = j->c->dx[j->side];
    const bool acc = j->c->acc[j->side];
    for (int64_t e = begin; e < end; e++) {
        if (j->inner_summed) {
            sak_put(dx, e, sum_range(j, e, 0, j->summed * j->inner), acc);
            continue;
        }
        sak_real out[STRIP];
        const int64_t k = e / strips(j), i = e % strips(j) * STRIP;
        const int64_t n = j->inner - i < STRIP ? j->inner - i : STRIP;
        sum_columns(j, k, i, n, 0, j->summed, out);
        sak_real *to = dx + k * j->inner + i;
        if (acc)
            j->simd->add(n, to, out, to);
        else
            memcpy(to, out, (size_t)n * sizeof *out);
    }
}

/* All results over one part of the sum, into the part's row of shared. */
static void run_part(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = ctx;
    if (j->inner_summed) {
        for (int64_t k = 0; k < j->kept; k++)
            j->c->shared[chunk * j->kept + k] = sum_range(j, k, begin, end);
        return;
    }
    sak_real *part = j->c->shared + chunk * j->kept * j->inner;
    for (int64_t k = 0; k < j->kept; k++)
        for (int64_t i = 0; i < j->inner; i += STRIP)
            sum_columns(j, k, i, j->inner - i < STRIP ? j->inner - i : STRIP, begin, end,
                        part + k * j->inner + i);
}

/* ---- the op ------------------------------------------------------------------------------------ */

void sak_broadcast_forward(const sak_opcall *c, sak_binary kind)
{
    job j = plan(c->s, -1);
    j.c = c;
    j.simd = sak_simd_table();
    j.kind = kind;
    sak_parallel_for(j.kept * j.inner, GRAIN, run_elements, &j);
}

void sak_broadcast_backward(const sak_opcall *c, sak_binary kind)
{
    for (int side = 0; side < 2; side++) {
        if (!c->dx[side])
            continue;
        job j = plan(c->s, side);
        j.c = c;
        j.simd = sak_simd_table();
        j.kind = kind;
        const int64_t columns = j.inner_summed ? 1 : j.inner;
        if (!sums(&j)) {
            sak_parallel_for(j.kept * j.inner, GRAIN, run_elements, &j);
        } else if (j.parts > 1) {
            const int64_t length = j.inner_summed ? j.summed * j.inner : j.summed;
            sak_parallel_for(length, j.grain, run_part, &j);
            sak_combine(j.parts, j.kept * columns, c->shared, c->dx[side], c->acc[side]);
        } else {
            const int64_t results = j.inner_summed ? j.kept : j.kept * strips(&j);
            const int64_t cost = j.summed * (j.inner_summed || j.inner < STRIP ? j.inner : STRIP);
            sak_parallel_for(results, cost < GRAIN ? GRAIN / (cost + 1) + 1 : 1, run_results, &j);
        }
    }
}

sak_scratch sak_broadcast_scratch(const sak_opshape *s)
{
    const job a = plan(s, 0), b = plan(s, 1);
    const int64_t na = partials(&a), nb = partials(&b);
    return (sak_scratch){.shared = na > nb ? na : nb};
}

/* A sum is the gradient of an addition. */
static sak_opshape addition(const sak_shape *from, const sak_shape *to)
{
    return (sak_opshape){.n_in = 2, .x = {*to, *from}, .y = *from};
}

void sak_broadcast_sum(const sak_shape *from, const sak_shape *to, const sak_real *x, sak_real *y,
                       bool acc, sak_real *shared)
{
    const sak_opshape s = addition(from, to);
    const sak_opcall c = {.s = &s, .dy = x, .dx = {y}, .acc = {acc}, .shared = shared};
    sak_broadcast_backward(&c, SAK_BINARY_ADD);
}

int64_t sak_broadcast_sum_scratch(const sak_shape *from, const sak_shape *to)
{
    const sak_opshape s = addition(from, to);
    return sak_broadcast_scratch(&s).shared;
}
