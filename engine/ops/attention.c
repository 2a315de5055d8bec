/* Multi-head self-attention without an (L, L) matrix in memory: rows are done in blocks, forward
 * keeps one log-sum-exp per row, backward recomputes the probabilities. */
#include "kernels/colsum.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "ops/op.h"

#include <math.h>
#include <string.h>

#define BLOCK_ELEMENTS 65536 /* of one (rows, L) block: 256 KiB of float stays in the L2 cache */
#define BLOCK_ROWS 32        /* at least */
#define LANES 16             /* the vector kernels' */
#define NEVER (-SAK_REAL_MAX / 4) /* score of a token that is not there: exp gives 0 */

typedef struct attention {
    const sak_opcall *c;
    const sak_simd *simd;
    int64_t B, L, C, heads, d, h, w; /* h = 0: no relative positions */
    int64_t rows;                    /* of a block */
    int64_t wide;                    /* L rounded up: no vector tails in softmax and exp */
    int64_t ld;                      /* of a block: an odd number of vectors, so that a column of it
                                      * does not fall into one set of the cache */
    int64_t rel;                     /* 2h - 1 + 2w - 1 */
    int64_t packed;                  /* room for one of a head's k, v or their transposes */
    sak_real scale;
} attention;

static attention sizes(const sak_opshape *s)
{
    attention a = {.B = s->x[0].d[0], .L = s->x[0].d[1], .C = s->x[0].d[2] / 3};
    a.heads = (int64_t)SAK_ATTR(s, 0);
    a.d = a.C / a.heads;
    a.scale = (sak_real)(1.0 / sqrt((double)a.d));
    if (s->n_in == 3) {
        a.h = (int64_t)SAK_ATTR(s, 1);
        a.w = (int64_t)SAK_ATTR(s, 2);
        a.rel = 2 * a.h - 1 + 2 * a.w - 1;
    }
    a.wide = (a.L + LANES - 1) / LANES * LANES;
    a.ld = a.wide + (a.wide / LANES % 2 == 0) * LANES;
    int64_t most = BLOCK_ELEMENTS / a.wide;
    most = most < BLOCK_ROWS ? BLOCK_ROWS : most;
    const int64_t blocks = (a.L + most - 1) / most;
    a.rows = (a.L + blocks - 1) / blocks;
    const int64_t wide = sak_gemm_pack_count(a.L, a.d), narrow = sak_gemm_pack_count(a.d, a.L);
    a.packed = ((wide > narrow ? wide : narrow) + LANES - 1) / LANES * LANES;
    return a;
}

static sak_status attention_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0];
    const int64_t heads = (int64_t)SAK_ATTR(s, 0);
    if (heads < 1)
        return SAK_FAIL(err, SAK_EINVAL, "attention: heads must be at least 1, got %lld",
                        (long long)heads);
    if (x->n != 3 || x->d[2] % (3 * heads) != 0 || x->d[2] == 0 || x->d[1] == 0)
        return SAK_FAIL(err, SAK_ESHAPE, "attention: qkv must be (B, L, 3 C) with C a multiple of "
                        "%lld heads, got %s", (long long)heads, SAK_SHAPE_TEXT(x));
    if (s->n_in == 2)
        return SAK_FAIL(err, SAK_ESHAPE, "attention: rel_h without rel_w");
    s->y = SAK_SHAPE(x->d[0], x->d[1], x->d[2] / 3);
    if (s->n_in == 1)
        return SAK_OK;
    const int64_t h = (int64_t)SAK_ATTR(s, 1), w = (int64_t)SAK_ATTR(s, 2), d = s->y.d[2] / heads;
    if (h < 1 || w < 1 || h * w != x->d[1])
        return SAK_FAIL(err, SAK_ESHAPE, "attention: a grid of %lld x %lld does not have L = %lld "
                        "tokens", (long long)h, (long long)w, (long long)x->d[1]);
    const sak_shape want_h = SAK_SHAPE(2 * h - 1, d), want_w = SAK_SHAPE(2 * w - 1, d);
    if (!sak_shape_equal(&s->x[1], &want_h) || !sak_shape_equal(&s->x[2], &want_w))
        return SAK_FAIL(err, SAK_ESHAPE, "attention: rel_h and rel_w must be %s and %s, got %s "
                        "and %s", SAK_SHAPE_TEXT(&want_h), SAK_SHAPE_TEXT(&want_w),
                        SAK_SHAPE_TEXT(&s->x[1]), SAK_SHAPE_TEXT(&s->x[2]));
    return SAK_OK;
}

