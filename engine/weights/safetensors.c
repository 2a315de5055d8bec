/* safetensors, reading: maps the file, checks the whole header, converts elements on the way out.
 */
#include "weights/safetensors.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors are little-endian; a big-endian host needs byte swapping here"
#endif

#define HEADER_MAX ((uint64_t)100 << 20) /* bytes, the reference implementation's limit */

static const struct {
    const char *name;
    size_t size;
} dtypes[SAK_ST_COUNT] = {
    [SAK_ST_F32] = {"F32", 4},   [SAK_ST_F64] = {"F64", 8}, [SAK_ST_F16] = {"F16", 2},
    [SAK_ST_BF16] = {"BF16", 2}, [SAK_ST_I64] = {"I64", 8}, [SAK_ST_I32] = {"I32", 4},
    [SAK_ST_I16] = {"I16", 2},   [SAK_ST_I8] = {"I8", 1},   [SAK_ST_U64] = {"U64", 8},
    [SAK_ST_U32] = {"U32", 4},   [SAK_ST_U16] = {"U16", 2}, [SAK_ST_U8] = {"U8", 1},
    [SAK_ST_BOOL] = {"BOOL", 1},
};

const char *sak_st_dtype_name(sak_st_dtype t)
{
    return dtypes[t].name;
}

size_t sak_st_dtype_size(sak_st_dtype t)
{
    return dtypes[t].size;
}

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

static sak_status parse_dtype(sak_st_tensor *t, const json_t *v, const char *path, sak_error *err)
{
    const char *text = json_string_value(v);
    if (!text)
        return BAD("%s: tensor '%s' has no \"dtype\"", path, t->name);
    for (int i = 0; i < SAK_ST_COUNT; i++)
        if (strcmp(text, dtypes[i].name) == 0) {
            t->dtype = (sak_st_dtype)i;
            return SAK_OK;
        }
    return BAD("%s: tensor '%s' has dtype '%.16s', which is not supported", path, t->name, text);
}

static sak_status parse_shape(sak_st_tensor *t, const json_t *v, const char *path, sak_error *err)
{
    if (!json_is_array(v))
        return BAD("%s: tensor '%s' has no \"shape\"", path, t->name);
    const size_t n = json_array_size(v);
    if (n > SAK_MAX_DIMS)
        return BAD("%s: tensor '%s' has %zu dimensions, at most %d are supported", path, t->name, n,
                   SAK_MAX_DIMS);
    t->shape.n = (int)n;
    t->count = 1;
    bool empty = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(v, i);
        const int64_t dim = json_is_integer(d) ? json_integer_value(d) : -1;
        if (dim < 0)
            return BAD("%s: tensor '%s': dimension %zu is not a size", path, t->name, i);
        t->shape.d[i] = dim;
        empty |= dim == 0;
    }
    for (size_t i = 0; i < n; i++) { /* without the zeros, so that their place is no matter */
        const int64_t d = t->shape.d[i] ? t->shape.d[i] : 1;
        if (__builtin_mul_overflow(t->count, d, &t->count) || t->count > INT64_MAX / 8)
            return BAD("%s: tensor '%s': its number of elements overflows", path, t->name);
    }
    if (empty)
        t->count = 0;
    return SAK_OK;
}

static sak_status parse_offsets(sak_st_tensor *t, const json_t *v, const unsigned char *base,
                                uint64_t room, const char *path, sak_error *err)
{
    const json_t *jb = json_array_get(v, 0), *je = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(jb) || !json_is_integer(je))
        return BAD("%s: tensor '%s' has no \"data_offsets\" [begin, end]", path, t->name);
    const int64_t begin = json_integer_value(jb), end = json_integer_value(je);
    if (begin < 0 || end < begin || (uint64_t)end > room)
        return BAD("%s: tensor '%s': bytes [%" PRId64 ", %" PRId64
                   ") are outside the file's %" PRIu64 " data bytes (truncated?)",
                   path, t->name, begin, end, room);
    t->bytes = (size_t)(end - begin);
    if (t->bytes != (size_t)t->count * dtypes[t->dtype].size)
        return BAD("%s: tensor '%s': shape %s of %s needs %" PRIu64 " bytes, the header gives %zu",
                   path, t->name, SAK_SHAPE_TEXT(&t->shape), dtypes[t->dtype].name,
                   (uint64_t)t->count * dtypes[t->dtype].size, t->bytes);
    t->data = base + begin;
    return SAK_OK;
}

