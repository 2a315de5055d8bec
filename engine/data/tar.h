/* tar archives (ustar, GNU, pax), walked without unpacking. */
#ifndef SAK_DATA_TAR_H
#define SAK_DATA_TAR_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/* A regular file: its name and where its bytes lie in the outermost file. */
typedef sak_status sak_tar_visit(void *ctx, const char *name, int64_t offset, int64_t size,
                                 sak_error *err);

/* Visits the files of the archive in bytes [from, to) of `file`.  SAK_EFORMAT names `path` and the
 * offset: not a tar, a wrong checksum, an entry that goes on past the end (truncated). */
sak_status sak_tar_walk(FILE *file, const char *path, int64_t from, int64_t to,
                        sak_tar_visit *visit, void *ctx, sak_error *err);

#endif
