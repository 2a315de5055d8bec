/* Task losses, method section 4: cross-entropies, masked L1, balanced and plain BCE, dice, MSE.
 * Label 255 means "not labelled": such pixels count in neither sum nor divisor; where a batch has
 * no labelled pixel at all the loss is 0, with gradient 0.  Every loss has shape (1). */
#include <math.h>
#include <tgmath.h>

#include "kernels/simd.h"
#include "ops/loss_parts.h"

#define IGNORED ((sak_real)255)

enum { ROWS = 256, GRAIN = 16384 }; /* per chunk: rows of logits; elements or pixels */

static int64_t count_of(const sak_opcall *c, int input)
{
    return sak_shape_count(&c->s->x[input]);
}

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

/* ---- masked L1 (normals, depth) ---- */

static sak_scratch l1_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_rows(&s->x[0]), GRAIN), 2), 0};
}

static int64_t one(const sak_opshape *s)
{
    (void)s;
    return 1;
}

static bool pixel_valid(const sak_real *t, int64_t C)
{
    for (int64_t k = 0; k < C; k++)
        if (t[k] == IGNORED)
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
    const int64_t pixels = sak_shape_rows(&c->s->x[0]), chunks = sak_chunks(pixels, GRAIN);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(pixels, GRAIN, l1_forward_pixels, &l);
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
        sak_parallel_for(sak_shape_rows(&c->s->x[0]), GRAIN, l1_backward_pixels,
                         &(loss_loop){.c = c});
}

/* ---- binary cross entropies on logits ---- */

static sak_real softplus(sak_real x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static sak_real sigmoid(sak_real x)
{
    const sak_real e = exp(-fabs(x));
    return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}

static sak_scratch bce_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_count(&s->x[0]), GRAIN), 2), 0};
}

static void balanced_forward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    const sak_real *x = l->c->x[0], *t = l->c->x[1], w = (sak_real)SAK_ATTR(l->c->s, 0);
    double n = 0, sum = 0;
    for (int64_t i = begin; i < end; i++) {
        if (t[i] == IGNORED)
            continue;
        const sak_real s = softplus(x[i]); /* softplus(-x) = softplus(x) - x */
        sum += (double)(w * t[i] * (s - x[i]) + (1 - w) * (1 - t[i]) * s);
        n += 1;
    }
    l->part[2 * chunk] = n;
    l->part[2 * chunk + 1] = sum;
}

static void balanced_forward(const sak_opcall *c)
{
    const int64_t count = count_of(c, 0), chunks = sak_chunks(count, GRAIN);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(count, GRAIN, balanced_forward_chunk, &l);
    const double found = loss_sum(l.part, 0, chunks, 2, 0), n = found > 0 ? found : 1;
    c->y[0] = (sak_real)(loss_sum(l.part, 0, chunks, 2, 1) / n);
    if (c->save)
        c->save[0] = (sak_real)(1 / n);
}

static void balanced_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk,
                                    int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const sak_real w = (sak_real)SAK_ATTR(c->s, 0), scale = c->dy[0] * c->save[0];
    for (int64_t i = begin; i < end; i++) {
        const sak_real t = c->x[1][i], p = sigmoid(c->x[0][i]);
        const sak_real d = (1 - w) * (1 - t) * p - w * t * (1 - p);
        sak_put(c->dx[0], i, t == IGNORED ? 0 : scale * d, c->acc[0]);
    }
}

static void balanced_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(count_of(c, 0), GRAIN, balanced_backward_chunk, &(loss_loop){.c = c});
}

static void bce_forward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    double sum = 0;
    for (int64_t i = begin; i < end; i++)
        sum += (double)(softplus(l->c->x[0][i]) - l->c->x[0][i] * l->c->x[1][i]);
    l->part[chunk] = sum;
}

static void bce_forward(const sak_opcall *c)
{
    const int64_t count = count_of(c, 0);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(count, GRAIN, bce_forward_chunk, &l);
    c->y[0] = (sak_real)(loss_sum(l.part, 0, sak_chunks(count, GRAIN), 1, 0) / (double)count);
}

static void bce_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const sak_real scale = c->dy[0] / (sak_real)count_of(c, 0);
    for (int64_t i = begin; i < end; i++)
        sak_put(c->dx[0], i, scale * (sigmoid(c->x[0][i]) - c->x[1][i]), c->acc[0]);
}

static void bce_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(count_of(c, 0), GRAIN, bce_backward_chunk, &(loss_loop){.c = c});
}

/* ---- dice on logits, per image ---- */

static int64_t chunks_per_image(const sak_opshape *s)
{
    return sak_chunks(sak_shape_count(&s->x[0]) / s->x[0].d[0], GRAIN);
}

static sak_status dice_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(loss_shape_pair(s, err));
    if (s->x[0].n < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "dice: needs a batch dimension, got %s",
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

static int64_t dice_save(const sak_opshape *s)
{
    return 2 * s->x[0].d[0]; /* per image: dL/d(sum p t) and dL/d(sum p), without dy */
}

static sak_scratch dice_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(s->x[0].d[0] * chunks_per_image(s), 2), 0};
}

