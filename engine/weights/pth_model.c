/* Checkpoints: which entry is the model, and its tensors checked against their storages. */
#include "weights/pth_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BAD(...) SAK_FAIL(err, SAK_EFORMAT, __VA_ARGS__)

enum {
    DEPTH = 3,    /* entries within entries that are searched */
    LISTED = 4096 /* entries looked at, twice over, for the list in an error */
};

/* A stride of 0 makes many elements of one stored; models expand small things only. */
#define EXPANDED_MAX (INT64_C(1) << 28)

static bool holds_tensors(const sak_pk_value *v)
{
    return v->kind == SAK_PK_DICT && v->holds_tensors;
}

static bool is_empty_dict(const sak_pk_value *v)
{
    return v->kind == SAK_PK_DICT && v->n == 0;
}

static const char *const model_names[] = {"state_dict",       "model",   "module",
                                          "model_state_dict", "teacher", "student"};
enum { NAMES = sizeof model_names / sizeof *model_names, SEEN = 64 };

/* Dictionaries looked into: one that holds itself, or that many names lead to, is read once. */
typedef struct search {
    const sak_pk_value *seen[SEEN];
    int n;
} search;

static const sak_pk_value *pick_below(const sak_pk_value *v, int depth, search *s)
{
    if (v->kind != SAK_PK_DICT || s->n == SEEN)
        return NULL;
    for (int i = 0; i < s->n; i++)
        if (s->seen[i] == v)
            return NULL;
    s->seen[s->n++] = v;
    const sak_pk_value *entry[NAMES] = {0};
    for (size_t k = 0; depth && k < v->n; k += 2)
        for (int i = 0; v->item[k]->kind == SAK_PK_TEXT && i < NAMES; i++)
            if (!entry[i] && strcmp(v->item[k]->text, model_names[i]) == 0)
                entry[i] = v->item[k + 1];
    for (int i = 0; i < NAMES; i++) {
        const sak_pk_value *found = entry[i] ? pick_below(entry[i], depth - 1, s) : NULL;
        if (found)
            return found;
    }
    return holds_tensors(v) || (depth == DEPTH && is_empty_dict(v)) ? v : NULL;
}

/* The model of a checkpoint by the rule of pth.h, or NULL. */
static const sak_pk_value *pick(const sak_pk_value *v)
{
    search s = {.n = 0};
    return pick_below(v, DEPTH, &s);
}

/* "a.b" step by step; an entry's own name may hold dots, so the longest one that fits is taken. */
static const sak_pk_value *follow(const sak_pk_value *v, const char *key)
{
    char name[256];
    snprintf(name, sizeof name, "%s", key);
    if (v->kind != SAK_PK_DICT)
        return NULL;
    for (size_t n = strlen(name); n > 0; n--) {
        if (key[n] && key[n] != '.')
            continue;
        name[n] = 0;
        const sak_pk_value *entry = sak_pk_get(v, name);
        if (entry)
            return key[n] ? follow(entry, key + n + 1) : entry;
    }
    return NULL;
}

/* Writes "a, b.c, …": the entries below v that hold tensors. */
static void list_entries(const sak_pk_value *v, const char *prefix, int depth, char *out, size_t room)
{
    const size_t n = v->kind != SAK_PK_DICT ? 0 : v->n < LISTED ? v->n : LISTED;
    for (size_t i = 0; i < n; i += 2) {
        const sak_pk_value *k = v->item[i], *e = v->item[i + 1];
        const size_t used = strlen(out);
        if (k->kind != SAK_PK_TEXT || e->kind != SAK_PK_DICT || used + 100 > room)
            continue;
        char name[160];
        snprintf(name, sizeof name, "%.100s%s%.50s", prefix, prefix[0] ? "." : "", k->text);
        if (holds_tensors(e))
            snprintf(out + used, room - used, "%s%s", used ? ", " : "", name);
        else if (depth > 1)
            list_entries(e, name, depth - 1, out, room);
    }
}

