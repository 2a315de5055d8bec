/* Files: read whole, map read-only, write so that a crash leaves either the old or the new file. */
#ifndef SAK_BASE_FILE_H
#define SAK_BASE_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* The whole of a regular file, followed by one 0 byte that is not counted; release with sak_free.
 * SAK_EFORMAT if it is larger than `max` bytes, SAK_ENOENT if it does not exist. */
sak_status sak_file_read(const char *path, size_t max, void **data, size_t *size, sak_error *err);
/* A regular file as a stream for reading, which the caller closes; a pipe is refused, not waited for. */
sak_status sak_file_stream(const char *path, FILE **out, sak_error *err);
bool sak_file_exists(const char *path); /* a regular file, or a link to one */
bool sak_dir_exists(const char *path);
bool sak_file_same(const char *a, const char *b); /* one file or folder, under whatever names */

/* A read-only mapping; data is NULL for an empty file.  A file that someone truncates in place
 * while it is mapped kills the reader: sak's own files are only ever replaced by rename. */
typedef struct sak_map {
    const void *data;
    size_t size;
} sak_map;

sak_status sak_map_open(sak_map *m, const char *path, sak_error *err);
void sak_map_close(sak_map *m);

/* A mapping with several owners: it goes when the last one drops it.  Drop accepts NULL. */
typedef struct sak_mapping {
    sak_map map;
    atomic_int owners;
    char *path;
    uint64_t device, inode; /* of the file that was mapped, and when it was written last */
    int64_t seconds, nanoseconds;
    struct sak_mapping *next; /* of all there are */
} sak_mapping;

sak_status sak_mapping_open(sak_mapping **m, const char *path, sak_error *err);
sak_mapping *sak_mapping_keep(sak_mapping *m); /* one owner more; returns m */
void sak_mapping_drop(sak_mapping *m);
/* SAK_EIO, naming the file, if its bytes may be others than those that were mapped: it was written in
 * place.  A file that was renamed over it, or removed, leaves the mapping as it was. */
sak_status sak_mapping_check(const sak_mapping *m, sak_error *err);
/* The path of the mapping that holds the address, NULL for none.  For signal handlers. */
const char *sak_mapping_at(const void *address);
/* Takes the whole pages within [at, at + bytes) of a mapping out of this process's memory; reading
 * them again fetches them from the file. */
void sak_map_forget(const void *at, size_t bytes);

/* SAK_EINVAL if a device, a pipe or an SQLite database (a slip of -o) stands there: what is renamed over
 * a path replaces it. */
sak_status sak_file_check_target(const char *path, sak_error *err);

/* A file under construction: bytes go to a temporary neighbour; commit syncs it to the disk and
 * renames it over `path`.  close without commit removes the temporary. */
typedef struct sak_file_out {
    int fd; /* -1 when closed */
    char *path, *temp;
    unsigned char *buffer;
    size_t used;
} sak_file_out;

sak_status sak_file_out_open(sak_file_out *f, const char *path, sak_error *err);
sak_status sak_file_out_write(sak_file_out *f, const void *data, size_t size, sak_error *err);
sak_status sak_file_out_commit(sak_file_out *f, sak_error *err);
void sak_file_out_close(sak_file_out *f);

sak_status sak_file_write_atomic(const char *path, const void *data, size_t size, sak_error *err);

#endif
