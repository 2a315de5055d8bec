/* Predictors that never look at the image, as a floor under every result. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "metrics/internal.h"

static int channels_of(const sak_trivial *t)
{
    return t->row->channels ? t->row->channels : t->classes;
}

sak_status sak_trivial_open(sak_trivial *t, const char *task, int classes, sak_error *err)
{
    *t = (sak_trivial){.row = sak_meter_find(task)};
    if (!t->row)
        return SAK_FAIL(err, SAK_ENOENT, "no meter for task '%s'", task);
    t->classes = t->row->channels ? 2 : classes; /* two: the base rate of sal and edge */
    if (t->classes < 2 || t->classes > 255)
        return SAK_FAIL(err, SAK_EINVAL, "%s: classes must be 2 to 255, got %d", task, classes);
    return sak_alloc((void **)&t->counts, (size_t)t->classes, sizeof *t->counts, err);
}

void sak_trivial_close(sak_trivial *t)
{
    sak_free(t->counts);
    *t = (sak_trivial){0};
}

static bool is(const sak_trivial *t, const char *task)
{
    return strcmp(t->row->task, task) == 0;
}

void sak_trivial_fit(sak_trivial *t, const float *label, int64_t pixels)
{
    if (is(t, "normals")) {
        for (int64_t i = 0; i < pixels; i++) {
            const float *g = label + 3 * i;
            if (g[0] == SAK_METER_IGNORE || g[1] == SAK_METER_IGNORE || g[2] == SAK_METER_IGNORE)
                continue;
            for (int k = 0; k < 3; k++)
                t->sum[k] += (double)g[k];
            t->n++;
        }
    } else if (is(t, "depth")) {
        for (int64_t i = 0; i < pixels; i++)
            if (label[i] > 0 && label[i] < 80) {
                t->sum[0] += (double)label[i];
                t->n++;
            }
    } else {
        for (int64_t i = 0; i < pixels; i++)
            if (label[i] >= 0 && label[i] < (float)t->classes) {
                t->counts[(int)label[i]]++;
                t->n++;
            }
    }
}

/* log(p / (1 - p)) of the share of ones, with one pixel of each added so that it is finite. */
static float base_logit(const sak_trivial *t)
{
    return (float)log(((double)t->counts[1] + 1) / ((double)t->counts[0] + 1));
}

void sak_trivial_output(const sak_trivial *t, float *out)
{
    memset(out, 0, (size_t)channels_of(t) * sizeof *out);
    if (is(t, "normals")) {
        const double *s = t->sum, n = sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);
        for (int k = 0; k < 3 && n > 0; k++)
            out[k] = (float)(s[k] / n);
    } else if (is(t, "depth")) {
        out[0] = t->n ? (float)(t->sum[0] / (double)t->n) : 0;
    } else if (is(t, "sal")) {
        out[1] = base_logit(t);
    } else if (is(t, "edge")) {
        out[0] = base_logit(t);
    } else {
        int best = 0;
        for (int k = 1; k < t->classes; k++)
            if (t->counts[k] > t->counts[best])
                best = k;
        out[best] = 1;
    }
}
