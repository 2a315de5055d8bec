/* Normalisations: layer norm, softmax, log softmax, batch norm, unit vectors, a running centre. */
#include <math.h>
#include <string.h>

#include "kernels/colsum.h"
#include "kernels/simd.h"
#include "ops/op.h"

#define GRAIN 16384  /* elements per chunk */
#define MAX_PARTS 64 /* partial sums of a parameter's gradient */

/* ---- rows -------------------------------------------------------------------------------------- */

typedef struct job {
    const sak_opcall *c;
    const sak_simd *simd;
    int64_t rows, n;
    int64_t grain, parts; /* rows per chunk, chunks */
    const sak_real *mean, *rstd;
} job;

static job job_of(const sak_opshape *s)
{
    job j = {.simd = sak_simd_table(), .rows = sak_shape_rows(&s->x[0]), .n = sak_shape_last(&s->x[0])};
    const int64_t least = GRAIN / (j.n + 1) + 1, few = (j.rows + MAX_PARTS - 1) / MAX_PARTS;
    j.grain = least > few ? least : few;
    j.parts = sak_chunks(j.rows, j.grain);
    return j;
}

static void over_rows(const sak_opcall *c, sak_chunk_fn *fn)
{
    job j = job_of(c->s);
    j.c = c;
    sak_parallel_for(j.rows, j.grain, fn, &j);
}

static sak_status has_rows(const sak_opshape *s, sak_error *err)
{
    if (s->x[0].n < 1 || sak_shape_count(&s->x[0]) < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: x is empty: %s", s->op->name,
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

static sak_status row_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(has_rows(s, err));
    return sak_shape_same(s, err);
}

/* All inputs but x are vectors over the last axis. */
static sak_status affine_shape(sak_opshape *s, sak_error *err)
{
    static const char *const names[] = {"x", "weight", "bias", "running_mean", "running_var"};
    SAK_TRY(has_rows(s, err));
    const int64_t C = sak_shape_last(&s->x[0]);
    for (int i = 1; i < s->n_in; i++)
        if (s->x[i].n != 1 || s->x[i].d[0] != C)
            return SAK_FAIL(err, SAK_ESHAPE, "%s: x is %s, so %s must be (%lld), got %s",
                            s->op->name, SAK_SHAPE_TEXT(&s->x[0]), names[i], (long long)C,
                            SAK_SHAPE_TEXT(&s->x[i]));
    return sak_shape_same(s, err);
}

static double eight_per_element(const sak_opshape *s)
{
    return 8.0 * (double)sak_shape_count(&s->y);
}

/* ---- layer norm -------------------------------------------------------------------------------- */

/* y = (x - mean) rstd w + b over the last axis; save: mean and rstd of each row.
 * Ba, Kiros & Hinton, arXiv:1607.06450; the variance is the biased one, as in PyTorch. */
static void run_layer_norm(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++)
        j->simd->layer_norm(j->n, c->x[0] + r * j->n, c->x[1], c->x[2],
                            (sak_real)SAK_ATTR(c->s, 0), c->y + r * j->n, c->save + r,
                            c->save + j->rows + r);
}

static void layer_norm_forward(const sak_opcall *c)
{
    over_rows(c, run_layer_norm);
}

/* dx of the chunk's rows, and their share of dw and db: shared is dw (parts, n), db (parts, n). */
static void run_layer_norm_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    const bool params = c->dx[1] || c->dx[2];
    sak_real *dw = c->shared + chunk * j->n, *db = dw + j->parts * j->n;
    if (params) {
        memset(dw, 0, (size_t)j->n * sizeof *dw);
        memset(db, 0, (size_t)j->n * sizeof *db);
    }
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = c->x[0] + r * j->n, *dy = c->dy + r * j->n;
        const sak_real mean = c->save[r], rstd = c->save[j->rows + r];
        if (c->dx[0])
            j->simd->layer_norm_grad(j->n, x, c->x[1], dy, mean, rstd, c->dx[0] + r * j->n,
                                     c->acc[0]);
        if (params)
            j->simd->layer_norm_wgrad(j->n, x, dy, mean, rstd, dw, db);
    }
}

static void layer_norm_backward(const sak_opcall *c)
{
    const job j = job_of(c->s);
    over_rows(c, run_layer_norm_grad);
    for (int i = 1; i <= 2; i++)
        if (c->dx[i])
            sak_combine(j.parts, j.n, c->shared + (i - 1) * j.parts * j.n, c->dx[i], c->acc[i]);
}

