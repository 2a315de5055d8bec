/* Pack files of the feature cache: records of one size, appended by one process, read by any.
 *
 *   64 bytes   "SAKFEAT1", the folder's key, bytes of a record's values
 *   record     64 bytes (magic, checksum, digest), then the values, filled up to 64
 *
 * Nothing in a pack is trusted: a record counts when its checksum is right.  So neither a process that
 * is killed while it writes nor a torn disk leaves more than records that are not there. */
#ifndef SAK_DATA_FEATURE_PACK_H
#define SAK_DATA_FEATURE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "base/hash.h"

/* Bytes before the first record.  A shorter file is a pack whose writer was killed: it holds nothing. */
enum { SAK_PACK_HEAD = 64 };

/* What all packs of a folder have in common. */
typedef struct sak_pack_shape {
    uint8_t key[SAK_HASH_BYTES];
    int64_t bytes; /* of a record's values */
} sak_pack_shape;

/* A pack as it was when it was mapped. */
typedef struct sak_pack {
    sak_mapping *map; /* NULL: closed */
    int64_t records;
} sak_pack;

/* SAK_EFORMAT for a file that is no pack of this shape. */
sak_status sak_pack_open(sak_pack *p, const char *path, const sak_pack_shape *shape, sak_error *err);
void sak_pack_close(sak_pack *p);
/* The shape that a pack says it has. */
sak_status sak_pack_peek(const char *path, sak_pack_shape *shape, sak_error *err);

/* Digest of a record; NULL where none was written, or it was crossed out. */
const uint8_t *sak_pack_digest(const sak_pack *p, const sak_pack_shape *shape, int64_t record);
/* Its values, 64-byte aligned; NULL unless it is of that digest and whole. */
const void *sak_pack_values(const sak_pack *p, const sak_pack_shape *shape, int64_t record,
                            const uint8_t digest[SAK_HASH_BYTES]);
/* Crosses out a record, for all processes; if that cannot be, nothing happens. */
void sak_pack_strike(const sak_pack *p, const sak_pack_shape *shape, int64_t record);

/* A pack that this process adds to. */
typedef struct sak_pack_out {
    int fd; /* -1: closed */
    int64_t size;
    unsigned char *record; /* one, as it will lie in the file */
} sak_pack_out;

/* A new pack in the folder.  SAK_EIO when the folder cannot be written. */
sak_status sak_pack_create(sak_pack_out *p, const char *folder, const sak_pack_shape *shape,
                           sak_error *err);
/* Where the next record's values go: shape->bytes of them. */
void *sak_pack_next(const sak_pack_out *p);
/* Adds what was put there.  SAK_EIO, with the pack as before, when the disk is full. */
sak_status sak_pack_append(sak_pack_out *p, const sak_pack_shape *shape,
                           const uint8_t digest[SAK_HASH_BYTES], sak_error *err);
void sak_pack_out_close(sak_pack_out *p);
int64_t sak_pack_stride(const sak_pack_shape *shape); /* bytes a record takes */

#endif
