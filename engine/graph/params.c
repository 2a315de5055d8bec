/* Parameter sets: declaration, slab layout, initialisation, moving averages. */
#include "graph/params.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "base/rng.h"

enum { PAD = SAK_ALIGN / 4 }; /* elements: every parameter starts on a cache line in float */

void sak_params_open(sak_params *p, uint64_t seed)
{
    *p = (sak_params){.seed = seed};
}

void sak_params_close(sak_params *p)
{
    sak_free_pages(p->value, (size_t)p->total, sizeof(sak_real));
    for (int i = 0; i < p->n_kept; i++)
        sak_mapping_drop(p->kept[i]);
    free(p->kept);
    sak_free_pages(p->m, (size_t)p->total, sizeof(sak_real));
    sak_free_pages(p->v, (size_t)p->total, sizeof(sak_real));
    free(p->list);
    sak_arena_close(&p->arena);
    *p = (sak_params){0};
}

int sak_params_find(const sak_params *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->list[i].name, name) == 0)
            return i;
    return -1;
}

sak_status sak_params_add(sak_params *p, const char *name, const sak_shape *shape, sak_init init,
                          bool buffer, int *index, sak_error *err)
{
    const int found = sak_params_find(p, name);
    if (found >= 0) {
        if (!sak_shape_equal(&p->list[found].shape, shape))
            return SAK_FAIL(err, SAK_ESHAPE, "parameter '%s' is %s here but %s elsewhere", name,
                            SAK_SHAPE_TEXT(shape), SAK_SHAPE_TEXT(&p->list[found].shape));
        *index = found;
        return SAK_OK;
    }
    sak_error why;
    if (sak_shape_check(shape, &why) != SAK_OK)
        return SAK_FAIL(err, why.code, "parameter '%s': %s", name, why.msg);
    const int64_t count = sak_shape_count(shape);
    if (p->total > SAK_MAX_ELEMENTS - count)
        return SAK_FAIL(err, SAK_ESHAPE, "parameter '%s' %s: more than %lld elements in the set", name,
                        SAK_SHAPE_TEXT(shape), (long long)SAK_MAX_ELEMENTS);
    if (p->value || p->sealed)
        return SAK_FAIL(err, SAK_EINVAL,
                        "parameter '%s' is new, but the set was completed by an earlier graph", name);
    if (p->n == p->cap) {
        const int cap = p->cap ? 2 * p->cap : 256;
        sak_param *list = realloc(p->list, (size_t)cap * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory for parameter '%s'", name);
        p->list = list;
        p->cap = cap;
    }
    char *own = sak_arena_text(&p->arena, name);
    if (!own)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory for parameter '%s'", name);
    p->list[p->n] = (sak_param){.name = own,
                                .shape = *shape,
                                .offset = p->total,
                                .count = count,
                                .init = init,
                                .buffer = buffer,
                                .trainable = !buffer};
    p->total += (count + PAD - 1) / PAD * PAD;
    *index = p->n++;
    return SAK_OK;
}

static uint64_t name_hash(const char *s)
{
    uint64_t h = 1469598103934665603ull; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 1099511628211ull;
    return h;
}

/* Stage 1 names parts of a student that stage 2 has below "backbone.": a seed gives both the same values, so that
 * arms with and without stage 1 begin alike. */
static const char *name_of_part(const char *name)
{
    static const char prefix[] = "backbone.";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}

static void initialise(const sak_params *p, const sak_param *q)
{
    sak_real *x = p->value + q->offset;
    sak_rng rng = sak_rng_open(p->seed, SAK_RNG_INIT, name_hash(name_of_part(q->name)), 0);
    for (int64_t i = 0; i < q->count; i++) {
        double v = 0;
        switch (q->init.kind) {
        case SAK_INIT_ZEROS:
            break;
        case SAK_INIT_CONSTANT:
            v = q->init.a;
            break;
        case SAK_INIT_NORMAL:
            v = q->init.a * sak_rng_normal(&rng);
            break;
        case SAK_INIT_TRUNC_NORMAL:
            do
                v = sak_rng_normal(&rng);
            while (v < -2 || v > 2);
            v *= q->init.a;
            break;
        case SAK_INIT_UNIFORM:
            v = sak_rng_range(&rng, -q->init.a, q->init.a);
            break;
        }
        x[i] = (sak_real)v;
    }
}

static void initialise_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const sak_params *p = ctx;
    for (int64_t i = begin; i < end; i++)
        if (!p->list[i].given)
            initialise(p, &p->list[i]);
}