static void dice_forward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)end;
    (void)worker;
    const loss_loop *l = ctx;
    const int64_t n = count_of(l->c, 0) / l->c->s->x[0].d[0];
    const int64_t from = begin % l->per_image * GRAIN, to = from + GRAIN < n ? from + GRAIN : n;
    const int64_t base = begin / l->per_image * n;
    double both = 0, all = 0;
    for (int64_t i = base + from; i < base + to; i++) {
        const sak_real p = sigmoid(l->c->x[0][i]), t = l->c->x[1][i];
        both += (double)(p * t);
        all += (double)(p + t);
    }
    l->part[2 * chunk] = both;
    l->part[2 * chunk + 1] = all;
}

/* mean_b 1 - (2 sum p t + s) / (sum p + sum t + s), p = sigmoid(x).
 * Milletari et al., arXiv:1606.04797, with the sums of first powers. */
static void dice_forward(const sak_opcall *c)
{
    const int64_t B = c->s->x[0].d[0], per = chunks_per_image(c->s);
    const double smooth = SAK_ATTR(c->s, 0);
    loss_loop l = {.c = c, .part = loss_parts(c), .per_image = per};
    sak_parallel_for(B * per, 1, dice_forward_chunk, &l);
    double sum = 0;
    for (int64_t b = 0; b < B; b++) {
        const double num = 2 * loss_sum(l.part, b * per, (b + 1) * per, 2, 0) + smooth;
        const double den = loss_sum(l.part, b * per, (b + 1) * per, 2, 1) + smooth;
        sum += 1 - num / den;
        if (c->save) {
            c->save[2 * b] = (sak_real)(-2 / den / (double)B);
            c->save[2 * b + 1] = (sak_real)(num / (den * den) / (double)B);
        }
    }
    c->y[0] = (sak_real)(sum / (double)B);
}

static void dice_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const int64_t n = count_of(c, 0) / c->s->x[0].d[0];
    for (int64_t i = begin; i < end; i++) {
        const sak_real *k = c->save + 2 * (i / n), p = sigmoid(c->x[0][i]);
        sak_put(c->dx[0], i, c->dy[0] * (k[0] * c->x[1][i] + k[1]) * p * (1 - p), c->acc[0]);
    }
}

static void dice_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(count_of(c, 0), GRAIN, dice_backward_chunk, &(loss_loop){.c = c});
}

/* ---- the rows ---- */

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
static const sak_attr_spec l1_attrs[] = {
    {.name = "normalize",
     .type = SAK_ATTR_BOOL,
     .doc = "scale the prediction to unit length first"},
    {0},
};
static const sak_attr_spec balanced_attrs[] = {
    {.name = "pos_weight", .type = SAK_ATTR_REAL, .def = 0.95, .doc = "w, the weight of y = 1"},
    {0},
};
static const sak_attr_spec dice_attrs[] = {
    {.name = "smooth", .type = SAK_ATTR_REAL, .def = 1, .doc = "s, keeps empty masks defined"},
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
static const char *const l1_cases[] = {
    "pred=2x3x4x1 label=2x3x4x1",
    "pred=2x3x2x3:pos label=2x3x2x3:unit; normalize=true",
    "pred=2x3x2x2:in(1,3) label=2x3x2x2:int(4,9)",
    NULL,
};
static const char *const balanced_cases[] = {
    "x=2x4x5x1 label=2x4x5x1:int(0,2)",
    "x=3x4 label=3x4:01; pos_weight=0.8",
    NULL,
};
static const char *const bce_cases[] = {"x=3x4 target=3x4:01", "x=2x3x4 target=2x3x4:in(0,1)",
                                        NULL};
static const char *const dice_cases[] = {"x=2x3x4 target=2x3x4:01",
                                         "x=3x5 target=3x5:01; smooth=0.1", NULL};

const sak_op sak_ops_loss[] = {
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
    {.name = "l1_masked", .inputs = "pred label", .n_in = 2, .attrs = l1_attrs,
     .shape = loss_shape_pair, .forward = l1_forward, .backward = l1_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .no_grad = SAK_KEEP_X(1), .save = one,
     .scratch = l1_scratch, .cases = l1_cases,
     .eq = "y = sum_valid |p - t| / #valid pixels; normalize: p = pred / max(|pred|, 1e-12)",
     .doc = "L1 over pixels none of whose channels is 255 (depth, normals)."},
    {.name = "bce_balanced", .inputs = "x label", .n_in = 2, .attrs = balanced_attrs,
     .shape = loss_shape_pair, .forward = balanced_forward, .backward = balanced_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .no_grad = SAK_KEEP_X(1), .save = one,
     .scratch = bce_scratch, .cases = balanced_cases,
     .eq = "y = mean_valid w t softplus(-x) + (1 - w)(1 - t) softplus(x)",
     .doc = "Class-balanced binary cross-entropy on logits (edges); 0 without valid pixels."},
    {.name = "bce_logits", .inputs = "x target", .n_in = 2, .shape = loss_shape_pair,
     .forward = bce_forward, .backward = bce_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .no_grad = SAK_KEEP_X(1), .scratch = bce_scratch, .cases = bce_cases,
     .eq = "y = mean softplus(x) - x t", .doc = "Binary cross-entropy on logits."},
    {.name = "dice", .inputs = "x target", .n_in = 2, .attrs = dice_attrs, .shape = dice_shape,
     .forward = dice_forward, .backward = dice_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .no_grad = SAK_KEEP_X(1), .save = dice_save, .scratch = dice_scratch, .cases = dice_cases,
     .eq = "y = mean_b 1 - (2 sum p t + s) / (sum p + sum t + s), p = sigmoid(x)",
     .doc = "Dice loss of mask logits (B, ...)."},
    {0},
};
