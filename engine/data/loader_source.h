/* Where the loader's threads get raw samples: the dataset, or memory after the first read. */
#ifndef SAK_DATA_LOADER_SOURCE_H
#define SAK_DATA_LOADER_SOURCE_H

#include <stdatomic.h>
#include <stddef.h>

#include "data/loader.h"

typedef struct sak_source {
    sak_dataset data; /* the caller's row: it may move, its state may not */
    int64_t count;    /* samples in use, spread evenly over the dataset's */
    unsigned need;    /* modalities that every sample must have */
    sak_sample_cache *cache; /* of the caller, or own; NULL: none */
    sak_sample_cache own;
    bool skip_bad;
    atomic_bool *broken; /* per sample: it could not be read; NULL unless skip_bad */
    atomic_llong reads, hits, bad;
} sak_source;

sak_status sak_source_open(sak_source *s, const sak_loader_spec *spec, int64_t count, unsigned need,
                           sak_error *err);
void sak_source_close(sak_source *s);

/* The place-th of the samples in use, as the dataset counts them; 0 <= place < count. */
int64_t sak_source_sample(const sak_source *s, int64_t place);

/* Sample *index, in *raw (the thread's own, reused) or in the cache; *out points to it.  With
 * skip_bad, *index moves on to the first sample in use behind a broken one that can be read. */
sak_status sak_source_get(sak_source *s, int64_t *index, sak_sample *raw, const sak_sample **out,
                          sak_error *err);
/* Puts the dataset's name, the sample's index and its id in front of a message. */
sak_status sak_source_blame(const sak_source *s, int64_t index, const char *id, sak_status st,
                            const sak_error *cause, sak_error *err);

#endif