static int64_t attention_save(const sak_opshape *s)
{
    const attention a = sizes(s);
    return a.B * a.heads * a.L; /* log-sum-exp of each row */
}

static sak_scratch attention_scratch(const sak_opshape *s)
{
    const attention a = sizes(s);
    /* k^T, v^T and k; scores and position products, their gradients, one line; each head's gradient of
     * the tables */
    return (sak_scratch){.each = 3 * a.packed + 2 * a.rows * (a.ld + a.rel) + a.w,
                         .shared = a.B * a.heads * a.rel * a.d};
}

static double attention_flops(const sak_opshape *s)
{
    const attention a = sizes(s);
    const double rows = (double)a.B * (double)a.heads * (double)a.L;
    return 2.0 * rows * (double)a.d * (2.0 * (double)a.L + (double)a.rel);
}

enum { Q, K, V };

/* q, k or v of one head: a (L, d) view with row stride 3 C. */
static int64_t part_at(const attention *a, int64_t b, int64_t head, int part)
{
    return b * a->L * 3 * a->C + part * a->C + head * a->d;
}

/* t (n, rel) = q . [rel_h; rel_w]^T for rows r0 … r0 + n. */
static void position_products(const attention *a, int64_t n, sak_mat q, sak_real *t)
{
    const int64_t nh = 2 * a->h - 1, nw = 2 * a->w - 1;
    sak_gemm(n, nh, a->d, q, (sak_mat){a->c->x[1], 1, a->d}, t, a->rel, 1, 0);
    sak_gemm(n, nw, a->d, q, (sak_mat){a->c->x[2], 1, a->d}, t + nh, a->rel, 1, 0);
}

/* Adds q . rel_h[y - y'] + q . rel_w[x - x'] to the scores of the block's rows from r0. */
static void add_positions(const attention *a, int64_t r0, int64_t n, sak_mat q, sak_real *s,
                          sak_real *t, sak_real *line)
{
    position_products(a, n, q, t);
    for (int64_t r = 0; r < n; r++) {
        const int64_t y = (r0 + r) / a->w, x = (r0 + r) % a->w;
        const sak_real *th = t + r * a->rel + y + a->h - 1;
        const sak_real *tw = t + r * a->rel + 2 * a->h - 1 + x + a->w - 1;
        sak_real *row = s + r * a->ld;
        for (int64_t x2 = 0; x2 < a->w; x2++)
            line[x2] = tw[-x2];
        for (int64_t y2 = 0; y2 < a->h; y2++, row += a->w)
            a->simd->add_offset(a->w, th[-y2], line, row);
    }
}

/* The worker's scratch. */
typedef struct room {
    sak_real *packed[3];
    sak_real *s, *ds; /* (rows, ld) */
    sak_real *t, *dt; /* (rows, rel) */
    sak_real *line;   /* (w) */
} room;

static room room_of(const attention *a, int worker)
{
    sak_real *q = sak_each(a->c, worker), *p = q + 3 * a->packed;
    const int64_t block = a->rows * a->ld, rel = a->rows * a->rel;
    return (room){{q, q + a->packed, q + 2 * a->packed}, p, p + block, p + 2 * block,
                  p + 2 * block + rel, p + 2 * block + 2 * rel};
}

/* s (n, L) = scale q k^T + positions, for the block's rows from r0. */
static void scores(const attention *a, int64_t r0, int64_t n, sak_mat q, const sak_packed *k_t,
                   const room *m)
{
    sak_gemm_packed(n, q, k_t, m->s, a->ld, a->scale, 0);
    if (a->h)
        add_positions(a, r0, n, q, m->s, m->t, m->line);
    for (int64_t r = 0; r < n; r++)
        for (int64_t j = a->L; j < a->wide; j++)
            m->s[r * a->ld + j] = NEVER;
}

/* k or v of one head, or its transpose, for all its blocks. */
static sak_packed packed_part(const attention *a, int64_t b, int64_t head, int part, bool transposed,
                              sak_real *to)
{
    const sak_real *p = a->c->x[0] + part_at(a, b, head, part);
    const int64_t ld = 3 * a->C;
    return transposed ? sak_gemm_pack(a->L, a->d, (sak_mat){p, 1, ld}, to)
                      : sak_gemm_pack(a->d, a->L, (sak_mat){p, ld, 1}, to);
}

