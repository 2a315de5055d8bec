/* safetensors, reading: checks the whole header of a mapped file and lists its tensors. */
#include "weights/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX ((uint64_t)100 << 20) /* bytes, the reference implementation's limit */
#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

static sak_status parse_dtype(sak_st_tensor *t, const json_t *v, sak_error *err)
{
    const char *text = json_string_value(v);
    if (!text)
        return BAD("%s: tensor '%s' has no \"dtype\"", t->file, t->name);
    if (!sak_st_dtype_find(text, &t->dtype))
        return BAD("%s: tensor '%s' has dtype '%.16s', which is not supported", t->file, t->name,
                   text);
    return SAK_OK;
}

static sak_status parse_shape(sak_st_tensor *t, const json_t *v, sak_error *err)
{
    if (!json_is_array(v))
        return BAD("%s: tensor '%s' has no \"shape\"", t->file, t->name);
    int64_t dim[SAK_MAX_DIMS] = {0};
    const size_t n = json_array_size(v);
    for (size_t i = 0; i < n && i < SAK_MAX_DIMS; i++) {
        const json_t *d = json_array_get(v, i);
        dim[i] = json_is_integer(d) ? json_integer_value(d) : -1;
    }
    return sak_st_set_shape(t, dim, n, err);
}

static sak_status parse_offsets(sak_st_tensor *t, const json_t *v, const unsigned char *base,
                                uint64_t room, sak_error *err)
{
    const json_t *jb = json_array_get(v, 0), *je = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(jb) || !json_is_integer(je))
        return BAD("%s: tensor '%s' has no \"data_offsets\" [begin, end]", t->file, t->name);
    const int64_t begin = json_integer_value(jb), end = json_integer_value(je);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return BAD("%s: tensor '%s': bytes [%" PRId64 ", %" PRId64
                   ") are outside the file's %" PRIu64 " data bytes (truncated?)",
                   t->file, t->name, begin, end, room);
    t->bytes = (size_t)(end - begin);
    if (t->bytes != (size_t)t->count * sak_st_dtype_size(t->dtype))
        return BAD("%s: tensor '%s': shape %s of %s needs %" PRIu64 " bytes, the header gives %zu",
                   t->file, t->name, SAK_SHAPE_TEXT(&t->shape), sak_st_dtype_name(t->dtype),
                   (uint64_t)t->count * sak_st_dtype_size(t->dtype), t->bytes);
    t->data = base + begin;
    return SAK_OK;
}

static sak_status parse_meta(sak_weights *w, const char *path, json_t *v, sak_error *err)
{
    if (!json_is_object(v))
        return BAD("%s: \"__metadata__\" is not an object", path);
    w->metas = 0; /* of a sharded file: the last one's */
    w->meta = sak_arena_take(&w->arena, json_object_size(v) * sizeof *w->meta);
    if (!w->meta)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for its metadata", path);
    const char *key;
    json_t *value;
    json_object_foreach(v, key, value)
    {
        if (!json_is_string(value))
            return BAD("%s: metadata '%s' is not a string", path, key);
        w->meta[w->metas][0] = sak_arena_text(&w->arena, key);
        w->meta[w->metas][1] = sak_arena_text(&w->arena, json_string_value(value));
        if (!w->meta[w->metas][0] || !w->meta[w->metas][1])
            return SAK_FAIL(err, SAK_ENOMEM, "%s: out of memory for its metadata", path);
        w->metas++;
    }
    return SAK_OK;
}

static int by_place(const void *pa, const void *pb)
{
    const sak_st_tensor *a = pa, *b = pb;
    const uintptr_t da = (uintptr_t)a->data, db = (uintptr_t)b->data;
    if (da != db)
        return da < db ? -1 : 1;
    if (a->bytes != b->bytes) /* empty tensors stand before the one that begins there */
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* The format wants the data tiled: no byte twice, none left over. */
static sak_status check_tiling(const sak_st_tensor *t, int64_t n, const char *path,
                               const unsigned char *base, uint64_t room, sak_error *err)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t begin = (uint64_t)((const unsigned char *)t[i].data - base);
        if (begin < at)
            return BAD("%s: tensors '%s' and '%s' overlap", path, t[i - 1].name, t[i].name);
        if (begin > at)
            return BAD("%s: %" PRIu64 " bytes before tensor '%s' belong to no tensor", path,
                       begin - at, t[i].name);
        at = begin + t[i].bytes;
    }
    if (at != room)
        return BAD("%s: %" PRIu64 " bytes at the end belong to no tensor", path, room - at);
    return SAK_OK;
}

static sak_status parse_header(sak_weights *w, const char *path, json_t *root,
                               const unsigned char *base, uint64_t room, sak_error *err)
{
    const int64_t first = w->count;
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            SAK_TRY(parse_meta(w, path, value, err));
            continue;
        }
        sak_st_tensor t = {.name = name, .file = path};
        if (!json_is_object(value))
            return BAD("%s: tensor '%s' is not described by an object", path, name);
        SAK_TRY(parse_dtype(&t, json_object_get(value, "dtype"), err));
        SAK_TRY(parse_shape(&t, json_object_get(value, "shape"), err));
        SAK_TRY(parse_offsets(&t, json_object_get(value, "data_offsets"), base, room, err));
        SAK_TRY(sak_weights_add(w, &t, err));
    }
    const int64_t n = w->count - first;
    sak_st_tensor *own = n ? w->tensors + first : NULL;
    if (n)
        qsort(own, (size_t)n, sizeof *own, by_place);
    return check_tiling(own, n, path, base, room, err);
}

sak_status sak_safetensors_parse(sak_weights *w, const char *path, const void *data, size_t size,
                                 sak_error *err)
{
    const unsigned char *bytes = data;
    uint64_t header = 0;
    if (size >= 8)
        memcpy(&header, bytes, 8);
    if (size < 9 || (header > size - 8 && bytes[8] != '{'))
        return BAD("%s: not a safetensors file, and it does not begin like any other weight file known here",
                   path);
    if (header > size - 8)
        return BAD("%s: a truncated safetensors file: %zu bytes, its header needs %" PRIu64,
                   path, size, header);
    if (header > HEADER_MAX || header < 2 || bytes[8] != '{')
        return BAD("%s: not a safetensors file (header of %" PRIu64 " bytes)", path, header);
    json_error_t je;
    json_t *root = json_loadb((const char *)bytes + 8, header, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return BAD("%s: the header is not valid JSON: %s (byte %d)", path, je.text, je.position);
    w->kind = "safetensors";
    const sak_status s = parse_header(w, path, root, bytes + 8 + header, size - 8 - header, err);
    json_decref(root);
    return s;
}
