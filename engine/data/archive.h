/* Images in a tar archive, for stage 1. */
#ifndef SAK_DATA_ARCHIVE_H
#define SAK_DATA_ARCHIVE_H

#include "data/dataset.h"

/* All .png, .jpg and .jpeg in a tar and in the tars within it (ImageNet's training archive), or the
 * part [from, to) of them in a fixed random order.  The index of what lies where is kept in the
 * folder `cache` (which exists; NULL: nowhere) and used as long as the archive's size and time are
 * the same.  SAK_EFORMAT names the archive and the offset where it is damaged. */
sak_status sak_archive_open(sak_dataset *d, const char *path, const char *cache, double from,
                            double to, sak_error *err);

#endif
