/* Samples in memory, set once each by whichever thread comes first. */
#include "data/sample_cache.h"

#include "base/alloc.h"

sak_status sak_sample_cache_open(sak_sample_cache *c, int64_t count, size_t limit, sak_error *err)
{
    void *p;
    *c = (sak_sample_cache){.count = count, .limit = limit};
    SAK_TRY(sak_alloc(&p, (size_t)count, sizeof *c->entry, err));
    c->entry = p;
    for (int64_t i = 0; i < count; i++)
        atomic_init(&c->entry[i], NULL);
    return SAK_OK;
}

void sak_sample_cache_close(sak_sample_cache *c)
{
    for (int64_t i = 0; c->entry && i < c->count; i++) {
        sak_sample *const kept = atomic_load(&c->entry[i]);
        if (kept) {
            sak_sample_close(kept);
            sak_free(kept);
        }
    }
    sak_free((void *)c->entry);
    c->entry = NULL;
}

const sak_sample *sak_sample_cache_find(const sak_sample_cache *c, int64_t index)
{
    return atomic_load(&c->entry[index]);
}

static size_t sample_bytes(const sak_sample *s)
{
    const size_t n = (size_t)s->H * (size_t)s->W;
    const size_t per_pixel = (s->rgb ? 3 : 0) + (s->semseg ? 1 : 0) + (s->edge ? 1 : 0) +
                             (s->sal ? 1 : 0) + (s->parts ? 1 : 0) + (s->instance ? 1 : 0) +
                             (s->depth ? sizeof(float) : 0) + (s->normals ? 3 * sizeof(float) : 0);
    return sizeof *s + n * per_pixel;
}

const sak_sample *sak_sample_cache_keep(sak_sample_cache *c, int64_t index, sak_sample *raw)
{
    const size_t bytes = sample_bytes(raw), limit = c->limit;
    if (bytes > limit)
        return raw;
    if (atomic_fetch_add(&c->used, bytes) > limit - bytes) {
        atomic_fetch_sub(&c->used, bytes);
        return raw;
    }
    void *p;
    sak_sample *empty = NULL;
    if (sak_alloc(&p, 1, sizeof *raw, NULL) != SAK_OK) { /* it is a cache: do without */
        atomic_fetch_sub(&c->used, bytes);
        return raw;
    }
    sak_sample *const kept = p;
    *kept = *raw;
    if (!atomic_compare_exchange_strong(&c->entry[index], &empty, kept)) {
        sak_free(kept); /* another thread read it at the same time */
        atomic_fetch_sub(&c->used, bytes);
        return raw;
    }
    *raw = (sak_sample){0};
    return kept;
}
