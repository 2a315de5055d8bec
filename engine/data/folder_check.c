/* What is wrong with a folder's files, and what is odd about their names though they can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "data/folder.h"
#include "data/image.h"

static int by_id(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    const int order = strcasecmp(*x, *y);
    return order ? order : strcmp(*x, *y);
}

/* Is the picture a JPEG by its first bytes? */
static bool is_jpeg(const char *path)
{
    unsigned char head[2] = {0};
    FILE *file = fopen(path, "rb");
    const bool jpeg = file && fread(head, 1, 2, file) == 2 && head[0] == 0xFF && head[1] == 0xD8;
    if (file)
        fclose(file);
    return jpeg;
}

static bool is_misnamed(const sak_folder *f, int64_t i)
{
    char path[SAK_PATH_ROOM];
    sak_folder_path(path, f, &f->layout.m[0], i);
    const char *dot = strrchr(path, '.');
    const bool png = dot && strcasecmp(dot, ".png") == 0;
    const bool jpg = dot && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0);
    return (png || jpg) && is_jpeg(path) == png;
}

sak_status sak_folder_oddities(const sak_dataset *d, sak_oddities *out, sak_error *err)
{
    const sak_folder *f = d->state;
    const char **id;
    *out = (sak_oddities){0};
    SAK_TRY(sak_alloc((void **)&id, (size_t)d->count, sizeof *id, err));
    memcpy(id, f->id, (size_t)d->count * sizeof *id);
    qsort(id, (size_t)d->count, sizeof *id, by_id);
    for (int64_t i = 1; i < d->count; i++) {
        if (strcmp(id[i - 1], id[i]) == 0) {
            if (out->twice++ == 0)
                out->twin = id[i];
        } else if (strcasecmp(id[i - 1], id[i]) == 0 && out->case_twins++ == 0) {
            out->case_twin = id[i];
        }
    }
    sak_free(id);
    for (int64_t i = 0; i < d->count; i++)
        if (is_misnamed(f, i) && out->misnamed++ == 0)
            out->misnamed_image = f->image[i];
    return SAK_OK;
}

void sak_folder_diagnose(const sak_dataset *d, int64_t index, sak_folder_problem *problem, void *ctx)
{
    const sak_folder *f = d->state;
    sak_sample s = {0};
    bool sized = true; /* labels are held against the image's size */
    for (int k = 0; k < f->layout.n; k++) {
        const sak_modality *m = &f->layout.m[k];
        char path[SAK_PATH_ROOM];
        sak_error err, other;
        if (!(d->has & m->flag))
            continue;
        sak_folder_path(path, f, m, index);
        if (!sized && sak_file_exists(path))
            continue;
        if ((m->read ? m->read : sak_modality_reader(m->flag))(d, m, path, &s, &err) == SAK_OK)
            continue;
        problem(ctx, index, &err);
        int H, W; /* of a picture that is cut off the header still tells */
        if (m->flag == SAK_HAS_IMAGE)
            sized = sak_image_size(path, &H, &W, &other) == SAK_OK &&
                    sak_sample_reserve(&s, d->has, H, W, &other) == SAK_OK;
    }
    sak_sample_close(&s);
}

/* ---- labels without an image ---- */

typedef struct orphan_search {
    const sak_folder *f;
    const sak_modality *m;
    const char *dir;
    int64_t n;
    char *first;
} orphan_search;

static sak_status look_for_image(void *ctx, const char *name, int64_t size, sak_error *err)
{
    (void)size, (void)err;
    orphan_search *o = ctx;
    char id[SAK_PATH_ROOM], path[SAK_PATH_ROOM];
    snprintf(id, sizeof id, "%.*s", (int)(strlen(name) - strlen(o->m->suffix)), name);
    if (sak_folder_has_image(o->f, id))
        return SAK_OK;
    snprintf(path, sizeof path, "%s%s%s", o->dir, *o->dir ? "/" : "", name);
    if (o->n++ == 0 || strcmp(path, o->first) < 0)
        memcpy(o->first, path, sizeof path);
    return SAK_OK;
}

sak_status sak_folder_orphans(const sak_dataset *d, sak_orphans *out, sak_error *err)
{
    const sak_folder *f = d->state;
    memset(out, 0, sizeof *out);
    for (int k = 0; k < f->layout.n; k++) {
        const sak_modality *m = &f->layout.m[k];
        const char *const dirs[] = {m->dir, m->first};
        if (m->flag == SAK_HAS_IMAGE || !m->suffix || !(d->has & m->flag))
            continue;
        orphan_search o = {.f = f, .m = m, .first = out->first[k]};
        for (int i = 0; i < 2; i++) {
            char path[SAK_PATH_ROOM];
            o.dir = dirs[i];
            if (!o.dir || snprintf(path, sizeof path, "%s/%s", f->root, o.dir) >= SAK_PATH_ROOM ||
                !sak_dir_exists(path))
                continue;
            SAK_TRY(sak_folder_walk(f, m, o.dir, look_for_image, &o, err));
        }
        out->n[k] = o.n;
    }
    return SAK_OK;
}
