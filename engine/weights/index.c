/* Sharded weights: reads the index, finds the file to open in a folder. */
#include "weights/index.h"

#include <dirent.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

enum { FILES_MAX = 4096 };

bool sak_index_is(const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    if (size && memchr(p, 0, size < 8 ? size : 8))
        return false; /* no text: the length at the head of a safetensors file, say */
    while (size && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) {
        p++;
        size--;
    }
    return size && *p == '{';
}

static sak_status find_file(sak_index *x, const char *path, const char *tensor, const json_t *value,
                            int *out, sak_error *err)
{
    const char *name = json_string_value(value);
    if (!name)
        return BAD("%s: tensor '%s' has no file", path, tensor);
    if (!name[0] || name[0] == '.' || strchr(name, '/') || strchr(name, '\\'))
        return BAD("%s: tensor '%s' is in '%.80s', which is not the name of a file beside it", path,
                   tensor, name);
    for (int i = 0; i < x->n_files; i++)
        if (strcmp(x->files[i], name) == 0) {
            *out = i;
            return SAK_OK;
        }
    if (x->n_files == FILES_MAX)
        return BAD("%s: more than %d files", path, FILES_MAX);
    const char *own = sak_arena_text(&x->arena, name);
    if (!own)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
    *out = x->n_files;
    x->files[x->n_files++] = own;
    return SAK_OK;
}

static sak_status read_map(sak_index *x, const char *path, json_t *map, sak_error *err)
{
    if (!json_is_object(map))
        return BAD("%s: a JSON file without \"weight_map\": not the index of a sharded model", path);
    x->rows = sak_arena_take(&x->arena, json_object_size(map) * sizeof *x->rows);
    x->files = sak_arena_take(&x->arena, FILES_MAX * sizeof *x->files);
    if (!x->rows || !x->files)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        sak_index_row *row = &x->rows[x->n_rows];
        SAK_TRY(find_file(x, path, tensor, value, &row->file, err));
        row->tensor = sak_arena_text(&x->arena, tensor);
        if (!row->tensor)
            return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory", path);
        x->n_rows++;
    }
    return x->n_rows ? SAK_OK : BAD("%s: its \"weight_map\" is empty", path);
}

sak_status sak_index_parse(sak_index *x, const char *path, const void *bytes, size_t size,
                           sak_error *err)
{
    *x = (sak_index){0};
    json_error_t je;
    json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return BAD("%s: not valid JSON: %s (line %d)", path, je.text, je.line);
    const sak_status st = read_map(x, path, json_object_get(root, "weight_map"), err);
    json_decref(root);
    if (st != SAK_OK)
        sak_index_close(x);
    return st;
}

void sak_index_close(sak_index *x)
{
    sak_arena_close(&x->arena);
    *x = (sak_index){0};
}

/* How much a file is wanted: 0 not at all. */
static int rank_of(const char *name)
{
    static const char *const wanted[] = {"pytorch_model.bin", "model.safetensors", ".index.json",
                                         ".safetensors.index.json"};
    int rank = 0;
    for (int i = 0; i < 4; i++)
        if (i < 2 ? strcmp(name, wanted[i]) == 0 : sak_ends_with(name, wanted[i]))
            rank = i + 1;
    return rank;
}

sak_status sak_index_in_folder(const char *folder, char *out, size_t room, sak_error *err)
{
    DIR *d = opendir(folder);
    if (!d)
        return SAK_FAIL(err, SAK_EIO, "%s: the folder cannot be read", folder);
    char best[256] = "", rival[256] = "";
    int rank = 0;
    for (const struct dirent *e; (e = readdir(d));) {
        const int r = rank_of(e->d_name);
        if (!r || r < rank)
            continue;
        if (r > rank)
            rival[0] = 0;
        else
            snprintf(rival, sizeof rival, "%s", best);
        rank = r;
        snprintf(best, sizeof best, "%s", e->d_name);
    }
    closedir(d);
    if (!rank)
        return SAK_FAIL(err, SAK_ENOENT,
                        "%s: the folder holds no *.index.json, model.safetensors or "
                        "pytorch_model.bin; name the weight file itself",
                        folder);
    if (rival[0])
        return SAK_FAIL(err, SAK_EINVAL, "%s: which is meant, '%s' or '%s'? Name the file itself",
                        folder, best, rival);
    if (snprintf(out, room, "%s/%s", folder, best) >= (int)room)
        return SAK_FAIL(err, SAK_EINVAL, "%s: the path is too long", folder);
    return SAK_OK;
}