static sak_status parse_meta(sak_safetensors *st, json_t *v, sak_error *err)
{
    if (!json_is_object(v))
        return BAD("%s: \"__metadata__\" is not an object", st->path);
    SAK_TRY(sak_alloc((void **)&st->meta, json_object_size(v), sizeof *st->meta, err));
    const char *key;
    json_t *value;
    json_object_foreach(v, key, value)
    {
        if (!json_is_string(value))
            return BAD("%s: metadata '%s' is not a string", st->path, key);
        st->meta[st->metas][0] = key;
        st->meta[st->metas++][1] = json_string_value(value);
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

static int by_name(const void *pa, const void *pb)
{
    const sak_st_tensor *const *a = pa, *const *b = pb;
    return strcmp((*a)->name, (*b)->name);
}

/* The format wants the data tiled: no byte twice, none left over. */
static sak_status check_tiling(const sak_safetensors *st, const unsigned char *base, uint64_t room,
                               sak_error *err)
{
    uint64_t at = 0;
    for (int64_t i = 0; i < st->count; i++) {
        const sak_st_tensor *t = &st->tensors[i];
        const uint64_t begin = (uint64_t)((const unsigned char *)t->data - base);
        if (begin < at)
            return BAD("%s: tensors '%s' and '%s' overlap", st->path, st->tensors[i - 1].name,
                       t->name);
        if (begin > at)
            return BAD("%s: %" PRIu64 " bytes before tensor '%s' belong to no tensor", st->path,
                       begin - at, t->name);
        at = begin + t->bytes;
    }
    if (at != room)
        return BAD("%s: %" PRIu64 " bytes at the end belong to no tensor", st->path, room - at);
    return SAK_OK;
}

static sak_status parse_header(sak_safetensors *st, json_t *root, const unsigned char *base,
                               uint64_t room, sak_error *err)
{
    sak_st_tensor *list = NULL;
    SAK_TRY(sak_alloc((void **)&list, json_object_size(root), sizeof *list, err));
    st->tensors = list;
    SAK_TRY(sak_alloc((void **)&st->by_name, json_object_size(root), sizeof *st->by_name, err));
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            SAK_TRY(parse_meta(st, value, err));
            continue;
        }
        sak_st_tensor *t = &list[st->count];
        t->name = name;
        if (!json_is_object(value))
            return BAD("%s: tensor '%s' is not described by an object", st->path, name);
        SAK_TRY(parse_dtype(t, json_object_get(value, "dtype"), st->path, err));
        SAK_TRY(parse_shape(t, json_object_get(value, "shape"), st->path, err));
        SAK_TRY(
            parse_offsets(t, json_object_get(value, "data_offsets"), base, room, st->path, err));
        st->count++;
    }
    qsort(list, (size_t)st->count, sizeof *list, by_place);
    for (int64_t i = 0; i < st->count; i++)
        st->by_name[i] = &list[i];
    qsort(st->by_name, (size_t)st->count, sizeof *st->by_name, by_name);
    return check_tiling(st, base, room, err);
}

