/* safetensors, writing: the header is built whole, then everything is streamed to a temporary file
 * that replaces the old one. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "weights/safetensors.h"

static int by_width_and_name(const void *pa, const void *pb)
{
    const sak_st_source *const *a = pa, *const *b = pb;
    const size_t wa = sak_st_dtype_size((*a)->dtype), wb = sak_st_dtype_size((*b)->dtype);
    if (wa != wb)
        return wa > wb ? -1 : 1;
    return strcmp((*a)->name, (*b)->name);
}

static size_t bytes_of(const sak_st_source *t)
{
    return (size_t)sak_shape_count(&t->shape) * sak_st_dtype_size(t->dtype);
}

/* Adds one entry; takes the reference to v even when it fails. */
static bool put(json_t *object, const char *key, json_t *v)
{
    return v && json_object_set_new(object, key, v) == 0;
}

static bool put_tensor(json_t *root, const sak_st_source *t, size_t at)
{
    json_t *e = json_object(), *shape = json_array();
    bool ok = e && shape;
    for (int i = 0; ok && i < t->shape.n; i++)
        ok = json_array_append_new(shape, json_integer(t->shape.d[i])) == 0;
    if (!ok) {
        json_decref(e);
        json_decref(shape);
        return false;
    }
    ok = put(e, "dtype", json_string(sak_st_dtype_name(t->dtype)));
    ok = put(e, "shape", shape) && ok;
    ok = put(e, "data_offsets",
             json_pack("[I,I]", (json_int_t)at, (json_int_t)(at + bytes_of(t)))) &&
         ok;
    return put(root, t->name, e) && ok; /* false for a name that is not UTF-8 */
}

static json_t *metadata(const char *const *meta)
{
    json_t *m = json_object();
    for (; m && meta[0]; meta += 2)
        if (!put(m, meta[0], json_string(meta[1] ? meta[1] : ""))) {
            json_decref(m);
            return NULL;
        }
    return m;
}

/* The header's text, to be released with free. */
static sak_status build_header(char **text, const char *path, const sak_st_source *const *order,
                               int64_t n, const char *const *meta, sak_error *err)
{
    json_t *root = json_object();
    sak_status st = SAK_OK;
    if (!root || (meta && meta[0] && !put(root, "__metadata__", metadata(meta))))
        st = SAK_FAIL(err, SAK_EINVAL, "%s: metadata is not UTF-8 text", path);
    size_t at = 0;
    for (int64_t i = 0; st == SAK_OK && i < n; i++) {
        const sak_st_source *t = order[i];
        if (strcmp(t->name, "__metadata__") == 0 || json_object_get(root, t->name))
            st = SAK_FAIL(err, SAK_EINVAL, "%s: tensor name '%s' is taken", path, t->name);
        else if (!put_tensor(root, t, at))
            st = SAK_FAIL(err, SAK_EINVAL, "%s: tensor name '%s' is not UTF-8 text", path, t->name);
        at += bytes_of(t);
    }
    *text = st == SAK_OK ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (st == SAK_OK && !*text)
        st = SAK_FAIL(err, SAK_ENOMEM, "%s: no memory for the header", path);
    return st;
}

static sak_status write_file(const char *path, const char *header,
                             const sak_st_source *const *order, int64_t n, sak_error *err)
{
    static const char spaces[] = "        ";
    const size_t length = strlen(header), pad = (8 - length % 8) % 8;
    const uint64_t total = length + pad; /* data begin on 8 bytes */
    sak_file_out f;
    sak_status st = sak_file_out_open(&f, path, err);
    if (st != SAK_OK)
        return st;
    st = sak_file_out_write(&f, &total, 8, err);
    if (st == SAK_OK)
        st = sak_file_out_write(&f, header, length, err);
    if (st == SAK_OK)
        st = sak_file_out_write(&f, spaces, pad, err);
    for (int64_t i = 0; st == SAK_OK && i < n; i++)
        st = sak_file_out_write(&f, order[i]->data, bytes_of(order[i]), err);
    if (st == SAK_OK)
        st = sak_file_out_commit(&f, err);
    sak_file_out_close(&f);
    return st;
}

sak_status sak_safetensors_write(const char *path, const sak_st_source *tensors, int64_t n,
                                 const char *const *meta, bool sorted, sak_error *err)
{
    const sak_st_source **order = NULL;
    SAK_TRY(sak_alloc((void **)&order, (size_t)n, sizeof *order, err));
    for (int64_t i = 0; i < n; i++)
        order[i] = &tensors[i];
    if (sorted)
        qsort(order, (size_t)n, sizeof *order, by_width_and_name);
    char *header = NULL;
    sak_status st = build_header(&header, path, order, n, meta, err);
    if (st == SAK_OK)
        st = write_file(path, header, order, n, err);
    free(header);
    sak_free(order);
    return st;
}
