/* Raw samples: read, checked, kept in memory while there is room, or skipped when broken. */
#include "data/loader_source.h"

#include "base/alloc.h"

static sak_sample broken; /* its address marks a sample that cannot be read */

sak_status sak_source_open(sak_source *s, const sak_dataset *data, int64_t count, unsigned need,
                           size_t cache_bytes, bool skip_bad, sak_error *err)
{
    *s = (sak_source){.data = *data,
                      .count = count,
                      .need = need,
                      .cache_bytes = cache_bytes,
                      .skip_bad = skip_bad};
    if (!cache_bytes && !skip_bad)
        return SAK_OK;
    void *p;
    SAK_TRY(sak_alloc(&p, (size_t)count, sizeof *s->entry, err));
    s->entry = p;
    for (int64_t i = 0; i < count; i++)
        atomic_init(&s->entry[i], NULL);
    return SAK_OK;
}

void sak_source_close(sak_source *s)
{
    for (int64_t i = 0; s->entry && i < s->count; i++) {
        sak_sample *const kept = atomic_load(&s->entry[i]);
        if (kept && kept != &broken) {
            sak_sample_close(kept);
            sak_free(kept);
        }
    }
    sak_free((void *)s->entry);
    s->entry = NULL;
}

static size_t sample_bytes(const sak_sample *s)
{
    const size_t n = (size_t)s->H * s->W;
    const size_t per_pixel = (s->rgb ? 3 : 0) + (s->semseg ? 1 : 0) + (s->edge ? 1 : 0) +
                             (s->sal ? 1 : 0) + (s->parts ? 1 : 0) + (s->instance ? 1 : 0) +
                             (s->depth ? sizeof(float) : 0) + (s->normals ? 3 * sizeof(float) : 0);
    return sizeof *s + n * per_pixel;
}

/* Moves *raw into the cache if there is room, and returns where it lies then. */
static const sak_sample *keep(sak_source *s, int64_t index, sak_sample *raw)
{
    const size_t bytes = sample_bytes(raw), limit = s->cache_bytes;
    if (bytes > limit)
        return raw;
    if (atomic_fetch_add(&s->used, bytes) > limit - bytes) {
        atomic_fetch_sub(&s->used, bytes);
        return raw;
    }
    void *p;
    sak_sample *empty = NULL;
    if (sak_alloc(&p, 1, sizeof *raw, NULL) != SAK_OK) { /* it is a cache: do without */
        atomic_fetch_sub(&s->used, bytes);
        return raw;
    }
    sak_sample *const kept = p;
    *kept = *raw;
    if (!atomic_compare_exchange_strong(&s->entry[index], &empty, kept)) {
        sak_free(kept); /* another thread read it at the same time */
        atomic_fetch_sub(&s->used, bytes);
        return raw;
    }
    *raw = (sak_sample){0};
    return kept;
}

sak_status sak_source_blame(const sak_source *s, int64_t index, const char *id, sak_status st,
                            const sak_error *cause, sak_error *err)
{
    return SAK_FAIL(err, st, "%s: sample %lld%s%.63s%s: %.800s", s->data.name, (long long)index,
                    *id ? " '" : "", id, *id ? "'" : "", cause->msg);
}

static sak_status read_sample(sak_source *s, int64_t index, sak_sample *raw, const sak_sample **out,
                              sak_error *err)
{
    sak_sample *const known = s->entry ? atomic_load(&s->entry[index]) : NULL;
    if (known && known != &broken) {
        atomic_fetch_add(&s->hits, 1);
        *out = known;
        return SAK_OK;
    }
    if (known)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: sample %lld could not be read before", s->data.name,
                        (long long)index);
    atomic_fetch_add(&s->reads, 1);
    sak_error cause = {0};
    raw->id[0] = 0; /* of the sample before */
    sak_status st = s->data.read(&s->data, index, raw, &cause);
    if (st == SAK_OK && (s->need & ~raw->has))
        st = SAK_FAIL(&cause, SAK_EFORMAT, "lacks modalities 0x%x that the dataset promises",
                      s->need & ~raw->has);
    if (st != SAK_OK)
        return sak_source_blame(s, index, raw->id, st, &cause, err);
    *out = s->entry ? keep(s, index, raw) : raw;
    return SAK_OK;
}

/* Counted once, however often a broken sample is met. */
static void mark_broken(sak_source *s, int64_t index)
{
    sak_sample *empty = NULL;
    if (atomic_compare_exchange_strong(&s->entry[index], &empty, &broken))
        atomic_fetch_add(&s->bad, 1);
}

sak_status sak_source_get(sak_source *s, int64_t *index, sak_sample *raw, const sak_sample **out,
                          sak_error *err)
{
    *out = NULL;
    for (int64_t tries = 0; tries < s->count; tries++) {
        const sak_status st = read_sample(s, *index, raw, out, err);
        if (st == SAK_OK || st == SAK_ENOMEM || st == SAK_ESTOP || !s->skip_bad)
            return st;
        mark_broken(s, *index);
        *index = (*index + 1) % s->count;
    }
    return SAK_FAIL(err, SAK_EFORMAT, "%s: none of %lld samples can be read", s->data.name,
                    (long long)s->count);
}
