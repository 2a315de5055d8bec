/* Batch tensors: one row per field says what it needs, its shape and how a sample fills it. */
#include "data/loader_batch.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

_Static_assert(sizeof(sak_real) == sizeof(float), "engine/data is built as float only");

struct sak_batch_field {
    const char *name;
    unsigned has; /* what it is made of */
    int view;     /* 0 or 1; -1: none, the raw sample */
    sak_shape (*shape)(const sak_batch_layout *b);
    void (*write)(const sak_batch_layout *b, const sak_batch_work *w, const sak_sample *raw,
                  int64_t index, float *out);
};

static sak_shape shape_map(const sak_batch_layout *b)
{
    return SAK_SHAPE(b->augment.H, b->augment.W);
}

static sak_shape shape_map1(const sak_batch_layout *b)
{
    return SAK_SHAPE(b->augment.H, b->augment.W, 1);
}

static sak_shape shape_map3(const sak_batch_layout *b)
{
    return SAK_SHAPE(b->augment.H, b->augment.W, 3);
}

static sak_shape shape_caption(const sak_batch_layout *b)
{
    (void)b;
    return SAK_SHAPE(SAK_CAPTION_MAX);
}

static sak_shape shape_one(const sak_batch_layout *b)
{
    (void)b;
    return SAK_SHAPE(1);
}

static sak_shape shape_prompt(const sak_batch_layout *b)
{
    return SAK_SHAPE(b->prompts, (int64_t)(b->augment.H / b->patch) * (b->augment.W / b->patch));
}

static sak_shape shape_prompt_mask(const sak_batch_layout *b)
{
    return SAK_SHAPE(b->augment.H / b->stride, b->augment.W / b->stride, b->prompts);
}

#define WRITER(name)                                                                               \
    static void name(const sak_batch_layout *b, const sak_batch_work *w, const sak_sample *raw,    \
                     int64_t index, float *out)

WRITER(write_image)
{
    (void)b, (void)raw, (void)index;
    sak_normalise(&w->view[0], out);
}

WRITER(write_image2)
{
    (void)b, (void)raw, (void)index;
    sak_normalise(&w->view[1], out);
}

static void widen(const uint8_t *restrict in, float *restrict out, const sak_sample *s)
{
    for (size_t i = 0, n = (size_t)s->H * s->W; i < n; i++)
        out[i] = in[i];
}

WRITER(write_semseg)
{
    (void)b, (void)raw, (void)index;
    widen(w->view[0].s.semseg, out, &w->view[0].s);
}

WRITER(write_sal)
{
    (void)b, (void)raw, (void)index;
    widen(w->view[0].s.sal, out, &w->view[0].s);
}

WRITER(write_parts)
{
    (void)b, (void)raw, (void)index;
    widen(w->view[0].s.parts, out, &w->view[0].s);
}

WRITER(write_edge)
{
    (void)b, (void)raw, (void)index;
    widen(w->view[0].s.edge, out, &w->view[0].s);
}

WRITER(write_depth)
{
    (void)raw, (void)index;
    memcpy(out, w->view[0].s.depth, sizeof *out * (size_t)b->augment.H * b->augment.W);
}

WRITER(write_normals)
{
    (void)raw, (void)index;
    memcpy(out, w->view[0].s.normals, 3 * sizeof *out * (size_t)b->augment.H * b->augment.W);
}

WRITER(write_caption)
{
    (void)b, (void)w, (void)index;
    for (int i = 0; i < SAK_CAPTION_MAX; i++)
        out[i] = raw->caption[i];
}

WRITER(write_index)
{
    (void)b, (void)w, (void)raw;
    *out = (float)index;
}

WRITER(write_prompt)
{
    (void)raw, (void)index;
    const int across = b->augment.W / b->patch;
    const size_t L = (size_t)(b->augment.H / b->patch) * across;
    memset(out, 0, sizeof *out * L * b->prompts);
    for (int p = 0; p < b->prompts; p++)
        out[L * p + (size_t)(w->point[p].y / b->patch) * across + w->point[p].x / b->patch] = 1;
}