/* Pages that are never touched take no memory: values that are borrowed, moments of what is frozen. */
static sak_status slab(sak_real **out, const sak_params *p, sak_error *err)
{
    if (*out)
        return SAK_OK;
    return sak_alloc_pages((void **)out, (size_t)p->total, sizeof(sak_real), err);
}

sak_status sak_params_seal(sak_params *p, sak_error *err)
{
    if (p->sealed)
        return SAK_OK;
    SAK_TRY(slab(&p->value, p, err));
    sak_parallel_for(p->n, 1, initialise_chunk, p);
    p->sealed = true;
    return SAK_OK;
}

const sak_real *sak_params_value(const sak_params *p, int i)
{
    const sak_param *q = &p->list[i];
    if (q->borrowed)
        return q->borrowed;
    return p->sealed || q->given ? p->value + q->offset : NULL;
}

static sak_status check_movable(const sak_params *p, int i, sak_error *err)
{
    if (p->sealed && p->list[i].borrowed)
        return SAK_FAIL(err, SAK_EINVAL,
                        "parameter '%s' is frozen and read from its file: it cannot change any more",
                        p->list[i].name);
    return SAK_OK;
}

sak_status sak_params_write(sak_params *p, int i, sak_real **out, sak_error *err)
{
    sak_param *q = &p->list[i];
    SAK_TRY(check_movable(p, i, err));
    SAK_TRY(slab(&p->value, p, err));
    *out = p->value + q->offset;
    q->borrowed = NULL;
    q->given = true;
    return SAK_OK;
}

sak_status sak_params_change(sak_params *p, int i, sak_real **out, sak_error *err)
{
    const sak_real *from = p->list[i].borrowed;
    const bool given = p->sealed || p->list[i].given;
    SAK_TRY(sak_params_write(p, i, out, err));
    if (from)
        memcpy(*out, from, (size_t)p->list[i].count * sizeof **out);
    else if (!given)
        initialise(p, &p->list[i]);
    return SAK_OK;
}

sak_status sak_params_borrow(sak_params *p, int i, const void *data, sak_mapping *file, bool *done,
                             sak_error *err)
{
    sak_param *q = &p->list[i];
    *done = !p->sealed && !q->trainable && !q->buffer && file && (uintptr_t)data % sizeof(sak_real) == 0;
    if (!*done)
        return SAK_OK;
    bool kept = false;
    for (int k = 0; k < p->n_kept; k++)
        kept |= p->kept[k] == file;
    if (!kept) {
        sak_mapping **list = realloc(p->kept, (size_t)(p->n_kept + 1) * sizeof *list);
        if (!list)
            return SAK_FAIL(err, SAK_ENOMEM, "out of memory for parameter '%s'", q->name);
        p->kept = list;
        p->kept[p->n_kept++] = sak_mapping_keep(file);
    }
    q->borrowed = data;
    q->given = true;
    return SAK_OK;
}

sak_status sak_params_check_files(const sak_params *p, sak_error *err)
{
    for (int i = 0; i < p->n_kept; i++)
        SAK_TRY(sak_mapping_check(p->kept[i], err));
    return SAK_OK;
}

sak_status sak_params_set_trainable(sak_params *p, int i, bool trainable, sak_error *err)
{
    sak_param *q = &p->list[i];
    if (trainable && !q->buffer && q->borrowed) {
        sak_real *own;
        SAK_TRY(sak_params_change(p, i, &own, err));
    }
    q->trainable = trainable && !q->buffer;
    return SAK_OK;
}

sak_status sak_params_need_moments(sak_params *p, sak_error *err)
{
    SAK_TRY(slab(&p->m, p, err));
    return slab(&p->v, p, err);
}

void sak_params_forget_grad(sak_params *p, int i, const sak_real *grad)
{
    if (i < p->n && p->list[i].grad == grad) /* n is 0 in a set that was closed before */
        p->list[i].grad = NULL;
}

sak_status sak_params_ema(sak_params *dst, const sak_params *src, double momentum, sak_error *err)
{
    const sak_real a = (sak_real)momentum, b = (sak_real)(1 - momentum);
    SAK_TRY(sak_params_seal(dst, err));
    for (int i = 0; i < dst->n; i++) {
        const int j = sak_params_find(src, dst->list[i].name);
        if (j < 0 || src->list[j].count != dst->list[i].count)
            continue;
        sak_real *x;
        SAK_TRY(sak_params_write(dst, i, &x, err));
        const sak_real *y = sak_params_value(src, j);
        for (int64_t k = 0; y && k < dst->list[i].count; k++)
            x[k] = a * x[k] + b * y[k];
    }
    return SAK_OK;
}
