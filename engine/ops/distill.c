/* Distillation losses, method section 4: cosine over an image's whole map, smooth L1, mean square.
 * Both inputs are differentiated, so that aligners may stand on either side. */
#include <math.h>
#include <tgmath.h>

#include "kernels/simd.h"
#include "ops/loss_parts.h"

enum { LANES = 8 }; /* independent sums, for the vectoriser */

static double lane_sum(const double a[LANES])
{
    return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
}

static sak_scratch mean_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(sak_chunks(sak_shape_count(&s->x[0]), LOSS_GRAIN), 1), 0};
}

static void mean_forward(const sak_opcall *c, sak_chunk_fn *fn)
{
    const int64_t n = sak_shape_count(&c->s->x[0]);
    loss_loop l = {.c = c, .part = loss_parts(c)};
    sak_parallel_for(n, LOSS_GRAIN, fn, &l);
    c->y[0] = (sak_real)(loss_sum(l.part, 0, sak_chunks(n, LOSS_GRAIN), 1, 0) / (double)n);
}

/* Adds w clamp(inner (s - t), -most, most) to the gradient of s, its negative to that of t, where they
 * are wanted, in elements [begin, end). */
static void put_difference(const sak_opcall *c, int64_t begin, int64_t end, sak_real w, sak_real inner,
                           sak_real most)
{
    for (int i = 0; i < 2; i++)
        if (c->dx[i])
            sak_simd_table()->difference(end - begin, i ? -w : w, inner, most, c->x[0] + begin,
                                         c->x[1] + begin, c->dx[i] + begin, c->acc[i]);
}

/* ---- cosine ---- */

enum { DOT = 0, NORM_S, NORM_T, COS_PARTS };

static sak_status cosine_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(loss_shape_pair(s, err));
    if (s->x[0].n < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "cosine_loss: needs a batch dimension, got %s",
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

static int64_t cosine_save(const sak_opshape *s)
{
    return 3 * s->x[0].d[0]; /* per image: 1/den, cos/|s|^2, cos/|t|^2 */
}

static sak_scratch cosine_scratch(const sak_opshape *s)
{
    return (sak_scratch){loss_part_room(s->x[0].d[0] * loss_chunks_per_image(s), COS_PARTS), 0};
}

static void cosine_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)end;
    (void)worker;
    const loss_loop *l = ctx;
    const sak_shape *shape = &l->c->s->x[0];
    const int64_t n = sak_shape_count(shape) / shape->d[0], from = begin % l->per_image * LOSS_GRAIN;
    const int64_t count = n - from < LOSS_GRAIN ? n - from : LOSS_GRAIN, at = begin / l->per_image * n + from;
    const sak_real *s = l->c->x[0] + at, *t = l->c->x[1] + at;
    double dot[LANES] = {0}, ss[LANES] = {0}, tt[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double a = (double)s[i + j], b = (double)t[i + j];
            dot[j] += a * b;
            ss[j] += a * a;
            tt[j] += b * b;
        }
    for (; i < count; i++) {
        const double a = (double)s[i], b = (double)t[i];
        dot[0] += a * b;
        ss[0] += a * a;
        tt[0] += b * b;
    }
    double *part = l->part + chunk * COS_PARTS;
    part[DOT] = lane_sum(dot);
    part[NORM_S] = lane_sum(ss);
    part[NORM_T] = lane_sum(tt);
}

/* mean_b 1 - s_b . t_b / sqrt((|s_b|^2 + 1e-12)(|t_b|^2 + 1e-12)); s_b: the whole map of image b.
 */
static void cosine_forward(const sak_opcall *c)
{
    const int64_t B = c->s->x[0].d[0], per = loss_chunks_per_image(c->s);
    loss_loop l = {.c = c, .part = loss_parts(c), .per_image = per};
    sak_parallel_for(B * per, 1, cosine_chunk, &l);
    double sum = 0;
    for (int64_t b = 0; b < B; b++) {
        const int64_t from = b * per, to = from + per;
        const double ss = loss_sum(l.part, from, to, COS_PARTS, NORM_S) + 1e-12;
        const double tt = loss_sum(l.part, from, to, COS_PARTS, NORM_T) + 1e-12;
        const double den = sqrt(ss * tt), cosine = loss_sum(l.part, from, to, COS_PARTS, DOT) / den;
        sum += 1 - cosine;
        if (c->save) {
            c->save[3 * b] = (sak_real)(1 / den);
            c->save[3 * b + 1] = (sak_real)(cosine / ss);
            c->save[3 * b + 2] = (sak_real)(cosine / tt);
        }
    }
    c->y[0] = (sak_real)(sum / (double)B);
}

/* ds = (s cos/|s|^2 - t/den) dy/B, dt likewise. */
static void cosine_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)end;
    (void)chunk;
    (void)worker;
    const loss_loop *l = ctx;
    const sak_opcall *c = l->c;
    const sak_shape *shape = &c->s->x[0];
    const int64_t n = sak_shape_count(shape) / shape->d[0], from = begin % l->per_image * LOSS_GRAIN;
    const int64_t b = begin / l->per_image, at = b * n + from;
    const int64_t stop = at + (n - from < LOSS_GRAIN ? n - from : LOSS_GRAIN);
    const sak_real *s = c->x[0], *t = c->x[1], *k = c->save + 3 * b;
    const sak_real w = c->dy[0] / (sak_real)shape->d[0];
    if (c->dx[0])
        for (int64_t i = at; i < stop; i++)
            sak_put(c->dx[0], i, w * (s[i] * k[1] - t[i] * k[0]), c->acc[0]);
    if (c->dx[1])
        for (int64_t i = at; i < stop; i++)
            sak_put(c->dx[1], i, w * (t[i] * k[2] - s[i] * k[0]), c->acc[1]);
}

