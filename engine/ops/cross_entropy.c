/* Cross-entropies over the classes, method section 4: against labels, against probabilities. */
#include <math.h>
#include <tgmath.h>

#include "kernels/simd.h"
#include "ops/loss_parts.h"

enum { ROWS = 256 }; /* rows of logits per chunk */

/* ---- cross entropy ---- */

static sak_status ce_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *x = &s->x[0], *t = &s->x[1];
    bool fits = x->n >= 1 && t->n == x->n - 1;
    for (int i = 0; fits && i < t->n; i++)
        fits = t->d[i] == x->d[i];
    if (!fits)
        return SAK_FAIL(err, SAK_ESHAPE,
                        "%s: logits are %s, so labels must be that without the "
                        "last (class) dimension, but are %s",
                        s->op->name, SAK_SHAPE_TEXT(x), SAK_SHAPE_TEXT(t));
    if (sak_shape_count(x) < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: logits %s are empty", s->op->name, SAK_SHAPE_TEXT(x));
    const int64_t K = sak_shape_last(x), ignore = (int64_t)SAK_ATTR(s, 1);
    if (SAK_ATTR(s, 0) != 0 && K != 2)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: balanced=true needs 2 classes, got %lld", s->op->name,
                        (long long)K);
    if (ignore >= 0 && K > ignore)
        return SAK_FAIL(err, SAK_ESHAPE,
                        "%s: label %lld means ignored, but there are %lld classes; "
                        "say ignore=-1",
                        s->op->name, (long long)ignore, (long long)K);
    s->y = SAK_SHAPE(1);
    return SAK_OK;
}

static int64_t ce_save(const sak_opshape *s)
{
    (void)s;
    return 2; /* what label 1 and any other label weigh, divided by the number of valid pixels */
}

static sak_scratch ce_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_rows(&s->x[0]), ROWS), 4),
                         ROWS * (sak_shape_last(&s->x[0]) + 1)};
}

/* e[r, :] = exp(x[r, :] - top[r]), top the row's maximum. */
static void exp_rows(const sak_real *x, int64_t rows, int64_t K, sak_real *e, sak_real *top)
{
    for (int64_t r = 0; r < rows; r++) {
        const sak_real *xr = x + r * K;
        sak_real m = xr[0];
        for (int64_t k = 1; k < K; k++)
            m = xr[k] > m ? xr[k] : m;
        for (int64_t k = 0; k < K; k++)
            e[r * K + k] = xr[k] - m;
        top[r] = m;
    }
    (sak_simd_table()->exp)(rows * K, e, e); /* in parentheses: <tgmath.h> has a macro exp() */
}

static sak_real row_sum(const sak_real *e, int64_t K)
{
    sak_real s = 0;
    for (int64_t k = 0; k < K; k++)
        s += e[k];
    return s;
}

/* The class of a label, or -1: ignored, or outside 0 … K-1. */
static int64_t class_of(const sak_opcall *c, sak_real label, int64_t K)
{
    if (!(label >= 0 && label < (sak_real)K) || (double)label == SAK_ATTR(c->s, 1))
        return -1;
    return (int64_t)label;
}

static void ce_forward_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    const loss_loop *l = ctx;
    const sak_opcall *c = l->c;
    const int64_t K = sak_shape_last(&c->s->x[0]);
    sak_real *e = sak_each(c, worker), *top = e + ROWS * K;
    const sak_real *x = c->x[0] + begin * K;
    exp_rows(x, end - begin, K, e, top);
    double n[2] = {0}, sum[2] = {0}; /* of other labels, of label 1 */
    for (int64_t r = 0; r < end - begin; r++) {
        const int64_t k = class_of(c, c->x[1][begin + r], K);
        if (k < 0)
            continue;
        n[k == 1] += 1;
        sum[k == 1] += (double)(log(row_sum(e + r * K, K)) - (x[r * K + k] - top[r]));
    }
    double *part = l->part + chunk * 4;
    part[0] = n[0];
    part[1] = n[1];
    part[2] = sum[0];
    part[3] = sum[1];
}

/* -sum_{valid} w(label) log softmax(x)[label] / #valid; balanced: w(1) = share of label 0. */
static void ce_forward(const sak_opcall *c)
{
    const int64_t rows = sak_shape_rows(&c->s->x[0]), chunks = sak_chunks(rows, ROWS);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(rows, ROWS, ce_forward_rows, &l);
    const double n0 = loss_sum(l.part, 0, chunks, 4, 0), n1 = loss_sum(l.part, 0, chunks, 4, 1);
    const double n = n0 + n1 > 0 ? n0 + n1 : 1;
    const bool balanced = SAK_ATTR(c->s, 0) != 0;
    const double w1 = balanced ? n0 / n : 1, w0 = balanced ? 1 - n0 / n : 1;
    c->y[0] = (sak_real)((w0 * loss_sum(l.part, 0, chunks, 4, 2) +
                          w1 * loss_sum(l.part, 0, chunks, 4, 3)) /
                         n);
    if (c->save) {
        c->save[0] = (sak_real)(w0 / n);
        c->save[1] = (sak_real)(w1 / n);
    }
}

