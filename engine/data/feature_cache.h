/* The teacher-feature cache: what a frozen teacher computes of an image, kept by the digest of what it
 * saw.  Values are rounded when they are computed, so that a run sees the same whether they were there
 * or not; a cache that is damaged, full or gone costs time and nothing else. */
#ifndef SAK_DATA_FEATURE_CACHE_H
#define SAK_DATA_FEATURE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/real.h"
#include "base/status.h"

typedef enum sak_feature_type { SAK_FEATURE_FP32, SAK_FEATURE_FP16, SAK_FEATURE_BF16 } sak_feature_type;

enum { SAK_FEATURE_PARTS = 8 }; /* levels of a teacher, at most */

typedef struct sak_feature_spec {
    const char *root;      /* folder of all features; this teacher's are in root/<key>.  Both exist, or
                            * nothing is kept */
    const char *key;       /* 64 hexadecimal digits: all that the features depend on but the image */
    sak_feature_type type; /* what values are rounded to */
    int parts;             /* levels */
    int64_t count[SAK_FEATURE_PARTS]; /* values of each, per image */
    uint64_t max_bytes;    /* of everything below root */
} sak_feature_spec;

typedef struct sak_feature_cache sak_feature_cache;

sak_status sak_feature_cache_open(sak_feature_cache **out, const sak_feature_spec *spec,
                                  sak_error *err);
void sak_feature_cache_close(sak_feature_cache *c);

/* Takes note of what other processes, and this one, have added or lost since.  Between two calls,
 * `read` may be called from several threads. */
void sak_feature_cache_refresh(sak_feature_cache *c);

typedef enum sak_feature_found { SAK_FEATURE_ABSENT, SAK_FEATURE_FOUND, SAK_FEATURE_DAMAGED } sak_feature_found;

/* The features of an image: part i goes to part[i]. */
sak_feature_found sak_feature_cache_read(const sak_feature_cache *c,
                                         const uint8_t digest[SAK_HASH_BYTES], sak_real *const *part);
/* Forgets an image that was damaged, or whose features turned out to be others. */
void sak_feature_cache_strike(sak_feature_cache *c, const uint8_t digest[SAK_HASH_BYTES]);
/* Rounds the features `in` to `out`.  SAK_EINVAL for a finite value that the type cannot hold. */
sak_status sak_feature_cache_round(sak_feature_cache *c, const sak_real *const *in, sak_real *const *out,
                                   sak_error *err);
/* Likewise, and keeps them if it can. */
sak_status sak_feature_cache_write(sak_feature_cache *c, const uint8_t digest[SAK_HASH_BYTES],
                                   const sak_real *const *in, sak_real *const *out, sak_error *err);

/* Why features are no longer kept; NULL while they are. */
const char *sak_feature_cache_trouble(const sak_feature_cache *c);
int64_t sak_feature_cache_images(const sak_feature_cache *c);

/* --- all of them ---------------------------------------------------------------------- */

/* Bytes of all packs below root. */
uint64_t sak_feature_folder_bytes(const char *root);
/* Removes the packs that were used longest ago, but none that was within `spare` seconds, until at most
 * `max` bytes are left; with spare 0 also folders without packs.  Processes that use one go on with
 * what they have mapped.  Returns the bytes removed. */
uint64_t sak_feature_folder_trim(const char *root, uint64_t max, int64_t spare);

typedef struct sak_feature_folder {
    char key[SAK_HASH_TEXT];
    int64_t packs, records, damaged; /* damaged: only if looked for */
    uint64_t bytes;
    int64_t used; /* seconds since 1970 */
} sak_feature_folder;

/* Calls `each` for every teacher's features below root; with `check`, every record is read, and what
 * is damaged crossed out. */
void sak_feature_folders(const char *root, bool check,
                         void (*each)(void *ctx, const sak_feature_folder *f), void *ctx);

#endif
