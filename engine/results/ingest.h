/* Reads a spool file into the tables: records and the offset they end at in one transaction, so that
 * reading a file twice, or from two processes, gives every row once. */
#ifndef SAK_RESULTS_INGEST_H
#define SAK_RESULTS_INGEST_H

#include "results/db.h"
#include "results/spool.h"

typedef struct sak_ingest sak_ingest;

/* db and fd are borrowed for the ingest's life. */
sak_status sak_ingest_open(sqlite3 *db, int fd, const char *path, sak_ingest **out, sak_error *err);
void sak_ingest_close(sak_ingest *g);

/* One transaction of at most a few tens of thousands of points; reads no further than `end`.
 * *more: there may be something left. */
sak_status sak_ingest_step(sak_ingest *g, uint64_t end, bool *more, sak_error *err);
/* All there is up to the file's present end. */
sak_status sak_ingest_all(sak_ingest *g, sak_error *err);

int64_t sak_ingest_run(const sak_ingest *g); /* 0 while no run is known */
int sak_ingest_attempt(const sak_ingest *g);
uint64_t sak_ingest_offset(const sak_ingest *g);
sak_tail sak_ingest_tail(const sak_ingest *g);
bool sak_ingest_finished(const sak_ingest *g); /* a FINISH record was read */

/* Recomputes metric_last of one metric of a run from the points that stand. */
sak_status sak_ingest_recompute(sqlite3 *db, int64_t run, int64_t key, sak_error *err);

#endif
