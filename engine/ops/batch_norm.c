/* Batch normalisation, with the running statistics that evaluation uses. */
#include <math.h>
#include <string.h>

#include "kernels/colsum.h"
#include "ops/norm_rows.h"

/* Per-chunk sums over rows of up to two quantities; shared is (2, parts, C), then (2, C). */
typedef void row_sums(const norm_job *j, int64_t row, sak_real *p, sak_real *q);

typedef struct sums_job {
    norm_job j;
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
static void sum_rows(const norm_job *j, row_sums *add, sak_real **p, sak_real **q)
{
    const int64_t C = j->n, block = j->parts * C;
    sums_job s = {*j, add};
    sak_parallel_for(j->rows, j->grain, run_sums, &s);
    *p = j->c->shared + 2 * block;
    *q = *p + C;
    sak_combine(j->parts, C, j->c->shared, *p, false);
    sak_combine(j->parts, C, j->c->shared + block, *q, false);
}

static void add_x(const norm_job *j, int64_t row, sak_real *p, sak_real *q)
{
    (void)q;
    j->simd->add(j->n, p, j->c->x[0] + row * j->n, p);
}

static void add_squares(const norm_job *j, int64_t row, sak_real *p, sak_real *q)
{
    (void)q;
    j->simd->add_squares(j->n, j->c->x[0] + row * j->n, j->mean, p);
}

static void add_grads(const norm_job *j, int64_t row, sak_real *p, sak_real *q)
{
    j->simd->batch_norm_wgrad(j->n, j->c->x[0] + row * j->n, j->c->dy + row * j->n, j->mean, j->rstd, p,
                              q);
}

static void batch_statistics(norm_job *j, sak_real *mean, sak_real *rstd)
{
    const sak_opcall *c = j->c;
    const sak_real eps = (sak_real)SAK_ATTR(c->s, 0), m = (sak_real)SAK_ATTR(c->s, 1);
    const sak_real n = (sak_real)j->rows;
    sak_real *sum = NULL, *unused = NULL;
    sum_rows(j, add_x, &sum, &unused);
    for (int64_t i = 0; i < j->n; i++)
        mean[i] = sum[i] / n;
    sum_rows(j, add_squares, &sum, &unused);
    sak_real *running_mean = norm_mutable_input(c, 3), *running_var = norm_mutable_input(c, 4);
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
    const norm_job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->batch_norm(j->n, j->c->x[0] + r * j->n, j->mean, j->rstd, j->c->x[1], j->c->x[2],
                            j->c->y + r * j->n);
}

/* Channels last, statistics over all other axes.  Training: those of the batch (biased variance),
 * the running ones move by `momentum` (unbiased variance).  Evaluation: the running ones.
 * Ioffe & Szegedy, arXiv:1502.03167.  save: mean and rstd of each channel. */
static void batch_norm_forward(const sak_opcall *c)
{
    norm_job j = sak_norm_job(c->s);
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
    norm_job j;
    const sak_real *dw, *db;
} batch_grad;

/* training: dx = w rstd (dy - db / n - xhat dw / n); evaluation: dx = w rstd dy */
static void run_batch_norm_grad(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const batch_grad *g = ctx;
    const norm_job *j = &g->j;
    const sak_opcall *c = j->c;
    const sak_batch_norm s = {c->x[1], j->mean, j->rstd, g->dw, g->db,
                              c->s->training ? 1 / (sak_real)j->rows : 0};
    for (int64_t r = begin; r < end; r++)
        j->simd->batch_norm_grad(j->n, &s, c->x[0] + r * j->n, c->dy + r * j->n, c->dx[0] + r * j->n,
                                 c->acc[0]);
}

static void batch_norm_backward(const sak_opcall *c)
{
    norm_job j = sak_norm_job(c->s);
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
    SAK_TRY(sak_norm_affine_shape(s, err));
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
    const norm_job j = sak_norm_job(s);
    return (sak_scratch){.shared = 2 * (j.parts + 1) * j.n};
}

static const sak_attr_spec batch_norm_attrs[] = {
    {.name = "eps", .type = SAK_ATTR_REAL, .def = 1e-5, .doc = "added to the variance"},
    {.name = "momentum", .type = SAK_ATTR_REAL, .def = 0.1, .doc = "share of the new batch"},
    {0},
};

static const char *const batch_norm_cases[] = {
    "x=2x3x3x5 weight=5 bias=5 running_mean=5 running_var=5:pos",
    "x=6x17 weight=17 bias=17 running_mean=17 running_var=17:pos; eps=0.1 momentum=0.3",
    NULL,
};

const sak_op sak_ops_batch_norm[] = {
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
     .flops = sak_norm_flops,
     .cases = batch_norm_cases,
     .eq = "y = (x - mean) / sqrt(var + eps) weight + bias",
     .doc = "Batch normalisation per channel; training updates the running statistics."},
    {0},
};
