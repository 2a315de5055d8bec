/* The fields of an ingest, shared by ingest.c (transactions) and ingest_points.c (metrics). */
#ifndef SAK_RESULTS_INGEST_STATE_H
#define SAK_RESULTS_INGEST_STATE_H

#include "results/ingest.h"

#define SAK_BATCH_POINTS 50000 /* about 0.1 s of write lock */

typedef struct sak_point {
    uint32_t key;
    uint32_t seq; /* order of logging: the later of two at one step wins */
    int64_t step, t_us;
    double value;
} sak_point;

typedef struct sak_ingest_key {
    char *name;
    int64_t id;        /* 0: not interned since the last rollback */
    int64_t last_step; /* of this attempt; below it or at it metric_last is recomputed */
    bool loaded;       /* id and last_step are those of the database */
} sak_ingest_key;

struct sak_ingest {
    sqlite3 *db;
    char *spool; /* the file's name, without its folder */
    int fd;
    sak_spool_id id;
    int64_t run;
    uint64_t at; /* what the database says has been read */
    int64_t points_total;
    sak_spool_reader reader;
    sak_ingest_key *keys;
    size_t n_keys, cap_keys;
    sak_point *points;
    size_t n_points, cap_points;
    sqlite3_stmt *put_point, *put_last, *get_key, *put_key, *get_last, *put_offset, *get_offset;
    bool finished;
};

/* Inside the transaction. */
sak_status sak_ingest_learn_key(sak_ingest *g, sak_fields *f, sak_error *err);
sak_status sak_ingest_intern(sak_ingest *g, sak_ingest_key *k, sak_error *err);
sak_status sak_ingest_take_points(sak_ingest *g, sak_fields *f, sak_error *err);
sak_status sak_ingest_write_points(sak_ingest *g, sak_error *err); /* all that were taken */

#endif