sak_status sak_safetensors_open(sak_safetensors *st, const char *path, sak_error *err)
{
    *st = (sak_safetensors){0};
    sak_status s = sak_alloc((void **)&st->path, strlen(path) + 1, 1, err);
    if (s != SAK_OK)
        return s;
    memcpy(st->path, path, strlen(path) + 1);
    s = sak_map_open(&st->map, path, err);
    if (s != SAK_OK)
        goto fail;
    uint64_t header = 0;
    const unsigned char *bytes = st->map.data;
    if (st->map.size >= 8)
        memcpy(&header, bytes, 8);
    if (st->map.size < 8 || header > st->map.size - 8) {
        s = BAD("%s: not a safetensors file, or truncated: %zu bytes, its header needs %" PRIu64,
                path, st->map.size, header);
        goto fail;
    }
    if (header > HEADER_MAX || header < 2 || bytes[8] != '{') {
        s = BAD("%s: not a safetensors file (header of %" PRIu64 " bytes)", path, header);
        goto fail;
    }
    json_error_t je;
    json_t *root = json_loadb((const char *)bytes + 8, header, JSON_REJECT_DUPLICATES, &je);
    st->json = root;
    if (!root) {
        s = BAD("%s: the header is not valid JSON: %s (byte %d)", path, je.text, je.position);
        goto fail;
    }
    s = parse_header(st, root, bytes + 8 + header, st->map.size - 8 - header, err);
    if (s != SAK_OK)
        goto fail;
    return SAK_OK;
fail:
    sak_safetensors_close(st);
    return s;
}

void sak_safetensors_close(sak_safetensors *st)
{
    json_decref(st->json);
    sak_free((void *)(uintptr_t)st->tensors);
    sak_free(st->by_name);
    sak_free(st->meta);
    sak_map_close(&st->map);
    sak_free(st->path);
    *st = (sak_safetensors){0};
}

const sak_st_tensor *sak_safetensors_find(const sak_safetensors *st, const char *name)
{
    int64_t lo = 0, hi = st->count;
    while (lo < hi) {
        const int64_t mid = lo + (hi - lo) / 2;
        const int c = strcmp(name, st->by_name[mid]->name);
        if (c == 0)
            return st->by_name[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *sak_safetensors_meta(const sak_safetensors *st, const char *key)
{
    for (int64_t i = 0; i < st->metas; i++)
        if (strcmp(st->meta[i][0], key) == 0)
            return st->meta[i][1];
    return NULL;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* IEEE half to float; exact, subnormals and NaNs included. */
static float from_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 31, man = h & 1023;
    if (exp == 31)
        return from_bits(sign | 0x7f800000u | man << 13);
    if (exp)
        return from_bits(sign | (exp + 112) << 23 | man << 13);
    const float tiny = (float)man * 0x1p-24f;
    return sign ? -tiny : tiny;
}

#define LOAD(type) ((type *)memcpy(&(type){0}, p, sizeof(type)))[0]

/* Element i; through memcpy, since nothing promises that a tensor is aligned. */
static double element(const sak_st_tensor *t, int64_t i)
{
    const unsigned char *p = (const unsigned char *)t->data + (size_t)i * dtypes[t->dtype].size;
    switch (t->dtype) {
    case SAK_ST_F32:
        return LOAD(float);
    case SAK_ST_F64:
        return LOAD(double);
    case SAK_ST_F16:
        return from_half(LOAD(uint16_t));
    case SAK_ST_BF16:
        return from_bits((uint32_t)LOAD(uint16_t) << 16);
    case SAK_ST_I64:
        return (double)LOAD(int64_t);
    case SAK_ST_I32:
        return LOAD(int32_t);
    case SAK_ST_I16:
        return LOAD(int16_t);
    case SAK_ST_I8:
        return LOAD(int8_t);
    case SAK_ST_U64:
        return (double)LOAD(uint64_t);
    case SAK_ST_U32:
        return LOAD(uint32_t);
    case SAK_ST_U16:
        return LOAD(uint16_t);
    case SAK_ST_U8:
        return *p;
    case SAK_ST_BOOL:
        return *p != 0;
    case SAK_ST_COUNT:
        break;
    }
    return 0;
}

void sak_safetensors_copy_f32(const sak_st_tensor *t, float *out)
{
    if (t->dtype == SAK_ST_F32 && t->bytes)
        memcpy(out, t->data, t->bytes);
    else
        for (int64_t i = 0; i < t->count; i++)
            out[i] = (float)element(t, i);
}

void sak_safetensors_copy_f64(const sak_st_tensor *t, double *out)
{
    for (int64_t i = 0; i < t->count; i++)
        out[i] = element(t, i);
}
