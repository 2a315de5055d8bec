/* Reads what can be read of a damaged database. */
#ifndef SAK_RESULTS_SALVAGE_H
#define SAK_RESULTS_SALVAGE_H

#include "results/db.h"

/* Copies every readable row of the tables in `path` to a new database `fresh`, with the old one's
 * identity if that can be read.  rows: copied; lost: ranges of keys that could not be read. */
sak_status sak_db_salvage(const char *path, const char *fresh, int64_t *rows, int64_t *lost,
                          sak_error *err);

#endif
