/* Losses on logits of yes or no, method section 4: balanced and plain binary cross-entropy, dice. */
#include <math.h>
#include <tgmath.h>

#include "ops/loss_parts.h"

static int64_t count_of(const sak_opcall *c, int input)
{
    return sak_shape_count(&c->s->x[input]);
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
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_count(&s->x[0]), LOSS_GRAIN), 2), 0};
}

static void balanced_forward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    const sak_real *x = l->c->x[0], *t = l->c->x[1], w = (sak_real)SAK_ATTR(l->c->s, 0);
    double n = 0, sum = 0;
    for (int64_t i = begin; i < end; i++) {
        if (t[i] == LOSS_IGNORED)
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
    const int64_t count = count_of(c, 0), chunks = sak_chunks(count, LOSS_GRAIN);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(count, LOSS_GRAIN, balanced_forward_chunk, &l);
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
        sak_put(c->dx[0], i, t == LOSS_IGNORED ? 0 : scale * d, c->acc[0]);
    }
}

static void balanced_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_parallel_for(count_of(c, 0), LOSS_GRAIN, balanced_backward_chunk, &(loss_loop){.c = c});
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
    sak_parallel_for(count, LOSS_GRAIN, bce_forward_chunk, &l);
    c->y[0] = (sak_real)(loss_sum(l.part, 0, sak_chunks(count, LOSS_GRAIN), 1, 0) / (double)count);
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
        sak_parallel_for(count_of(c, 0), LOSS_GRAIN, bce_backward_chunk, &(loss_loop){.c = c});
}

/* ---- dice on logits, per image ---- */

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
    return (sak_scratch){loss_part_room(s->x[0].d[0] * loss_chunks_per_image(s), 2), 0};
}

static void dice_forward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)end;
    (void)worker;
    const loss_loop *l = ctx;
    const int64_t n = count_of(l->c, 0) / l->c->s->x[0].d[0];
    const int64_t from = begin % l->per_image * LOSS_GRAIN;
    const int64_t to = from + LOSS_GRAIN < n ? from + LOSS_GRAIN : n;
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
    const int64_t B = c->s->x[0].d[0], per = loss_chunks_per_image(c->s);
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
        sak_parallel_for(count_of(c, 0), LOSS_GRAIN, dice_backward_chunk, &(loss_loop){.c = c});
}

static const sak_attr_spec balanced_attrs[] = {
    {.name = "pos_weight", .type = SAK_ATTR_REAL, .def = 0.95, .doc = "w, the weight of y = 1"},
    {0},
};
static const sak_attr_spec dice_attrs[] = {
    {.name = "smooth", .type = SAK_ATTR_REAL, .def = 1, .doc = "s, keeps empty masks defined"},
    {0},
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

const sak_op sak_ops_binary_loss[] = {
    {.name = "bce_balanced", .inputs = "x label", .n_in = 2, .attrs = balanced_attrs,
     .shape = loss_shape_pair, .forward = balanced_forward, .backward = balanced_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .no_grad = SAK_KEEP_X(1), .save = loss_save_one,
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
