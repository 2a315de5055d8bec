/* The weight-file handle: tells the kind of a file by its content, maps it, lists its tensors. */
#include "weights/weights.h"

#include <stdlib.h>
#include <string.h>

#include "weights/index.h"
#include "weights/pth.h"
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

static bool begins(const void *bytes, size_t size, const char *text)
{
    return size >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static bool is_pickle(const unsigned char *p, size_t size)
{
    return size > 8 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5 && p[8] != '{';
}

/* One file's tensors.  safetensors comes last: its first bytes are a length, of any value. */
static sak_status parse(sak_weights *w, const char *path, const void *bytes, size_t size,
                        const char *key, sak_error *err)
{
    if (!size)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: the file is empty", path);
    if (sak_pth_is_zip(bytes, size) || sak_pth_is_legacy(bytes, size))
        return sak_pth_parse(w, path, bytes, size, key, err);
    if (begins(bytes, size, "version https://git-lfs"))
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: a Git LFS pointer, not the weights; fetch them with git lfs pull", path);
    if (is_pickle(bytes, size))
        return SAK_FAIL(err, SAK_EFORMAT, "%s: a pickle, but not one that torch.save writes", path);
    if (key)
        return SAK_FAIL(err, SAK_EINVAL,
                        "%s: key = \"%.60s\" chooses an entry of a PyTorch checkpoint, and this is "
                        "none",
                        path, key);
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

/* --- shards ------------------------------------------------------------------------------------ */

static sak_status open_shard(sak_weights *w, const char *index, const char *file, const char *key,
                             const char **path, sak_error *err)
{
    const char *slash = strrchr(index, '/');
    const size_t folder = slash ? (size_t)(slash - index) + 1 : 0;
    char *full = sak_arena_take(&w->arena, folder + strlen(file) + 1);
    if (!full)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", index);
    memcpy(full, index, folder);
    strcpy(full + folder, file);
    *path = full;
    const sak_map *map = NULL;
    sak_error why;
    if (map_file(w, full, &map, &why) != SAK_OK)
        return SAK_FAIL(err, why.code, "%s: its file '%s' is missing or cannot be read: %s", index,
                        file, why.msg);
    if (sak_index_is(map->data, map->size))
        return SAK_FAIL(err, SAK_EFORMAT, "%s: names '%s', which is an index itself; an index names weight files",
                        index, file);
    return parse(w, full, map->data, map->size, key, err);
}

/* Every tensor is in the file the index gives, and the files hold no others. */
static sak_status check_shards(const sak_weights *w, const sak_index *x, const char *const *paths,
                               sak_error *err)
{
    for (int64_t i = 0; i < x->n_rows; i++) {
        const sak_index_row *row = &x->rows[i];
        const sak_st_tensor *t = sak_weights_find(w, row->tensor);
        if (!t || strcmp(t->file, paths[row->file]) != 0)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: tensor '%s' should be in '%s' but is %s%s",
                            w->path, row->tensor, x->files[row->file], t ? "in " : "not there",
                            t ? t->file : "");
    }
    if (w->count == x->n_rows)
        return SAK_OK;
    for (int64_t i = 0; i < w->count; i++) {
        bool listed = false;
        for (int64_t k = 0; k < x->n_rows && !listed; k++)
            listed = strcmp(x->rows[k].tensor, w->tensors[i].name) == 0;
        if (!listed)
            return SAK_FAIL(err, SAK_EFORMAT, "%s: tensor '%s' of '%s' is not listed", w->path,
                            w->tensors[i].name, w->tensors[i].file);
    }
    return SAK_OK;
}

static sak_status open_shards(sak_weights *w, const char *path, const sak_map *map, const char *key,
                              sak_error *err)
{
    sak_index x;
    SAK_TRY(sak_index_parse(&x, path, map->data, map->size, err));
    const char **paths = sak_arena_take(&w->arena, (size_t)x.n_files * sizeof *paths);
    sak_status st = paths ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
    for (int i = 0; st == SAK_OK && i < x.n_files; i++)
        st = open_shard(w, path, x.files[i], key, &paths[i], err);
    if (st == SAK_OK)
        st = sort_names(w, err);
    if (st == SAK_OK)
        st = check_shards(w, &x, paths, err);
    sak_index_close(&x);
    return st;
}

static sak_status open_file(sak_weights *w, const char *path, const char *key, sak_error *err)
{
    const sak_map *map = NULL;
    SAK_TRY(map_file(w, path, &map, err));
    if (sak_index_is(map->data, map->size))
        return open_shards(w, path, map, key, err);
    SAK_TRY(parse(w, w->path, map->data, map->size, key, err));
    return sort_names(w, err);
}

sak_status sak_weights_open(sak_weights *w, const char *path, const char *key, sak_error *err)
{
    char inside[4096];
    *w = (sak_weights){0};
    if (sak_dir_exists(path)) {
        SAK_TRY(sak_index_in_folder(path, inside, sizeof inside, err));
        path = inside;
    }
    sak_status st = begin(w, path, err);
    if (st == SAK_OK)
        st = open_file(w, path, key, err);
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
