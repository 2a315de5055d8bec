/* Centring on a running mean. */
#include "kernels/colsum.h"
#include "ops/norm_rows.h"

static void run_center(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    for (int64_t r = begin; r < end; r++)
        j->simd->binary[SAK_BINARY_SUB](j->n, NULL, j->c->x[0] + r * j->n, false, j->c->x[1],
                                        false, j->c->y + r * j->n);
}

/* y = x - center; training then moves the centre towards the batch's mean, as DINO's teacher head
 * does (Caron et al., arXiv:2104.14294, eq. 4). */
static void center_forward(const sak_opcall *c)
{
    sak_norm_over_rows(c, run_center);
    if (!c->s->training)
        return;
    const int64_t rows = sak_shape_rows(&c->s->x[0]), C = sak_shape_last(&c->s->x[0]);
    const sak_real m = (sak_real)SAK_ATTR(c->s, 0);
    sak_real *center = norm_mutable_input(c, 1), *sum = c->shared;
    sak_column_sums(rows, C, c->x[0], sum, false, sum + C);
    for (int64_t i = 0; i < C; i++)
        center[i] = m * center[i] + (1 - m) * (sum[i] / (sak_real)rows);
}

static void run_pass(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const norm_job *j = ctx;
    const int64_t at = begin * j->n;
    j->simd->scale((end - begin) * j->n, 1, j->c->dy + at, j->c->dx[0] + at, j->c->acc[0]);
}

static void center_backward(const sak_opcall *c)
{
    if (c->dx[0])
        sak_norm_over_rows(c, run_pass);
}

static sak_status center_shape(sak_opshape *s, sak_error *err)
{
    SAK_TRY(sak_norm_has_rows(s, err));
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

static const sak_attr_spec center_attrs[] = {
    {.name = "momentum", .type = SAK_ATTR_REAL, .def = 0.9, .doc = "share of the old centre"},
    {0},
};

static const char *const center_cases[] = {
    "x=4x5 running_center=5", "x=2x3x17 running_center=17; momentum=0.5", NULL,
};

const sak_op sak_ops_center[] = {
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
