/* PyTorch checkpoints: where the pickle and the storages are, in both containers. */
#include "weights/pth.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/pth_model.h"
#include "weights/zip.h"

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

/* --- zip --------------------------------------------------------------------------------------- */

typedef struct zipped {
    const char *path;
    sak_zip zip;
    const char *folder; /* "archive/" */
    size_t folder_length;
} zipped;

bool sak_pth_is_zip(const void *bytes, size_t size)
{
    return size >= 4 && memcmp(bytes, "PK\3\4", 4) == 0;
}

static sak_status find_zipped(void *ctx, const sak_pk_storage *s, sak_span *out, sak_error *err)
{
    const zipped *z = ctx;
    char name[128];
    const int n = snprintf(name, sizeof name, "data/%s", s->key);
    const sak_zip_entry *e = n < (int)sizeof name
                                 ? sak_zip_find(&z->zip, z->folder, z->folder_length, name)
                                 : NULL;
    if (!e)
        return BAD("%s: storage '%.40s' is not in the archive", z->path, s->key);
    *out = (sak_span){e->data, e->size};
    return sak_zip_check_stored(e, z->path, err);
}

/* The archive's folder, from the one entry named …/data.pkl. */
static sak_status find_folder(zipped *z, const sak_zip_entry **pickle, sak_error *err)
{
    static const char name[] = "data.pkl";
    const size_t n = sizeof name - 1;
    for (size_t i = 0; i < z->zip.n; i++) {
        const sak_zip_entry *e = &z->zip.entries[i];
        if (e->length < n || memcmp(e->name + e->length - n, name, n) != 0 ||
            (e->length > n && e->name[e->length - n - 1] != '/'))
            continue;
        if (*pickle)
            return BAD("%s: a zip archive with several data.pkl", z->path);
        *pickle = e;
        z->folder = e->name;
        z->folder_length = e->length - n;
    }
    if (!*pickle)
        return BAD("%s: a zip archive without data.pkl: not written by torch.save", z->path);
    if (sak_zip_find(&z->zip, z->folder, z->folder_length, "constants.pkl"))
        return BAD("%s: a TorchScript archive, which holds code; save the tensors alone with "
                   "torch.save(model.state_dict(), …)",
                   z->path);
    const sak_zip_entry *order = sak_zip_find(&z->zip, z->folder, z->folder_length, "byteorder");
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return BAD("%s: written on a big-endian machine, which is not supported", z->path);
    return sak_zip_check_stored(*pickle, z->path, err);
}

static sak_status parse_zip(sak_weights *w, const char *path, const void *bytes, size_t size,
                            const char *key, sak_error *err)
{
    zipped z = {.path = path};
    sak_pickle p = {.path = path};
    SAK_TRY(sak_zip_open(&z.zip, path, bytes, size, err));
    const sak_zip_entry *pickle = NULL;
    sak_status st = find_folder(&z, &pickle, err);
    sak_pk_value *root = NULL;
    size_t end = 0;
    if (st == SAK_OK)
        st = sak_pickle_load(&p, pickle->data, pickle->size, 0, &root, &end, err);
    w->kind = "pytorch zip";
    if (st == SAK_OK)
        st = sak_pth_list(w, path, root, key, find_zipped, &z, err);
    sak_pickle_close(&p);
    sak_zip_close(&z.zip);
    return st;
}

/* --- legacy ------------------------------------------------------------------------------------ */

/* LONG1, 10 bytes, 0x1950a86a20f9469cfc6c, STOP: the first pickle, after its protocol and frame. */
static const unsigned char magic[] = {0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                      0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};

typedef struct stored {
    const sak_pk_storage *storage;
    sak_span span;
} stored;

typedef struct legacy {
    const char *path;
    stored *list; /* sorted by key, each once */
    size_t n;
} legacy;

static size_t after_magic(const unsigned char *bytes, size_t size)
{
    for (size_t at = 2; at <= 11 && at + sizeof magic <= size; at++)
        if (memcmp(bytes + at, magic, sizeof magic) == 0)
            return at + sizeof magic;
    return 0;
}

bool sak_pth_is_legacy(const void *bytes, size_t size)
{
    return size && *(const unsigned char *)bytes == 0x80 && after_magic(bytes, size);
}

static int by_key(const void *pa, const void *pb)
{
    const stored *a = pa, *b = pb;
    return strcmp(a->storage->key, b->storage->key);
}