static sak_status find_model(const char *path, const sak_pk_value *root, const char *key,
                             const sak_pk_value **out, sak_error *err)
{
    const sak_pk_value *v = key ? follow(root, key) : NULL;
    *out = key ? (v ? pick(v) : NULL) : pick(root);
    if (*out)
        return SAK_OK;
    char entries[600] = "";
    list_entries(root, "", 2, entries, sizeof entries);
    if (!entries[0])
        return BAD("%s: a PyTorch checkpoint that holds no named tensors", path);
    if (key)
        return BAD("%s: no tensors under the key '%.60s'; entries that hold tensors: %s", path, key,
                   entries);
    return BAD("%s: which entry of this checkpoint is the model? Give key = \"…\", one of: %s", path,
               entries);
}

/* Row-major would be d[i+1] * …; here what the file says, within the storage. */
static sak_status check_strides(sak_st_tensor *t, const sak_pk_tensor *src, int64_t room,
                                sak_error *err)
{
    int64_t last = 0;
    for (int i = 0; i < t->shape.n; i++) {
        int64_t reach;
        t->stride[i] = src->stride[i];
        if (src->stride[i] < 0 ||
            (t->count && (__builtin_mul_overflow(src->stride[i], t->shape.d[i] - 1, &reach) ||
                          __builtin_add_overflow(last, reach, &last))))
            return BAD("%s: tensor '%s': stride %" PRId64 " of dimension %d", t->file, t->name,
                       src->stride[i], i);
    }
    if (src->offset < 0 || src->offset > room || (t->count && last >= room - src->offset))
        return BAD("%s: tensor '%s' %s reaches element %" PRId64 " + %" PRId64
                   " of a storage of %" PRId64,
                   t->file, t->name, SAK_SHAPE_TEXT(&t->shape), src->offset, last, room);
    t->bytes = t->count ? (size_t)(last + 1) * sak_st_dtype_size(t->dtype) : 0;
    if (t->count > last + 1 && t->count > EXPANDED_MAX)
        return BAD("%s: tensor '%s' expands %" PRId64 " stored elements to %" PRId64, t->file,
                   t->name, last + 1, t->count);
    return SAK_OK;
}

static sak_status add_tensor(sak_weights *w, const char *path, const char *name,
                             const sak_pk_tensor *src, sak_find_storage *find, void *ctx,
                             sak_error *err)
{
    const sak_pk_storage *s = src->storage;
    sak_st_tensor t = {.name = name, .file = path, .dtype = s->dtype};
    SAK_TRY(sak_st_set_shape(&t, src->size, src->dims, err));
    sak_span span = {0};
    sak_error why;
    if (find(ctx, s, &span, &why) != SAK_OK)
        return SAK_FAIL(err, why.code, "%s (tensor '%s')", why.msg, name);
    const size_t width = sak_st_dtype_size(s->dtype);
    if ((uint64_t)s->numel > span.size / width)
        return BAD("%s: tensor '%s': its storage '%.40s' should have %" PRId64
                   " elements of %s, the file has %zu bytes (truncated?)",
                   path, name, s->key, s->numel, sak_st_dtype_name(s->dtype), span.size);
    const int64_t room = s->view_count < 0 ? s->numel : s->view_count;
    SAK_TRY(check_strides(&t, src, room, err));
    t.data = span.data + (size_t)(s->view_at + src->offset) * width;
    return sak_weights_add(w, &t, err);
}

sak_status sak_pth_list(sak_weights *w, const char *path, const sak_pk_value *root, const char *key,
                        sak_find_storage *find, void *ctx, sak_error *err)
{
    const sak_pk_value *model = NULL;
    SAK_TRY(find_model(path, root, key, &model, err));
    for (size_t i = 0; i < model->n; i += 2) {
        const sak_pk_value *name = model->item[i], *v = model->item[i + 1];
        if (v->kind != SAK_PK_TENSOR)
            continue;
        if (name->kind != SAK_PK_TEXT || strlen(name->text) != name->length || !name->length)
            return BAD("%s: a tensor whose name is not text", path);
        SAK_TRY(add_tensor(w, path, name->text, v->tensor, find, ctx, err));
    }
    return SAK_OK;
}
