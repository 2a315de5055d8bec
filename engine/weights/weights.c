/* The weight-file handle: tells the kind of a file by its content, maps it, lists its tensors. */
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#include "weights/safetensors.h"

static int by_name(const void *pa, const void *pb)
{
    const sak_st_tensor *const *a = pa, *const *b = pb;
    return strcmp((*a)->name, (*b)->name);
}

/* The sorted list, and with it the check that every name is there once. */
static sak_status sort_names(sak_weights *w, sak_error *err)
{
    SAK_TRY(sak_alloc((void **)&w->by_name, (size_t)w->count, sizeof *w->by_name, err));
    for (int64_t i = 0; i < w->count; i++)
        w->by_name[i] = &w->tensors[i];
    if (w->count)
        qsort(w->by_name, (size_t)w->count, sizeof *w->by_name, by_name);
    for (int64_t i = 1; i < w->count; i++) {
        const sak_st_tensor *a = w->by_name[i - 1], *b = w->by_name[i];
        if (strcmp(a->name, b->name) == 0)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: there are two tensors '%s' (%s, %s)", w->path,
                            a->name, a->file, b->file);
    }
    return SAK_OK;
}

sak_status sak_weights_add(sak_weights *w, const sak_st_tensor *t, sak_error *err)
{
    if (w->count == w->cap) {
        const int64_t cap = w->cap ? 2 * w->cap : 256;
        sak_st_tensor *list = realloc(w->tensors, (size_t)cap * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for its list of tensors", w->path);
        w->tensors = list;
        w->cap = cap;
    }
    sak_st_tensor *own = &w->tensors[w->count];
    *own = *t;
    own->name = sak_arena_text(&w->arena, t->name);
    if (!own->name)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for its list of tensors", w->path);
    w->count++;
    return SAK_OK;
}

static sak_status begin(sak_weights *w, const char *path, sak_error *err)
{
    *w = (sak_weights){0};
    w->path = sak_arena_text(&w->arena, path);
    return w->path ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
}

static sak_status parse(sak_weights *w, const char *path, const void *bytes, size_t size,
                        const char *key, sak_error *err)
{
    (void)key;
    return sak_safetensors_parse(w, path, bytes, size, err);
}

sak_status sak_weights_parse(sak_weights *w, const char *name, const void *bytes, size_t size,
                             const char *key, sak_error *err)
{
    sak_status st = begin(w, name, err);
    if (st == SAK_OK)
        st = parse(w, w->path, bytes, size, key, err);
    if (st == SAK_OK)
        st = sort_names(w, err);
    if (st != SAK_OK)
        sak_weights_close(w);
    return st;
}

static sak_status map_file(sak_weights *w, const char *path, const sak_map **map, sak_error *err)
{
    sak_mapping **list = realloc(w->maps, (size_t)(w->n_maps + 1) * sizeof *list);
    if (!list)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
    w->maps = list;
    SAK_TRY(sak_mapping_open(&w->maps[w->n_maps], path, err));
    *map = &w->maps[w->n_maps++]->map;
    return SAK_OK;
}

sak_status sak_weights_open(sak_weights *w, const char *path, const char *key, sak_error *err)
{
    const sak_map *map = NULL;
    sak_status st = begin(w, path, err);
    if (st == SAK_OK)
        st = map_file(w, path, &map, err);
    if (st == SAK_OK)
        st = parse(w, w->path, map->data, map->size, key, err);
    if (st == SAK_OK)
        st = sort_names(w, err);
    if (st != SAK_OK)
        sak_weights_close(w);
    return st;
}

void sak_weights_close(sak_weights *w)
{
    for (int i = 0; i < w->n_maps; i++)
        sak_mapping_drop(w->maps[i]);
    free(w->maps);
    free(w->tensors);
    sak_free(w->by_name);
    sak_arena_close(&w->arena);
    *w = (sak_weights){0};
}

const sak_st_tensor *sak_weights_find(const sak_weights *w, const char *name)
{
    int64_t lo = 0, hi = w->count;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(name, w->by_name[mid]->name);
        if (c == 0)
            return w->by_name[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *sak_weights_meta(const sak_weights *w, const char *key)
{
    for (int64_t i = 0; i < w->metas; i++)
        if (strcmp(w->meta[i][0], key) == 0)
            return w->meta[i][1];
    return NULL;
}

sak_mapping *sak_weights_mapping(const sak_weights *w, const sak_st_tensor *t)
{
    for (int i = 0; i < w->n_maps; i++) {
        const uintptr_t base = (uintptr_t)w->maps[i]->map.data, at = (uintptr_t)t->data;
        if (at >= base && at - base < w->maps[i]->map.size)
            return w->maps[i];
    }
    return NULL;
}
