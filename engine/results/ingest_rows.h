/* Spool records other than points, one function per table they fill.  Each runs inside the ingest's
 * transaction and takes its fields in the order the writer (run.c) put them. */
#ifndef SAK_RESULTS_INGEST_ROWS_H
#define SAK_RESULTS_INGEST_ROWS_H

#include "results/db.h"
#include "results/spool.h"

/* Stores a text by its content; sha stays empty for NULL. */
sak_status sak_rows_put_blob(sqlite3 *db, const char *text, size_t n, const char *kind, char sha[65],
                             sak_error *err);
sak_status sak_rows_run(sqlite3 *db, const char *uid, sak_fields *f, int64_t *run, sak_error *err);
sak_status sak_rows_attempt(sqlite3 *db, int64_t run, int attempt, sak_fields *f, sak_error *err);
sak_status sak_rows_describe(sqlite3 *db, int64_t key, sak_fields *f, sak_error *err);
sak_status sak_rows_finish(sqlite3 *db, int64_t run, int attempt, sak_fields *f, sak_error *err);
/* PARAM, TAG, EVENT, ARTIFACT. */
sak_status sak_rows_other(sqlite3 *db, int64_t run, int attempt, uint32_t type, sak_fields *f,
                          sak_error *err);

#endif