static int64_t layer_norm_save(const sak_opshape *s)
{
    return 2 * sak_shape_rows(&s->x[0]);
}

static sak_scratch layer_norm_scratch(const sak_opshape *s)
{
    const job j = job_of(s);
    return (sak_scratch){.shared = 2 * j.parts * j.n};
}

/* ---- softmax, log softmax ---------------------------------------------------------------------- */

static sak_real inverse_temperature(const sak_opshape *s)
{
    return (sak_real)(1 / SAK_ATTR(s, 0));
}

static sak_status softmax_shape(sak_opshape *s, sak_error *err)
{
    if (!(SAK_ATTR(s, 0) > 0))
        return SAK_FAIL(err, SAK_EINVAL, "softmax: temperature is %g, must be above 0",
                        SAK_ATTR(s, 0));
    return row_shape(s, err);
}

static void run_softmax(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->softmax(j->n, inverse_temperature(j->c->s), j->c->x[0] + r * j->n,
                         j->c->y + r * j->n);
}

static void run_softmax_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++)
        j->simd->softmax_grad(j->n, inverse_temperature(c->s), c->y + r * j->n, c->dy + r * j->n,
                              c->dx[0] + r * j->n, c->acc[0]);
}

static void softmax_forward(const sak_opcall *c)
{
    over_rows(c, run_softmax);
}

static void softmax_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_rows(c, run_softmax_grad);
}

static void run_log_softmax(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = j->c->x[0] + r * j->n;
        sak_real *y = j->c->y + r * j->n;
        const sak_real log_sum = j->simd->softmax(j->n, 1, x, y);
        j->simd->affine(j->n, 1, -log_sum, x, y);
    }
}

/* dx = dy - exp(y) sum(dy) */
static void run_log_softmax_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    sak_real *p = sak_each(c, worker);
    for (int64_t r = begin; r < end; r++) {
        const sak_real *dy = c->dy + r * j->n;
        j->simd->exp(j->n, c->y + r * j->n, p);
        j->simd->scale(j->n, -j->simd->sum(j->n, dy), p, p, false);
        j->simd->add(j->n, p, dy, p);
        j->simd->scale(j->n, 1, p, c->dx[0] + r * j->n, c->acc[0]);
    }
}

static void log_softmax_forward(const sak_opcall *c)
{
    over_rows(c, run_log_softmax);
}

static void log_softmax_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_rows(c, run_log_softmax_grad);
}

static sak_scratch one_row_each(const sak_opshape *s)
{
    return (sak_scratch){.each = sak_shape_last(&s->x[0])};
}

/* ---- batch norm -------------------------------------------------------------------------------- */

/* Per-chunk sums over rows of up to two quantities; shared is (2, parts, C), then (2, C). */
typedef void row_sums(const job *j, int64_t row, sak_real *p, sak_real *q);

typedef struct sums_job {
    job j;
    row_sums *add;
} sums_job;

static void run_sums(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const sums_job *s = ctx;
    const int64_t C = s->j.n;
    sak_real *p = s->j.c->shared + chunk * C, *q = p + s->j.parts * C;
    memset(p, 0, (size_t)C * sizeof *p);
    memset(q, 0, (size_t)C * sizeof *q);
    for (int64_t r = begin; r < end; r++)
        s->add(&s->j, r, p, q);
}

/* Sums over all rows: *p and *q point into shared. */
static void sum_rows(const job *j, row_sums *add, sak_real **p, sak_real **q)
{
    const int64_t C = j->n, block = j->parts * C;
    sums_job s = {*j, add};
    sak_parallel_for(j->rows, j->grain, run_sums, &s);
    *p = j->c->shared + 2 * block;
    *q = *p + C;
    sak_combine(j->parts, C, j->c->shared, *p, false);
    sak_combine(j->parts, C, j->c->shared + block, *q, false);
}

static void add_x(const job *j, int64_t row, sak_real *p, sak_real *q)
{
    (void)q;
    j->simd->add(j->n, p, j->c->x[0] + row * j->n, p);
}

static void add_squares(const job *j, int64_t row, sak_real *p, sak_real *q)
{
    (void)q;
    j->simd->add_squares(j->n, j->c->x[0] + row * j->n, j->mean, p);
}

static void add_grads(const job *j, int64_t row, sak_real *p, sak_real *q)
{
    j->simd->batch_norm_wgrad(j->n, j->c->x[0] + row * j->n, j->c->dy + row * j->n, j->mean, j->rstd, p,
                              q);
}