static void ce_backward_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const int64_t K = sak_shape_last(&c->s->x[0]);
    sak_real *e = sak_each(c, worker), *dx = c->dx[0] + begin * K;
    exp_rows(c->x[0] + begin * K, end - begin, K, e, e + ROWS * K);
    for (int64_t r = 0; r < end - begin; r++) {
        const int64_t k = class_of(c, c->x[1][begin + r], K);
        const sak_real w = k < 0 ? 0 : c->dy[0] * c->save[k == 1];
        const sak_real scale = w / row_sum(e + r * K, K);
        for (int64_t j = 0; j < K; j++)
            sak_put(dx, r * K + j, scale * e[r * K + j] - (j == k ? w : 0), c->acc[0]);
    }
}

static void ce_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(sak_shape_rows(&c->s->x[0]), ROWS, ce_backward_rows, &(loss_loop){.c = c});
}

/* ---- cross entropy with target probabilities ---- */

static sak_scratch soft_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_rows(&s->x[0]), ROWS), 1),
                         ROWS * (sak_shape_last(&s->x[0]) + 1)};
}

static void soft_forward_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    const loss_loop *l = ctx;
    const sak_opcall *c = l->c;
    const int64_t K = sak_shape_last(&c->s->x[0]);
    sak_real *e = sak_each(c, worker), *top = e + ROWS * K;
    const sak_real *x = c->x[0] + begin * K, *t = c->x[1] + begin * K;
    exp_rows(x, end - begin, K, e, top);
    double sum = 0;
    for (int64_t r = 0; r < end - begin; r++) {
        const sak_real lse = log(row_sum(e + r * K, K));
        for (int64_t k = 0; k < K; k++)
            sum += (double)(t[r * K + k] * (lse - (x[r * K + k] - top[r])));
    }
    l->part[chunk] = sum;
}

static void soft_forward(const sak_opcall *c)
{
    const int64_t rows = sak_shape_rows(&c->s->x[0]);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(rows, ROWS, soft_forward_rows, &l);
    c->y[0] = (sak_real)(loss_sum(l.part, 0, sak_chunks(rows, ROWS), 1, 0) / (double)rows);
}

static void soft_backward_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const int64_t K = sak_shape_last(&c->s->x[0]);
    sak_real *e = sak_each(c, worker), *dx = c->dx[0] + begin * K;
    const sak_real *t = c->x[1] + begin * K;
    exp_rows(c->x[0] + begin * K, end - begin, K, e, e + ROWS * K);
    const sak_real w = c->dy[0] / (sak_real)sak_shape_rows(&c->s->x[0]);
    for (int64_t r = 0; r < end - begin; r++) {
        const sak_real scale = row_sum(t + r * K, K) / row_sum(e + r * K, K);
        for (int64_t i = r * K; i < (r + 1) * K; i++)
            sak_put(dx, i, w * (scale * e[i] - t[i]), c->acc[0]);
    }
}

static void soft_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(sak_shape_rows(&c->s->x[0]), ROWS, soft_backward_rows,
                         &(loss_loop){.c = c});
}

static const sak_attr_spec ce_attrs[] = {
    {.name = "balanced",
     .type = SAK_ATTR_BOOL,
     .doc = "two classes, each weighted by the other's share of the valid pixels"},
    {.name = "ignore",
     .type = SAK_ATTR_INT,
     .def = 255,
     .doc = "label that counts nowhere; -1: none"},
    {0},
};

static const char *const ce_cases[] = {
    "x=2x3x4 label=2x3:int(0,4)",
    "x=2x5x3x2 label=2x5x3:int(0,2); balanced=true",
    "x=400x7 label=400:int(0,7)",
    "x=3x5 label=3:id(0,5); ignore=-1",
    NULL,
};
static const char *const soft_cases[] = {"x=4x6 target=4x6:prob", "x=2x3x5 target=2x3x5:pos", NULL};

const sak_op sak_ops_cross_entropy[] = {
    {.name = "cross_entropy", .inputs = "x label", .n_in = 2, .attrs = ce_attrs, .shape = ce_shape,
     .forward = ce_forward, .backward = ce_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .no_grad = SAK_KEEP_X(1), .save = ce_save, .scratch = ce_scratch, .cases = ce_cases,
     .eq = "y = -sum_valid w(t) log softmax(x)[t] / #valid; balanced: w(1) = share of 0, "
           "w(0) = share of 1",
     .doc = "Cross-entropy of logits (..., K) and labels (...)."},
    {.name = "soft_cross_entropy", .inputs = "x target", .n_in = 2, .shape = loss_shape_pair,
     .forward = soft_forward, .backward = soft_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .no_grad = SAK_KEEP_X(1), .scratch = soft_scratch, .cases = soft_cases,
     .eq = "y = -mean_rows sum_k t_k log softmax(x)_k",
     .doc = "Cross-entropy of logits (..., K) and target probabilities."},
    {0},
};
