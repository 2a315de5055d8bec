/* Zip archives in memory, zip64 included.  Entries are not unpacked: torch stores them as they are.
 * Format: PKWARE APPNOTE.TXT 6.3.10.  Everything is checked on open: an entry's bytes lie in the
 * file, no two entries overlap, no name occurs twice. */
#ifndef SAK_WEIGHTS_ZIP_H
#define SAK_WEIGHTS_ZIP_H

#include <stddef.h>

#include "base/status.h"

typedef struct sak_zip_entry {
    const char *name; /* not terminated: it stands in the archive */
    size_t length;
    const unsigned char *data;
    size_t size;
    int method; /* 0: stored; 8: deflated, … */
} sak_zip_entry;

typedef struct sak_zip {
    sak_zip_entry *entries; /* sorted by name */
    size_t n;
} sak_zip;

/* SAK_EFORMAT names `path` and the entry. */
sak_status sak_zip_open(sak_zip *z, const char *path, const void *bytes, size_t size,
                        sak_error *err);
void sak_zip_close(sak_zip *z);
/* The entry `folder``name`; NULL if absent.  folder_length: bytes of `folder` that count. */
const sak_zip_entry *sak_zip_find(const sak_zip *z, const char *folder, size_t folder_length,
                                  const char *name);

/* SAK_EFORMAT if the entry's bytes are compressed. */
sak_status sak_zip_check_stored(const sak_zip_entry *e, const char *path, sak_error *err);

#endif