/* The running statistics are an input that training writes: `mutates` says so. */
static sak_real *mutable_input(const sak_opcall *c, int i)
{
    return (sak_real *)(uintptr_t)c->x[i];
}

static void batch_statistics(job *j, sak_real *mean, sak_real *rstd)
{
    const sak_opcall *c = j->c;
    const sak_real eps = (sak_real)SAK_ATTR(c->s, 0), m = (sak_real)SAK_ATTR(c->s, 1);
    const sak_real n = (sak_real)j->rows;
    sak_real *sum = NULL, *unused = NULL;
    sum_rows(j, add_x, &sum, &unused);
    for (int64_t i = 0; i < j->n; i++)
        mean[i] = sum[i] / n;
    sum_rows(j, add_squares, &sum, &unused);
    sak_real *running_mean = mutable_input(c, 3), *running_var = mutable_input(c, 4);
    for (int64_t i = 0; i < j->n; i++) {
        rstd[i] = 1 / (sak_real)sqrt((double)(sum[i] / n + eps));
        if (c->again)
            continue;
        running_mean[i] = (1 - m) * running_mean[i] + m * mean[i];
        running_var[i] = (1 - m) * running_var[i] + m * (sum[i] / (n - 1));
    }
}

static void run_batch_norm(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->batch_norm(j->n, j->c->x[0] + r * j->n, j->mean, j->rstd, j->c->x[1], j->c->x[2],
                            j->c->y + r * j->n);
}

/* Channels last, statistics over all other axes.  Training: those of the batch (biased variance),
 * the running ones move by `momentum` (unbiased variance).  Evaluation: the running ones.
 * Ioffe & Szegedy, arXiv:1502.03167.  save: mean and rstd of each channel. */
static void batch_norm_forward(const sak_opcall *c)
{
    job j = job_of(c->s);
    j.c = c;
    sak_real *mean = c->save, *rstd = c->save + j.n;
    j.mean = mean;
    j.rstd = rstd;
    if (c->s->training)
        batch_statistics(&j, mean, rstd);
    else
        for (int64_t i = 0; i < j.n; i++) {
            mean[i] = c->x[3][i];
            rstd[i] = 1 / (sak_real)sqrt((double)c->x[4][i] + SAK_ATTR(c->s, 0));
        }
    sak_parallel_for(j.rows, j.grain, run_batch_norm, &j);
}

typedef struct batch_grad {
    job j;
    const sak_real *dw, *db;
} batch_grad;

/* training: dx = w rstd (dy - db / n - xhat dw / n); evaluation: dx = w rstd dy */
static void run_batch_norm_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const batch_grad *g = ctx;
    const job *j = &g->j;
    const sak_opcall *c = j->c;
    const sak_batch_norm s = {c->x[1], j->mean, j->rstd, g->dw, g->db,
                              c->s->training ? 1 / (sak_real)j->rows : 0};
    for (int64_t r = begin; r < end; r++)
        j->simd->batch_norm_grad(j->n, &s, c->x[0] + r * j->n, c->dy + r * j->n, c->dx[0] + r * j->n,
                                 c->acc[0]);
}

static void batch_norm_backward(const sak_opcall *c)
{
    job j = job_of(c->s);
    j.c = c;
    j.mean = c->save;
    j.rstd = c->save + j.n;
    sak_real *dw = NULL, *db = NULL;
    sum_rows(&j, add_grads, &dw, &db);
    for (int64_t i = 0; i < j.n; i++) {
        if (c->dx[1])
            sak_put(c->dx[1], i, dw[i], c->acc[1]);
        if (c->dx[2])
            sak_put(c->dx[2], i, db[i], c->acc[2]);
    }
    if (c->dx[0]) {
        batch_grad g = {j, dw, db};
        sak_parallel_for(j.rows, j.grain, run_batch_norm_grad, &g);
    }
}

static sak_status batch_norm_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(affine_shape(s, err));
    if (s->training && sak_shape_rows(&s->x[0]) < 2)
        return SAK_FAIL(err, SAK_ESHAPE,
                        "batch_norm: training needs more than one value per channel, x is %s",
                        SAK_SHAPE_TEXT(&s->x[0]));
    return SAK_OK;
}

static int64_t batch_norm_save(const sak_opshape *s)
{
    return 2 * sak_shape_last(&s->x[0]);
}

static sak_scratch batch_norm_scratch(const sak_opshape *s)
{
    const job j = job_of(s);
    return (sak_scratch){.shared = 2 * (j.parts + 1) * j.n};
}