static bool shows_image(const sak_view *v, int x, int y)
{
    return x >= v->x0 && x < v->x0 + v->w && y >= v->y0 && y < v->y0 + v->h;
}

WRITER(write_prompt_mask)
{
    (void)raw, (void)index;
    const sak_view *v = &w->view[0];
    for (int y = b->stride / 2; y < v->s.H; y += b->stride)
        for (int x = b->stride / 2; x < v->s.W; x += b->stride)
            for (int p = 0; p < b->prompts; p++)
                *out++ = shows_image(v, x, y) &&
                         v->s.instance[(size_t)y * v->s.W + x] == w->point[p].instance;
}

static const sak_batch_field rows[] = {
    {"image", SAK_HAS_IMAGE, 0, shape_map3, write_image},
    {"image2", SAK_HAS_IMAGE, 1, shape_map3, write_image2},
    {"semseg", SAK_HAS_SEMSEG, 0, shape_map, write_semseg},
    {"sal", SAK_HAS_SAL, 0, shape_map, write_sal},
    {"human_parts", SAK_HAS_PARTS, 0, shape_map, write_parts},
    {"edge", SAK_HAS_EDGE, 0, shape_map1, write_edge},
    {"depth", SAK_HAS_DEPTH, 0, shape_map1, write_depth},
    {"normals", SAK_HAS_NORMALS, 0, shape_map3, write_normals},
    {"caption", SAK_HAS_CAPTION, -1, shape_caption, write_caption},
    {"prompt", SAK_HAS_INSTANCE, 0, shape_prompt, write_prompt},
    {"prompt_mask", SAK_HAS_INSTANCE, 0, shape_prompt_mask, write_prompt_mask},
    {"index", 0, -1, shape_one, write_index},
};

static const sak_batch_field *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static sak_status unknown_field(const char *name, sak_error *err)
{
    char known[256] = "";
    for (size_t i = 0, at = 0; i < sizeof rows / sizeof *rows; i++)
        at += (size_t)snprintf(known + at, sizeof known - at, "%s%s", i ? ", " : "", rows[i].name);
    return SAK_FAIL(err, SAK_EINVAL, "loader: no field '%s'; there are %s", name, known);
}

static sak_status check_prompts(const sak_loader_spec *spec, const char *name, int side,
                                const char *what, sak_error *err)
{
    const sak_augment *a = &spec->augment;
    if (spec->prompts < 1)
        return SAK_FAIL(err, SAK_EINVAL, "loader: field '%s' needs prompts >= 1, got %d", name,
                        spec->prompts);
    if (side < 1 || a->H % side || a->W % side)
        return SAK_FAIL(err, SAK_EINVAL, "loader: %s must divide the size %d x %d, got %d", what,
                        a->H, a->W, side);
    return SAK_OK;
}

sak_status sak_batch_layout_init(sak_batch_layout *b, const sak_loader_spec *spec,
                                 const char *const *fields, int n, sak_error *err)
{
    *b = (sak_batch_layout){.augment = spec->augment,
                            .seed = spec->seed,
                            .prompts = spec->prompts,
                            .patch = spec->prompt_patch,
                            .stride = spec->mask_stride};
    SAK_TRY(sak_augment_check(&spec->augment, err));
    if (n < 1 || n > SAK_BATCH_FIELDS)
        return SAK_FAIL(err, SAK_EINVAL, "loader: 1 to %d fields, got %d", SAK_BATCH_FIELDS, n);
    for (int i = 0; i < n; i++) {
        const sak_batch_field *row = find_row(fields[i]);
        if (!row)
            return unknown_field(fields[i], err);
        if (row->has & ~spec->data->has)
            return SAK_FAIL(err, SAK_EINVAL, "loader: dataset '%s' has nothing for field '%s'",
                            spec->data->name, row->name);
        if (row->write == write_prompt)
            SAK_TRY(check_prompts(spec, row->name, spec->prompt_patch, "prompt_patch", err));
        if (row->write == write_prompt_mask)
            SAK_TRY(check_prompts(spec, row->name, spec->mask_stride, "mask_stride", err));
        b->points |= row->write == write_prompt || row->write == write_prompt_mask;
        if (row->view >= 0)
            b->want[row->view] |= row->has;
        b->row[b->n] = row;
        b->shape[b->n] = row->shape(b);
        b->count[b->n] = sak_shape_count(&b->shape[b->n]);
        b->n++;
    }
    return SAK_OK;
}