static void forward_block(const attention *a, int64_t b, int64_t head, int64_t r0,
                          const sak_packed *k_t, const sak_packed *v, const room *m)
{
    const int64_t n = a->L - r0 < a->rows ? a->L - r0 : a->rows, ld = 3 * a->C;
    const sak_real *q = a->c->x[0] + part_at(a, b, head, Q) + r0 * ld;
    scores(a, r0, n, (sak_mat){q, ld, 1}, k_t, m);
    sak_real *lse = a->c->save ? a->c->save + (b * a->heads + head) * a->L + r0 : NULL;
    for (int64_t r = 0; r < n; r++) {
        const sak_real e = a->simd->softmax(a->wide, 1, m->s + r * a->ld, m->s + r * a->ld);
        if (lse)
            lse[r] = e;
    }
    sak_gemm_packed(n, (sak_mat){m->s, a->ld, 1}, v, a->c->y + (b * a->L + r0) * a->C + head * a->d,
                    a->C, 1, 0);
}

static void forward_heads(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const attention *a = ctx;
    const room m = room_of(a, worker);
    for (int64_t i = begin; i < end; i++) {
        const int64_t b = i / a->heads, head = i % a->heads;
        const sak_packed k_t = packed_part(a, b, head, K, true, m.packed[0]);
        const sak_packed v = packed_part(a, b, head, V, false, m.packed[1]);
        for (int64_t r0 = 0; r0 < a->L; r0 += a->rows)
            forward_block(a, b, head, r0, &k_t, &v, &m);
    }
}

static void attention_forward(const sak_opcall *c)
{
    attention a = sizes(c->s);
    a.c = c;
    a.simd = sak_simd_table();
    sak_parallel_for(a.B * a.heads, 1, forward_heads, &a);
}

/* Position terms of one block: dt sums ds over x' and over y'; then dq += dt rel and
 * drel += dt^T q, the latter into this head's own part of the shared scratch. */
static void position_gradients(const attention *a, int64_t r0, int64_t n, sak_mat q, const room *m,
                               sak_real *dq, sak_real *drel)
{
    const int64_t nh = 2 * a->h - 1, nw = 2 * a->w - 1;
    sak_real *dt = m->dt, *line = m->line;
    memset(dt, 0, (size_t)(n * a->rel) * sizeof *dt);
    for (int64_t r = 0; r < n; r++) {
        const int64_t y = (r0 + r) / a->w, x = (r0 + r) % a->w;
        sak_real *th = dt + r * a->rel + y + a->h - 1, *tw = dt + r * a->rel + nh + x + a->w - 1;
        const sak_real *row = m->ds + r * a->ld;
        memset(line, 0, (size_t)a->w * sizeof *line);
        for (int64_t y2 = 0; y2 < a->h; y2++, row += a->w) {
            th[-y2] = a->simd->sum(a->w, row);
            a->simd->add(a->w, line, row, line);
        }
        for (int64_t x2 = 0; x2 < a->w; x2++)
            tw[-x2] = line[x2];
    }
    if (dq) {
        sak_gemm(n, a->d, nh, (sak_mat){dt, a->rel, 1}, (sak_mat){a->c->x[1], a->d, 1}, dq,
                 3 * a->C, 1, 1);
        sak_gemm(n, a->d, nw, (sak_mat){dt + nh, a->rel, 1}, (sak_mat){a->c->x[2], a->d, 1}, dq,
                 3 * a->C, 1, 1);
    }
    if (a->c->dx[1] || a->c->dx[2])
        sak_gemm(a->rel, a->d, n, (sak_mat){dt, 1, a->rel}, q, drel, a->d, 1, r0 > 0);
}

/* p = exp(s - lse); then, with dp = dO v^T and D = dO . O per row: ds = p (dp - D). */
static void score_gradients(const attention *a, int64_t n, const sak_real *y, const sak_real *dy,
                            const sak_real *lse, const room *m)
{
    for (int64_t r = 0; r < n; r++) {
        const sak_real D = a->simd->dot(a->d, dy + r * a->C, y + r * a->C);
        a->simd->attention_grad(a->wide, lse[r], D, m->s + r * a->ld, m->ds + r * a->ld);
    }
}

/* A head's operands of backward. */
typedef struct operands {
    sak_packed k_t, v_t, k;
} operands;

