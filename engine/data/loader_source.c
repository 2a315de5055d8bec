/* Raw samples: read, checked, kept in memory while there is room, or skipped when broken. */
#include "data/loader_source.h"

#include "base/alloc.h"

sak_status sak_source_open(sak_source *s, const sak_loader_spec *spec, int64_t count, unsigned need,
                           sak_error *err)
{
    *s = (sak_source){.data = *spec->data,
                      .count = count,
                      .need = need,
                      .cache = spec->cache,
                      .skip_bad = spec->skip_bad};
    void *p;
    if (spec->skip_bad) {
        SAK_TRY(sak_alloc(&p, (size_t)s->data.count, sizeof *s->broken, err));
        s->broken = p;
        for (int64_t i = 0; i < s->data.count; i++)
            atomic_init(&s->broken[i], false);
    }
    if (spec->cache || !spec->cache_bytes)
        return SAK_OK;
    SAK_TRY(sak_sample_cache_open(&s->own, s->data.count, spec->cache_bytes, err));
    s->cache = &s->own;
    return SAK_OK;
}

void sak_source_close(sak_source *s)
{
    sak_sample_cache_close(&s->own);
    sak_free((void *)s->broken);
    s->broken = NULL;
}

int64_t sak_source_sample(const sak_source *s, int64_t place)
{
    return place * s->data.count / s->count;
}

static int64_t place_of(const sak_source *s, int64_t index) /* of a sample in use */
{
    return (index * s->count + s->data.count - 1) / s->data.count;
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
    const sak_sample *const known = s->cache ? sak_sample_cache_find(s->cache, index) : NULL;
    if (known) {
        atomic_fetch_add(&s->hits, 1);
        *out = known;
        return SAK_OK;
    }
    if (s->broken && atomic_load(&s->broken[index]))
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
    *out = s->cache ? sak_sample_cache_keep(s->cache, index, raw) : raw;
    return SAK_OK;
}

/* Counted once, however often a broken sample is met. */
static void mark_broken(sak_source *s, int64_t index)
{
    if (!atomic_exchange(&s->broken[index], true))
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
        *index = sak_source_sample(s, (place_of(s, *index) + 1) % s->count);
    }
    return SAK_FAIL(err, SAK_EFORMAT, "%s: none of %lld samples can be read", s->data.name,
                    (long long)s->count);
}
