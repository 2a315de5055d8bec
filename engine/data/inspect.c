/* Sums over the samples of a dataset. */
#include "data/inspect.h"

#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "data/folder.h"

enum { AT_ONCE = 32 }; /* samples' sums in memory */

typedef struct batch {
    const sak_dataset *data;
    int64_t from;
    sak_inspection sum[AT_ONCE];
    sak_status status[AT_ONCE];
    sak_error err[AT_ONCE];
} batch;

static void count_labels(const uint8_t *label, int64_t n, int64_t out[256])
{
    for (int64_t i = 0; label && i < n; i++)
        out[label[i]]++;
}

static int64_t count_set(const uint8_t *mask, int64_t n)
{
    int64_t set = 0;
    for (int64_t i = 0; mask && i < n; i++)
        set += mask[i] == 1;
    return set;
}

static void sum_image(const uint8_t *rgb, int64_t n, sak_inspection *s)
{
    for (int k = 0; k < 3; k++) {
        int64_t a = 0, b = 0;
        for (int64_t i = 0; i < n; i++) {
            const int64_t v = rgb[3 * i + k];
            a += v;
            b += v * v;
        }
        s->rgb[k] = (double)a / (255.0 * (double)n);
        s->rgb2[k] = (double)b / (255.0 * 255.0 * (double)n);
    }
}

static void sum_depth(const float *depth, int64_t n, sak_inspection *s)
{
    double total = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = (double)depth[i];
        if (!(v > 0))
            continue;
        if (!s->deep || v < s->depth_min)
            s->depth_min = v;
        if (v > s->depth_max)
            s->depth_max = v;
        s->deep++;
        total += v;
    }
    s->depth = s->deep ? total / (double)s->deep : 0;
    s->depth_samples = s->deep > 0;
}

static void sum_normals(const float *v, int64_t n, sak_inspection *s)
{
    double total[3] = {0};
    for (int64_t i = 0; i < n; i++, v += 3) {
        if (v[0] == 0 && v[1] == 0 && v[2] == 0)
            continue;
        s->facing++;
        for (int k = 0; k < 3; k++)
            total[k] += (double)v[k];
    }
    for (int k = 0; k < 3 && s->facing; k++)
        s->normal[k] = total[k] / (double)s->facing;
    s->normal_samples = s->facing > 0;
}

static void inspect_sample(const sak_sample *x, sak_inspection *s)
{
    const int64_t n = (int64_t)x->H * x->W;
    *s = (sak_inspection){.read = 1, .pixels = n, .H = {x->H, x->H}, .W = {x->W, x->W}};
    if (x->rgb)
        sum_image(x->rgb, n, s);
    count_labels(x->semseg, n, s->semseg);
    count_labels(x->parts, n, s->parts);
    s->edge = count_set(x->edge, n);
    s->sal = count_set(x->sal, n);
    for (int i = 1; i < 255 && x->parts; i++)
        s->people |= s->parts[i] > 0;
    if (x->depth)
        sum_depth(x->depth, n, s);
    if (x->normals)
        sum_normals(x->normals, n, s);
}

static void least_and_most(int to[2], const int from[2], bool first)
{
    to[0] = first || from[0] < to[0] ? from[0] : to[0];
    to[1] = first || from[1] > to[1] ? from[1] : to[1];
}

static void add(sak_inspection *to, const sak_inspection *s)
{
    const bool first = to->read == 0;
    least_and_most(to->H, s->H, first);
    least_and_most(to->W, s->W, first);
    if (s->deep) {
        to->depth_min = !to->deep || s->depth_min < to->depth_min ? s->depth_min : to->depth_min;
        to->depth_max = s->depth_max > to->depth_max ? s->depth_max : to->depth_max;
    }
    to->read++;
    to->pixels += s->pixels;
    for (int k = 0; k < 3; k++) {
        to->rgb[k] += s->rgb[k];
        to->rgb2[k] += s->rgb2[k];
        to->normal[k] += s->normal[k];
    }
    for (int i = 0; i < 256; i++) {
        to->semseg[i] += s->semseg[i];
        to->parts[i] += s->parts[i];
    }
    to->edge += s->edge;
    to->sal += s->sal;
    to->people += s->people;
    to->deep += s->deep;
    to->facing += s->facing;
    to->depth += s->depth;
    to->depth_samples += s->depth_samples;
    to->normal_samples += s->normal_samples;
}

static void read_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    batch *b = ctx;
    sak_sample x = {0};
    for (int64_t i = begin; i < end; i++) {
        b->status[i] = b->data->read(b->data, b->from + i, &x, &b->err[i]);
        if (b->status[i] == SAK_OK)
            inspect_sample(&x, &b->sum[i]);
    }
    sak_sample_close(&x);
}

sak_status sak_inspect(const sak_dataset *d, int64_t from, int64_t to, sak_inspection *sum,
                       sak_inspect_problem *problem, void *ctx, sak_error *err)
{
    batch *b = NULL;
    SAK_TRY(sak_alloc((void **)&b, 1, sizeof *b, err));
    b->data = d;
    for (; from < to; from += AT_ONCE) {
        const int64_t n = to - from < AT_ONCE ? to - from : AT_ONCE;
        b->from = from;
        sak_parallel_for(n, 1, read_chunk, b);
        for (int64_t i = 0; i < n; i++) {
            if (b->status[i] == SAK_OK) {
                add(sum, &b->sum[i]);
                continue;
            }
            sum->bad++;
            if (sak_is_folder(d))
                sak_folder_diagnose(d, from + i, problem, ctx);
            else
                problem(ctx, from + i, &b->err[i]);
        }
    }
    sak_free(b);
    return SAK_OK;
}
