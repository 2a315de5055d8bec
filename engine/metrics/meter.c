/* The meters' table, and what all of them share: open, parallel update, merge, score. */
#include "metrics/meter.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "metrics/internal.h"

static int64_t no_sums(const sak_meter_spec *s)
{
    (void)s;
    return 0;
}

#define SEG_VALUES                                                                                 \
    {                                                                                              \
        {"mIoU", "%", true, "mean IoU over all classes; one that never occurs counts 0"},          \
        {"mIoU_present", "%", true, "mean IoU over classes that occur"},                           \
        {"pixel_acc", "%", true, "share of valid pixels with the right class"},                    \
    }

static const sak_meter_row rows[] = {
    {.task = "semseg", .label_channels = 1, .values = SEG_VALUES, .counts = sak_seg_counts,
     .sums = no_sums, .image = sak_seg_image, .score = sak_seg_score},
    {.task = "human_parts", .label_channels = 1, .values = SEG_VALUES, .counts = sak_seg_counts,
     .sums = no_sums, .image = sak_seg_image, .score = sak_seg_score},
    {.task = "depth", .channels = 1, .label_channels = 1,
     .values = {{"RMSE", "m", false, "root mean squared error over pixels with 0 < depth < 80 m"},
                {"absRel", "", false, "mean |error| / depth"},
                {"delta1", "%", true, "pixels off by a factor below 1.25"}},
     .counts = sak_depth_counts, .sums = sak_depth_sums, .image = sak_depth_image,
     .score = sak_depth_score},
    {.task = "normals", .channels = 3, .label_channels = 3,
     .values = {{"mErr", "deg", false, "mean angle between prediction and label"},
                {"median", "deg", false, "median angle, to 0.01 degrees"},
                {"within_11", "%", true, "pixels within 11.25 degrees"},
                {"within_22", "%", true, "pixels within 22.5 degrees"},
                {"within_30", "%", true, "pixels within 30 degrees"}},
     .counts = sak_normals_counts, .sums = sak_normals_sums, .image = sak_normals_image,
     .score = sak_normals_score},
    {.task = "sal", .channels = 2, .label_channels = 1,
     .values = {{"maxF", "%", true, "best F (beta^2 = 0.3) over 19 thresholds, data-set counts"},
                {"mIoU", "%", true, "best threshold's mean over images of the foreground IoU"}},
     .counts = sak_sal_counts, .sums = sak_sal_sums, .image = sak_sal_image,
     .score = sak_sal_score},
    {.task = "edge", .channels = 1, .label_channels = 1,
     .values = {{"odsF", "%", true, "boundary F at the best threshold of the data set"},
                {"oisF", "%", true, "boundary F with each image at its own best threshold"},
                {"AP", "%", true, "area under the boundary precision-recall curve"},
                {"ods_threshold", "", true, "threshold of odsF"},
                {"loss", "", false, "balanced BCE of the probability taken as a logit (monitor)"}},
     .counts = sak_edge_counts, .sums = sak_edge_sums, .image = sak_edge_image,
     .score = sak_edge_score},
};

const sak_meter_row *sak_meter_at(int i)
{
    return i >= 0 && i < (int)(sizeof rows / sizeof *rows) ? &rows[i] : NULL;
}

const sak_meter_row *sak_meter_find(const char *task)
{
    const sak_meter_row *r;
    for (int i = 0; (r = sak_meter_at(i)); i++)
        if (strcmp(r->task, task) == 0)
            return r;
    return NULL;
}

int sak_meter_values(const sak_meter_row *row)
{
    int n = 0;
    while (row->values[n].name)
        n++;
    return n;
}

static sak_status open_row(sak_meter *m, const sak_meter_row *row, const sak_meter_spec *spec,
                           sak_error *err)
{
    *m = (sak_meter){.row = row, .spec = *spec};
    m->n_counts = row->counts(spec);
    m->n_sums = row->sums(spec);
    sak_status st = sak_alloc((void **)&m->counts, (size_t)m->n_counts, sizeof *m->counts, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&m->sums, (size_t)m->n_sums, sizeof *m->sums, err);
    if (st != SAK_OK)
        sak_meter_close(m);
    return st;
}