sak_status sak_batch_work_open(sak_batch_work *w, const sak_batch_layout *b, sak_error *err)
{
    *w = (sak_batch_work){0};
    if (!b->points)
        return SAK_OK;
    void *p;
    SAK_TRY(sak_alloc(&p, (size_t)b->prompts, sizeof *w->point, err));
    w->point = p;
    return SAK_OK;
}

void sak_batch_work_close(sak_batch_work *w)
{
    sak_sample_close(&w->view[0].s);
    sak_sample_close(&w->view[1].s);
    sak_scratch_close(&w->scratch);
    sak_free(w->point);
    *w = (sak_batch_work){0};
}

/* Instance ids that cover at least 0.5% of what the view shows of the image, or the largest. */
static int find_candidates(const sak_view *v, int64_t count[256], uint8_t candidate[256])
{
    memset(count, 0, 256 * sizeof *count);
    for (int y = v->y0; y < v->y0 + v->h; y++)
        for (int x = v->x0; x < v->x0 + v->w; x++)
            count[v->s.instance[(size_t)y * v->s.W + x]]++;
    const int64_t area = (int64_t)v->w * v->h;
    int n = 0, largest = 0;
    for (int id = 0; id < 256; id++) {
        if (200 * count[id] >= area)
            candidate[n++] = (uint8_t)id;
        largest = count[id] > count[largest] ? id : largest;
    }
    if (n == 0)
        candidate[n++] = (uint8_t)largest;
    return n;
}

/* Points: an instance at random, then one of its pixels at random. */
static void draw_points(const sak_batch_layout *b, sak_batch_work *w, int64_t epoch, int64_t index)
{
    const sak_view *v = &w->view[0];
    int64_t count[256];
    uint8_t candidate[256];
    const int n = find_candidates(v, count, candidate);
    sak_rng r = sak_rng_open(b->seed, SAK_RNG_SAMPLE, (uint64_t)epoch, (uint32_t)index);
    for (int p = 0; p < b->prompts; p++) {
        const int id = candidate[sak_rng_int(&r, n)];
        int64_t left = sak_rng_int(&r, count[id]);
        for (int y = v->y0; left >= 0; y++)
            for (int x = v->x0; x < v->x0 + v->w && left >= 0; x++)
                if (v->s.instance[(size_t)y * v->s.W + x] == id && left-- == 0)
                    w->point[p] = (sak_point){x, y, id};
    }
}

sak_status sak_batch_write(const sak_batch_layout *b, sak_batch_work *w, const sak_sample *raw,
                           int64_t epoch, int64_t index, int64_t i, sak_real *const *field,
                           sak_error *err)
{
    for (int v = 0; v < 2; v++)
        if (b->want[v])
            SAK_TRY(sak_augment_view(&b->augment, b->seed, epoch, index, v, raw, b->want[v],
                                     &w->scratch, &w->view[v], err));
    if (b->points)
        draw_points(b, w, epoch, index);
    for (int f = 0; f < b->n; f++)
        b->row[f]->write(b, w, raw, index, field[f] + b->count[f] * i);
    return SAK_OK;
}

const char *sak_batch_field_name(const sak_batch_field *f)
{
    return f->name;
}