/* ---- normalize --------------------------------------------------------------------------------- */

/* save: 1 / |x| of each row; negative, -1 / eps, where |x| is at most eps. */
static void run_normalize(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    const sak_real eps = (sak_real)SAK_ATTR(c->s, 0);
    for (int64_t r = begin; r < end; r++) {
        const sak_real *x = c->x[0] + r * j->n;
        const sak_real norm = (sak_real)sqrt((double)j->simd->dot(j->n, x, x));
        c->save[r] = norm <= eps ? -1 / eps : 1 / norm;
        j->simd->scale(j->n, norm <= eps ? 1 / eps : 1 / norm, x, c->y + r * j->n, false);
    }
}

/* dx = (dy - y <y, dy>) / |x|, without the projection where the length was eps. */
static void run_normalize_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const sak_opcall *c = j->c;
    for (int64_t r = begin; r < end; r++) {
        const sak_real *y = c->y + r * j->n, *dy = c->dy + r * j->n;
        sak_real *dx = c->dx[0] + r * j->n;
        const sak_real inverse = c->save[r] < 0 ? -c->save[r] : c->save[r];
        j->simd->scale(j->n, inverse, dy, dx, c->acc[0]);
        if (c->save[r] > 0)
            j->simd->axpy(j->n, -inverse * j->simd->dot(j->n, y, dy), y, dx);
    }
}

static void normalize_forward(const sak_opcall *c)
{
    over_rows(c, run_normalize);
}

static void normalize_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_rows(c, run_normalize_grad);
}

static int64_t normalize_save(const sak_opshape *s)
{
    return sak_shape_rows(&s->x[0]);
}

/* ---- center ------------------------------------------------------------------------------------ */

static void run_center(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->binary[SAK_BINARY_SUB](j->n, NULL, j->c->x[0] + r * j->n, false, j->c->x[1],
                                        false, j->c->y + r * j->n);
}

/* y = x - center; training then moves the centre towards the batch's mean, as DINO's teacher head
 * does (Caron et al., arXiv:2104.14294, eq. 4). */
static void center_forward(const sak_opcall *c)
{
    over_rows(c, run_center);
    if (!c->s->training)
        return;
    const int64_t rows = sak_shape_rows(&c->s->x[0]), C = sak_shape_last(&c->s->x[0]);
    const sak_real m = (sak_real)SAK_ATTR(c->s, 0);
    sak_real *center = mutable_input(c, 1), *sum = c->shared;
    sak_column_sums(rows, C, c->x[0], sum, false, sum + C);
    for (int64_t i = 0; i < C; i++)
        center[i] = m * center[i] + (1 - m) * (sum[i] / (sak_real)rows);
}

static void run_pass(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const job *j = ctx;
    const int64_t at = begin * j->n;
    j->simd->scale((end - begin) * j->n, 1, j->c->dy + at, j->c->dx[0] + at, j->c->acc[0]);
}

static void center_backward(const sak_opcall *c)
{
    if (c->dx[0])
        over_rows(c, run_pass);
}

static sak_status center_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(has_rows(s, err));
    const int64_t C = sak_shape_last(&s->x[0]);
    if (s->x[1].n != 1 || s->x[1].d[0] != C)
        return SAK_FAIL(err, SAK_ESHAPE,
                        "center: x is %s, so running_center must be (%lld), got %s",
                        SAK_SHAPE_TEXT(&s->x[0]), (long long)C, SAK_SHAPE_TEXT(&s->x[1]));
    return sak_shape_same(s, err);
}

static sak_scratch center_scratch(const sak_opshape *s)
{
    const int64_t rows = sak_shape_rows(&s->x[0]), C = sak_shape_last(&s->x[0]);
    return (sak_scratch){.shared = C + sak_column_sums_scratch(rows, C)};
}

/* ---- the table --------------------------------------------------------------------------------- */

static const sak_attr_spec layer_norm_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-5, .doc = "added to the variance"},
    {0},
};
static const sak_attr_spec softmax_attrs[] = {
    {.name = "temperature", .type = SAK_ATTR_REAL, .def = 1, .doc = "divides the logits"},
    {0},
};
static const sak_attr_spec batch_norm_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-5, .doc = "added to the variance"},
    {.name = "momentum", .type = SAK_ATTR_REAL, .def = 0.1, .doc = "share of the new batch"},
    {0},
};
static const sak_attr_spec normalize_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-12, .doc = "least length"},
    {0},
};
static const sak_attr_spec center_attrs[] = {
    {.name = "momentum", .type = SAK_ATTR_REAL, .def = 0.9, .doc = "share of the old centre"},
    {0},
};