static void backward_block(const attention *a, int64_t b, int64_t head, int64_t r0,
                           const operands *by, const room *m)
{
    const sak_opcall *c = a->c;
    const int64_t n = a->L - r0 < a->rows ? a->L - r0 : a->rows;
    const int64_t ld = 3 * a->C, at = b * a->heads + head;
    const int64_t at_q = part_at(a, b, head, Q) + r0 * ld;
    const int64_t at_k = part_at(a, b, head, K), at_v = part_at(a, b, head, V);
    const int64_t at_y = (b * a->L + r0) * a->C + head * a->d;
    const sak_mat q = {c->x[0] + at_q, ld, 1}, dy = {c->dy + at_y, a->C, 1};
    scores(a, r0, n, q, &by->k_t, m);
    sak_gemm_packed(n, dy, &by->v_t, m->ds, a->ld, 1, 0);
    score_gradients(a, n, c->y + at_y, dy.p, c->save + at * a->L + r0, m);
    sak_real *dx = c->dx[0];
    if (dx) {
        const bool more = c->acc[0] || r0 > 0;
        const sak_mat ds = {m->ds, a->ld, 1}, ds_t = {m->ds, 1, a->ld}, p_t = {m->s, 1, a->ld};
        sak_gemm_packed(n, ds, &by->k, dx + at_q, ld, a->scale, c->acc[0]);
        sak_gemm(a->L, a->d, n, ds_t, q, dx + at_k, ld, a->scale, more);
        sak_gemm(a->L, a->d, n, p_t, dy, dx + at_v, ld, 1, more);
    }
    if (a->h)
        position_gradients(a, r0, n, q, m, dx ? dx + at_q : NULL, c->shared + at * a->rel * a->d);
}

static void backward_heads(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const attention *a = ctx;
    const room m = room_of(a, worker);
    for (int64_t i = begin; i < end; i++) {
        const int64_t b = i / a->heads, head = i % a->heads;
        operands by = {.k_t = packed_part(a, b, head, K, true, m.packed[0]),
                       .v_t = packed_part(a, b, head, V, true, m.packed[1])};
        if (a->c->dx[0])
            by.k = packed_part(a, b, head, K, false, m.packed[2]);
        for (int64_t r0 = 0; r0 < a->L; r0 += a->rows)
            backward_block(a, b, head, r0, &by, &m);
    }
}

/* Sums the heads' parts of one position table, in order. */
typedef struct table_sum {
    int64_t parts, step, n;
    const sak_real *from;
    sak_real *to;
    bool acc;
} table_sum;

static void add_tables(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const table_sum *s = ctx;
    for (int64_t j = begin; j < end; j++) {
        sak_real sum = 0;
        for (int64_t i = 0; i < s->parts; i++)
            sum += s->from[i * s->step + j];
        sak_put(s->to, j, sum, s->acc);
    }
}

static void attention_backward(const sak_opcall *c)
{
    attention a = sizes(c->s);
    a.c = c;
    a.simd = sak_simd_table();
    sak_parallel_for(a.B * a.heads, 1, backward_heads, &a);
    for (int i = 1; i < c->s->n_in; i++) {
        const int64_t n = sak_shape_count(&c->s->x[i]);
        table_sum s = {a.B * a.heads, a.rel * a.d, n,
                       c->shared + (i == 2 ? (2 * a.h - 1) * a.d : 0), c->dx[i], c->acc[i]};
        if (c->dx[i])
            sak_parallel_for(n, 512, add_tables, &s);
    }
}

static const sak_attr_spec attention_attrs[] = {
    {.name = "heads", .type = SAK_ATTR_INT, .required = true, .doc = "number of heads"},
    {.name = "grid_h", .type = SAK_ATTR_INT, .doc = "rows of the token grid (with rel_h, rel_w)"},
    {.name = "grid_w", .type = SAK_ATTR_INT, .doc = "columns of the token grid"},
    {0},
};

const sak_op sak_ops_attention[] = {
    {.name = "attention", .inputs = "qkv rel_h? rel_w?", .n_in = 1, .max_in = 3,
     .attrs = attention_attrs, .shape = attention_shape, .forward = attention_forward,
     .backward = attention_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1) | SAK_KEEP_X(2) | SAK_KEEP_Y,
     .save = attention_save, .scratch = attention_scratch, .flops = attention_flops,
     .cases = (const char *const[]){
         "qkv=2x5x12; heads=2", "qkv=1x1x3; heads=1", "qkv=3x7x9; heads=1",
         "qkv=1x37x18; heads=3",
         "qkv=2x6x12 rel_h=3x2 rel_w=5x2; heads=2 grid_h=2 grid_w=3",
         "qkv=1x35x18 rel_h=9x3 rel_w=13x3; heads=2 grid_h=5 grid_w=7",
         "qkv=2x3x6 rel_h=1x1 rel_w=5x1; heads=2 grid_h=1 grid_w=3", NULL},
     .eq = "y = softmax(q k^T / sqrt(d) + q . rel_h[i - i'] + q . rel_w[j - j']) v",
     .doc = "Multi-head self-attention of a fused (B, L, [q k v]) tensor, with SAM's decomposed "
            "relative positions if given."},
    {0},
};