static void cosine_backward(const sak_opcall *c)
{
    loss_loop l = {.c = c, .per_image = loss_chunks_per_image(c->s)};
    sak_parallel_for(c->s->x[0].d[0] * l.per_image, 1, cosine_backward_chunk, &l);
}

/* ---- smooth L1 ---- */

static sak_status smooth_shape(sak_opshape *s, sak_error *err)
{
    if (!(SAK_ATTR(s, 0) > 0))
        return SAK_FAIL(err, SAK_EINVAL, "smooth_l1: beta must be greater than 0, got %g",
                        SAK_ATTR(s, 0));
    return loss_shape_pair(s, err);
}

/* beta h(d/beta), h(u) = u^2/2 or |u| - 1/2: with q = min(|d|, beta), (|d| - q/2) q / beta. */
static double smooth_value(sak_real d, sak_real beta, sak_real inverse)
{
    const sak_real a = fabs(d), q = a < beta ? a : beta;
    return (double)((a - q / 2) * q * inverse);
}

static void smooth_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    const sak_real beta = (sak_real)SAK_ATTR(l->c->s, 0), inverse = 1 / beta;
    const sak_real *s = l->c->x[0], *t = l->c->x[1];
    double sum[LANES] = {0};
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += smooth_value(s[i + j] - t[i + j], beta, inverse);
    for (; i < end; i++)
        sum[0] += smooth_value(s[i] - t[i], beta, inverse);
    l->part[chunk] = lane_sum(sum);
}

static void smooth_forward(const sak_opcall *c)
{
    mean_forward(c, smooth_chunk);
}

static void smooth_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const sak_real inverse = 1 / (sak_real)SAK_ATTR(c->s, 0);
    const sak_real w = c->dy[0] / (sak_real)sak_shape_count(&c->s->x[0]);
    put_difference(c, begin, end, w, inverse, 1);
}

static void smooth_backward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->x[0]), LOSS_GRAIN, smooth_backward_chunk,
                     &(loss_loop){.c = c});
}

/* ---- mean squared error ---- */

static void mse_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const loss_loop *l = ctx;
    const sak_real *s = l->c->x[0], *t = l->c->x[1];
    double sum[LANES] = {0};
    int64_t i = begin;
    for (; i + LANES <= end; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)(s[i + j] - t[i + j]);
            sum[j] += d * d;
        }
    for (; i < end; i++) {
        const double d = (double)(s[i] - t[i]);
        sum[0] += d * d;
    }
    l->part[chunk] = lane_sum(sum);
}

static void mse_forward(const sak_opcall *c)
{
    mean_forward(c, mse_chunk);
}

static void mse_backward_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_opcall *c = ((const loss_loop *)ctx)->c;
    const sak_real w = 2 * c->dy[0] / (sak_real)sak_shape_count(&c->s->x[0]);
    put_difference(c, begin, end, w, 1, SAK_REAL_MAX);
}

static void mse_backward(const sak_opcall *c)
{
    sak_parallel_for(sak_shape_count(&c->s->x[0]), LOSS_GRAIN, mse_backward_chunk, &(loss_loop){.c = c});
}

/* ---- the rows ---- */

static const sak_attr_spec smooth_attrs[] = {
    {.name = "beta", .type = SAK_ATTR_REAL, .def = 1, .doc = "where the parabola meets the line"},
    {0},
};
static const char *const cosine_cases[] = {"s=3x4x5 t=3x4x5", "s=2x9 t=2x9", NULL};
static const char *const smooth_cases[] = {
    "s=3x11 t=3x11",
    "s=2x3x4:in(-0.4,0.4) t=2x3x4:in(-0.4,0.4)",
    "s=2x5 t=2x5; beta=0.3",
    NULL,
};
static const char *const mse_cases[] = {"s=3x11 t=3x11", "s=1 t=1", NULL};

const sak_op sak_ops_distill[] = {
    {.name = "cosine_loss", .inputs = "s t", .n_in = 2, .shape = cosine_shape,
     .forward = cosine_forward, .backward = cosine_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .save = cosine_save, .scratch = cosine_scratch,
     .cases = cosine_cases,
     .eq = "y = mean_b 1 - s_b . t_b / sqrt((|s_b|^2 + 1e-12)(|t_b|^2 + 1e-12))",
     .doc = "One minus cosine of whole maps (B, ...), each image one vector."},
    {.name = "smooth_l1", .inputs = "s t", .n_in = 2, .attrs = smooth_attrs, .shape = smooth_shape,
     .forward = smooth_forward, .backward = smooth_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .scratch = mean_scratch, .cases = smooth_cases,
     .eq = "y = mean (d^2 / 2 beta if |d| < beta else |d| - beta / 2), d = s - t",
     .doc = "Smooth L1 (Huber) of two maps, mean over elements."},
    {.name = "mse", .inputs = "s t", .n_in = 2, .shape = loss_shape_pair, .forward = mse_forward,
     .backward = mse_backward, .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1), .scratch = mean_scratch,
     .cases = mse_cases, .eq = "y = mean (s - t)^2", .doc = "Mean squared error."},
    {0},
};