static const char *const layer_norm_cases[] = {
    "x=2x3x5 weight=5 bias=5", "x=4x37 weight=37 bias=37; eps=0.1", "x=7 weight=7 bias=7",
    "x=16x16 weight=16 bias=16", NULL,
};
static const char *const softmax_cases[] = {
    "x=2x3x5", "x=4x37; temperature=0.5", "x=7; temperature=4", "x=3x1", NULL,
};
static const char *const log_softmax_cases[] = {"x=2x3x5", "x=4x37", "x=7", "x=3x1", NULL};
static const char *const batch_norm_cases[] = {
    "x=2x3x3x5 weight=5 bias=5 running_mean=5 running_var=5:pos",
    "x=6x17 weight=17 bias=17 running_mean=17 running_var=17:pos; eps=0.1 momentum=0.3",
    NULL,
};
static const char *const normalize_cases[] = {
    "x=2x3x5", "x=4x37", "x=7", "x=2x5:in(-0.1,0.1); eps=10", NULL,
};
static const char *const center_cases[] = {
    "x=4x5 running_center=5", "x=2x3x17 running_center=17; momentum=0.5", NULL,
};

const sak_op sak_ops_norm[] = {
    {.name = "layer_norm",
     .inputs = "x weight bias",
     .n_in = 3,
     .attrs = layer_norm_attrs,
     .shape = affine_shape,
     .forward = layer_norm_forward,
     .backward = layer_norm_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .save = layer_norm_save,
     .scratch = layer_norm_scratch,
     .flops = eight_per_element,
     .cheap = true,
     .cases = layer_norm_cases,
     .eq = "y = (x - mean) / sqrt(var + eps) weight + bias",
     .doc = "Layer normalisation over the last axis."},
    {.name = "softmax",
     .inputs = "x",
     .n_in = 1,
     .attrs = softmax_attrs,
     .shape = softmax_shape,
     .forward = softmax_forward,
     .backward = softmax_backward,
     .keep = SAK_KEEP_Y,
     .flops = eight_per_element,
     .cases = softmax_cases,
     .eq = "y_i = exp(x_i / temperature) / sum_j exp(x_j / temperature)",
     .doc = "Softmax over the last axis."},
    {.name = "log_softmax",
     .inputs = "x",
     .n_in = 1,
     .shape = row_shape,
     .forward = log_softmax_forward,
     .backward = log_softmax_backward,
     .keep = SAK_KEEP_Y,
     .scratch = one_row_each,
     .flops = eight_per_element,
     .cases = log_softmax_cases,
     .eq = "y_i = x_i - log sum_j exp(x_j)",
     .doc = "Logarithm of softmax over the last axis."},
    {.name = "batch_norm",
     .inputs = "x weight bias running_mean running_var",
     .n_in = 5,
     .attrs = batch_norm_attrs,
     .shape = batch_norm_shape,
     .forward = batch_norm_forward,
     .backward = batch_norm_backward,
     .keep = SAK_KEEP_X(0) | SAK_KEEP_X(1),
     .over_dy = SAK_KEEP_X(0),
     .no_grad = 1u << 3 | 1u << 4,
     .mutates = 1u << 3 | 1u << 4,
     .save = batch_norm_save,
     .scratch = batch_norm_scratch,
     .flops = eight_per_element,
     .cases = batch_norm_cases,
     .eq = "y = (x - mean) / sqrt(var + eps) weight + bias",
     .doc = "Batch normalisation per channel; training updates the running statistics."},
    {.name = "normalize",
     .inputs = "x",
     .n_in = 1,
     .attrs = normalize_attrs,
     .shape = row_shape,
     .forward = normalize_forward,
     .backward = normalize_backward,
     .keep = SAK_KEEP_Y,
     .save = normalize_save,
     .cases = normalize_cases,
     .eq = "y = x / max(|x|, eps)",
     .doc = "Unit length (L2) along the last axis."},
    {.name = "center",
     .inputs = "x running_center",
     .n_in = 2,
     .attrs = center_attrs,
     .shape = center_shape,
     .forward = center_forward,
     .backward = center_backward,
     .no_grad = 1u << 1,
     .mutates = 1u << 1,
     .scratch = center_scratch,
     .cases = center_cases,
     .eq = "y = x - running_center; then running_center = m running_center + (1 - m) mean(x)",
     .doc = "Subtracts a running mean over rows; training updates it after use."},
    {0},
};