/* Every storage once; those of one key must agree. */
static sak_status gather(legacy *l, const sak_pickle *p, sak_error *err)
{
    SAK_TRY(sak_alloc((void **)&l->list, p->n_storages, sizeof *l->list, err));
    for (size_t i = 0; i < p->n_storages; i++)
        l->list[i].storage = p->storages[i];
    if (p->n_storages)
        qsort(l->list, p->n_storages, sizeof *l->list, by_key);
    for (size_t i = 0; i < p->n_storages; i++) {
        const sak_pk_storage *s = l->list[i].storage, *r = l->n ? l->list[l->n - 1].storage : NULL;
        if (!r || strcmp(r->key, s->key) != 0)
            l->list[l->n++] = l->list[i];
        else if (r->dtype != s->dtype || r->numel != s->numel)
            return BAD("%s: storage '%.40s' is described in two ways", l->path, s->key);
    }
    return SAK_OK;
}

static stored *find_stored(const legacy *l, const char *key)
{
    if (!l->n)
        return NULL;
    const sak_pk_storage wanted = {.key = key};
    const stored probe = {.storage = &wanted};
    return bsearch(&probe, l->list, l->n, sizeof *l->list, by_key);
}

static sak_status find_legacy(void *ctx, const sak_pk_storage *s, sak_span *out, sak_error *err)
{
    const legacy *l = ctx;
    const stored *e = find_stored(l, s->key);
    if (!e || !e->span.data)
        return BAD("%s: storage '%.40s' is not in the file", l->path, s->key);
    *out = e->span;
    return SAK_OK;
}

/* After the list of keys: for each its number of elements, in 8 bytes, and the elements. */
static sak_status locate(legacy *l, const sak_pk_value *keys, const unsigned char *bytes,
                         size_t size, size_t at, sak_error *err)
{
    if (keys->kind != SAK_PK_LIST)
        return BAD("%s: no list of storages after the checkpoint", l->path);
    for (size_t i = 0; i < keys->n; i++) {
        const char *key = keys->item[i]->kind == SAK_PK_TEXT ? keys->item[i]->text : "";
        stored *e = find_stored(l, key);
        if (!e || e->span.data)
            return BAD("%s: storage '%.40s' is %s", l->path, key,
                       e ? "there twice" : "used by no tensor");
        int64_t n = -1;
        if (size - at >= 8)
            memcpy(&n, bytes + at, 8);
        const size_t width = sak_st_dtype_size(e->storage->dtype);
        if (n < 0 || n != e->storage->numel || (uint64_t)n > (size - at - 8) / width)
            return BAD("%s: storage '%.40s' should have %" PRId64 " elements of %zu bytes; byte %zu "
                       "of %zu says %" PRId64 " (truncated?)",
                       l->path, key, e->storage->numel, width, at, size, n);
        e->span = (sak_span){bytes + at + 8, (size_t)n * width};
        at += 8 + e->span.size;
    }
    if (at != size)
        return BAD("%s: %zu bytes at the end belong to no storage", l->path, size - at);
    return SAK_OK;
}

static sak_status check_system(const char *path, const sak_pk_value *version,
                               const sak_pk_value *system, sak_error *err)
{
    if (version->kind != SAK_PK_INT || version->i != 1001)
        return BAD("%s: a PyTorch checkpoint of an unknown version", path);
    const sak_pk_value *little =
        system->kind == SAK_PK_DICT ? sak_pk_get(system, "little_endian") : NULL;
    if (!little || little->kind != SAK_PK_BOOL || !little->i)
        return BAD("%s: written on a big-endian machine, which is not supported", path);
    return SAK_OK;
}

static sak_status parse_legacy(sak_weights *w, const char *path, const void *bytes, size_t size,
                               const char *key, sak_error *err)
{
    sak_pickle p = {.path = path};
    legacy l = {.path = path};
    size_t at = after_magic(bytes, size);
    sak_pk_value *version, *system, *root, *keys;
    sak_pk_value **const row[] = {&version, &system, &root, &keys};
    sak_status st = SAK_OK;
    for (int i = 0; st == SAK_OK && i < 4; i++) {
        st = sak_pickle_load(&p, bytes, size, at, row[i], &at, err);
        if (st == SAK_OK && i == 1)
            st = check_system(path, version, system, err);
    }
    if (st == SAK_OK)
        st = gather(&l, &p, err);
    if (st == SAK_OK)
        st = locate(&l, keys, bytes, size, at, err);
    w->kind = "pytorch legacy";
    if (st == SAK_OK)
        st = sak_pth_list(w, path, root, key, find_legacy, &l, err);
    sak_free(l.list);
    sak_pickle_close(&p);
    return st;
}

sak_status sak_pth_parse(sak_weights *w, const char *path, const void *bytes, size_t size,
                         const char *key, sak_error *err)
{
    return sak_pth_is_zip(bytes, size) ? parse_zip(w, path, bytes, size, key, err)
                                       : parse_legacy(w, path, bytes, size, key, err);
}
