/* Raw samples kept in memory after their first read, for all loaders of a dataset: the stages of a
 * run and its evaluations read the same images. */
#ifndef SAK_DATA_SAMPLE_CACHE_H
#define SAK_DATA_SAMPLE_CACHE_H

#include <stdatomic.h>
#include <stddef.h>

#include "data/dataset.h"

typedef struct sak_sample_cache {
    int64_t count;
    size_t limit; /* bytes */
    atomic_size_t used;
    _Atomic(sak_sample *) *entry; /* `count`; set once, read without a lock */
} sak_sample_cache;

sak_status sak_sample_cache_open(sak_sample_cache *c, int64_t count, size_t limit, sak_error *err);
void sak_sample_cache_close(sak_sample_cache *c); /* fine on {0} */

/* The sample, or NULL; it stays where it is until close.  Any thread. */
const sak_sample *sak_sample_cache_find(const sak_sample_cache *c, int64_t index);
/* Moves *raw into the cache if there is room, and returns where it lies then. */
const sak_sample *sak_sample_cache_keep(sak_sample_cache *c, int64_t index, sak_sample *raw);

#endif
