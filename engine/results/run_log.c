/* What a run says, encoded as spool records into its buffer: copies under a lock, no system calls. */
#include <stdlib.h>
#include <string.h>

#include "results/run_state.h"

#define PENDING_MAX ((size_t)1 << 30) /* bytes kept in memory while the spool cannot be written */

/* Points go in whole, so those before a failed allocation stay good. */
void sak_run_close_points(sak_run *r)
{
    if (r->points_at != SAK_NO_RECORD) {
        const bool failed = r->pending.failed;
        r->pending.failed = false;
        sak_record_close(&r->pending, r->points_at);
        r->pending.failed = failed;
    }
    r->points_at = SAK_NO_RECORD;
}

size_t sak_run_open_record(sak_run *r, sak_record type)
{
    sak_run_close_points(r);
    return sak_record_open(&r->pending, type);
}

static uint64_t hash_of(const char *s, size_t *n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    const char *at = s;
    for (; *at; at++)
        h = (h ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    *n = (size_t)(at - s);
    return h;
}

bool sak_run_grow_keys(sak_run *r)
{
    const uint32_t cap = r->cap_keys ? 2 * r->cap_keys : 128;
    sak_run_name *keys = realloc(r->keys, cap * sizeof *keys);
    if (!keys)
        return false;
    r->keys = keys;
    r->cap_keys = cap;
    uint32_t *slots = calloc(4 * (size_t)cap, sizeof *slots);
    if (!slots)
        return false;
    free(r->slots);
    r->slots = slots;
    r->n_slots = 4 * cap;
    for (uint32_t i = 0; i < r->n_keys; i++) {
        uint32_t slot = (uint32_t)(r->keys[i].hash & (r->n_slots - 1));
        while (slots[slot])
            slot = (slot + 1) & (r->n_slots - 1);
        slots[slot] = i + 1;
    }
    return true;
}

/* Index of a metric; a new one is announced in the spool.  Holding mu.  UINT32_MAX: no memory. */
static uint32_t key_index(sak_run *r, const char *name)
{
    size_t n;
    const uint64_t hash = hash_of(name, &n);
    if (r->n_keys == r->cap_keys && !sak_run_grow_keys(r)) {
        r->pending.failed = true;
        return UINT32_MAX;
    }
    uint32_t slot = (uint32_t)(hash & (r->n_slots - 1));
    for (; r->slots[slot]; slot = (slot + 1) & (r->n_slots - 1)) {
        const uint32_t index = r->slots[slot] - 1;
        if (r->keys[index].hash == hash && strcmp(r->keys[index].name, name) == 0)
            return index;
    }
    /* Room for its record first: points of a metric that was never announced could not be read back. */
    if (!sak_bytes_reserve(&r->pending, SAK_RECORD_HEADER + 2 * sizeof(uint32_t) + n))
        return UINT32_MAX;
    char *copy = malloc(n + 1);
    if (!copy) {
        r->pending.failed = true;
        return UINT32_MAX;
    }
    memcpy(copy, name, n + 1);
    const uint32_t index = r->n_keys++;
    r->keys[index] = (sak_run_name){copy, hash};
    r->slots[slot] = index + 1;
    const size_t at = sak_run_open_record(r, SAK_RECORD_KEY);
    sak_bytes_u32(&r->pending, index);
    sak_bytes_text(&r->pending, name);
    sak_record_close(&r->pending, at);
    return index;
}

int64_t sak_run_elapsed_us(const sak_run *r)
{
    return sak_monotonic_us() - r->began_mono_us;
}

void sak_run_log(sak_run *r, const char *key, int64_t step, double value)
{
    const int64_t t = r->began_us - r->run_started_us + sak_run_elapsed_us(r);
    pthread_mutex_lock(&r->mu);
    const uint32_t index = key_index(r, key);
    sak_bytes *b = &r->pending;
    if (b->n > PENDING_MAX)
        b->failed = true;
    if (index != UINT32_MAX && sak_bytes_reserve(b, SAK_RECORD_HEADER + SAK_POINT_BYTES)) {
        if (r->points_at != SAK_NO_RECORD && r->points_n == SAK_POINTS_PER_RECORD)
            sak_run_close_points(r);
        if (r->points_at == SAK_NO_RECORD) {
            r->points_at = sak_record_open(b, SAK_RECORD_POINTS);
            r->points_n = 0;
        }
        if (sak_bytes_reserve(b, SAK_POINT_BYTES)) {
            unsigned char *p = b->p + b->n;
            memcpy(p, &index, 4);
            memcpy(p + 4, &step, 8);
            memcpy(p + 12, &t, 8);
            memcpy(p + 20, &value, 8);
            b->n += SAK_POINT_BYTES;
            r->points_n++;
        }
    }
    pthread_mutex_unlock(&r->mu);
}

void sak_run_key(sak_run *r, const char *key, const sak_key_info *info)
{
    pthread_mutex_lock(&r->mu);
    const uint32_t index = key_index(r, key);
    if (index != UINT32_MAX) {
        const size_t at = sak_run_open_record(r, SAK_RECORD_DESCRIBE);
        sak_bytes_u32(&r->pending, index);
        sak_bytes_text(&r->pending, info->goal);
        sak_bytes_text(&r->pending, info->unit);
        sak_bytes_text(&r->pending, info->task);
        sak_record_close(&r->pending, at);
    }
    pthread_mutex_unlock(&r->mu);
}

void sak_run_param(sak_run *r, const char *path, const char *type, double num, const char *text,
                   const char *origin)
{
    pthread_mutex_lock(&r->mu);
    const size_t at = sak_run_open_record(r, SAK_RECORD_PARAM);
    sak_bytes_text(&r->pending, path);
    sak_bytes_text(&r->pending, type);
    sak_bytes_f64(&r->pending, num);
    sak_bytes_text(&r->pending, text);
    sak_bytes_text(&r->pending, origin);
    sak_record_close(&r->pending, at);
    pthread_mutex_unlock(&r->mu);
}

void sak_run_tag(sak_run *r, const char *name, const char *value)
{
    pthread_mutex_lock(&r->mu);
    const size_t at = sak_run_open_record(r, SAK_RECORD_TAG);
    sak_bytes_text(&r->pending, name);
    sak_bytes_text(&r->pending, value);
    sak_record_close(&r->pending, at);
    pthread_mutex_unlock(&r->mu);
}

void sak_run_event(sak_run *r, const char *level, const char *kind, int64_t step, const char *text)
{
    /* An unknown level would be refused by the table long after this call. */
    const bool known = level && (!strcmp(level, "warn") || !strcmp(level, "error"));
    pthread_mutex_lock(&r->mu);
    const size_t at = sak_run_open_record(r, SAK_RECORD_EVENT);
    sak_bytes_i64(&r->pending, r->began_us + sak_run_elapsed_us(r));
    sak_bytes_text(&r->pending, known ? level : "info");
    sak_bytes_text(&r->pending, kind ? kind : "note");
    sak_bytes_i64(&r->pending, step);
    sak_bytes_text(&r->pending, text);
    sak_record_close(&r->pending, at);
    pthread_mutex_unlock(&r->mu);
}

void sak_run_artifact(sak_run *r, const char *path, const char *sha256, int64_t bytes,
                      const char *kind)
{
    pthread_mutex_lock(&r->mu);
    const size_t at = sak_run_open_record(r, SAK_RECORD_ARTIFACT);
    sak_bytes_i64(&r->pending, r->began_us + sak_run_elapsed_us(r));
    sak_bytes_text(&r->pending, kind);
    sak_bytes_text(&r->pending, path);
    sak_bytes_text(&r->pending, sha256);
    sak_bytes_i64(&r->pending, bytes);
    sak_record_close(&r->pending, at);
    pthread_mutex_unlock(&r->mu);
}
