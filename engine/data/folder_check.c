/* What is odd about a folder's names, though it can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/folder.h"

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