sak_status sak_meter_open(sak_meter *m, const char *task, const sak_meter_spec *spec,
                          sak_error *err)
{
    *m = (sak_meter){0};
    const sak_meter_row *row = sak_meter_find(task);
    if (!row)
        return SAK_FAIL(err, SAK_ENOENT, "no meter for task '%s'", task);
    sak_meter_spec s = spec ? *spec : (sak_meter_spec){0};
    if (row->channels == 0 && (s.classes < 2 || s.classes > 255))
        return SAK_FAIL(err, SAK_EINVAL, "%s: classes must be 2 to 255, got %d", task, s.classes);
    if (s.edge_weight == 0)
        s.edge_weight = 0.8;
    if (s.max_dist == 0)
        s.max_dist = 0.011;
    if (!(s.edge_weight > 0 && s.edge_weight < 1) || !(s.max_dist > 0 && s.max_dist < 1))
        return SAK_FAIL(err, SAK_EINVAL, "%s: edge_weight and max_dist must lie between 0 and 1, "
                        "got %g and %g", task, s.edge_weight, s.max_dist);
    return open_row(m, row, &s, err);
}

void sak_meter_close(sak_meter *m)
{
    sak_free(m->counts);
    sak_free(m->sums);
    *m = (sak_meter){0};
}

void sak_meter_reset(sak_meter *m)
{
    memset(m->counts, 0, (size_t)m->n_counts * sizeof *m->counts);
    memset(m->sums, 0, (size_t)m->n_sums * sizeof *m->sums);
}

int sak_meter_channels(const sak_meter *m)
{
    return m->row->channels ? m->row->channels : m->spec.classes;
}

typedef struct update_job {
    sak_meter *part; /* one per image */
    sak_status *status;
    sak_error *error;
    const float *out, *label;
    int64_t H, W;
} update_job;

static void update_image(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const update_job *j = ctx;
    for (int64_t b = begin; b < end; b++) {
        sak_meter *m = &j->part[b];
        const int64_t pixels = j->H * j->W;
        j->status[b] = m->row->image(m, j->out + b * pixels * sak_meter_channels(m),
                                     j->label + b * pixels * m->row->label_channels, j->H, j->W,
                                     &j->error[b]);
    }
}

sak_status sak_meter_update(sak_meter *m, const float *out, const float *label, int64_t B,
                            int64_t H, int64_t W, sak_error *err)
{
    if (B < 1 || H < 1 || W < 1 || H > INT32_MAX / W)
        return SAK_FAIL(err, SAK_ESHAPE, "%s meter: %lld images of %lld x %lld", m->row->task,
                        (long long)B, (long long)H, (long long)W);
    update_job j = {.out = out, .label = label, .H = H, .W = W};
    const size_t n = (size_t)B;
    sak_status st = sak_alloc((void **)&j.part, n, sizeof *j.part, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&j.status, n, sizeof *j.status, err);
    if (st == SAK_OK)
        st = sak_alloc((void **)&j.error, n, sizeof *j.error, err);
    for (int64_t b = 0; st == SAK_OK && b < B; b++)
        st = open_row(&j.part[b], m->row, &m->spec, err);
    if (st == SAK_OK)
        sak_parallel_for(B, 1, update_image, &j);
    for (int64_t b = 0; st == SAK_OK && b < B; b++)
        if (j.status[b] != SAK_OK)
            st = SAK_FAIL(err, j.status[b], "%s", j.error[b].msg);
    for (int64_t b = 0; st == SAK_OK && b < B; b++)
        sak_meter_merge(m, &j.part[b]);
    for (int64_t b = 0; j.part && b < B; b++)
        sak_meter_close(&j.part[b]);
    sak_free(j.part);
    sak_free(j.status);
    sak_free(j.error);
    return st;
}

void sak_meter_merge(sak_meter *m, const sak_meter *other)
{
    for (int64_t i = 0; i < m->n_counts; i++)
        m->counts[i] += other->counts[i];
    for (int64_t i = 0; i < m->n_sums; i++)
        m->sums[i] += other->sums[i];
}

void sak_meter_score(const sak_meter *m, double values[SAK_METER_VALUES])
{
    for (int i = 0; i < SAK_METER_VALUES; i++)
        values[i] = NAN;
    m->row->score(m, values);
}

double sak_delta_m(int K, const double *multi, const double *single, const bool *higher)
{
    double sum = 0;
    for (int k = 0; k < K; k++) {
        const double gain = (multi[k] - single[k]) / single[k];
        sum += higher[k] ? gain : -gain;
    }
    return 100 * sum / K;
}
