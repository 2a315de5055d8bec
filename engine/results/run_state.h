/* The fields of a run, shared by run.c (life, threads) and run_log.c (filling the buffer). */
#ifndef SAK_RESULTS_RUN_STATE_H
#define SAK_RESULTS_RUN_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "results/db.h"
#include "results/ingest.h"
#include "results/spool.h"

#define SAK_NO_RECORD SIZE_MAX

typedef struct sak_run_name {
    char *name;
    uint64_t hash;
} sak_run_name;

struct sak_run {
    int64_t id;
    char uid[13];
    int attempt;
    char *path; /* of the spool */
    int64_t run_started_us, began_us, began_mono_us;

    pthread_mutex_t mu; /* pending, keys, broken */
    sak_bytes pending;
    size_t points_at; /* open points record in pending, or SAK_NO_RECORD */
    uint32_t points_n;
    sak_run_name *keys;
    uint32_t n_keys, cap_keys;
    uint32_t *slots; /* hash table of key index + 1 */
    uint32_t n_slots;
    sak_error broken_error;
    atomic_bool broken;

    pthread_mutex_t io; /* sending, fd */
    sak_bytes sending;
    int fd;
    _Atomic uint64_t end; /* bytes of the spool that are whole */

    pthread_mutex_t db_mu; /* db, ingest, beat_us */
    sqlite3 *db;
    sak_ingest *ingest;
    int64_t beat_us;

    pthread_mutex_t wake_mu;
    pthread_cond_t wake;
    bool quit;
    int n_threads;
    pthread_t threads[2];
};

/* All but the first while holding mu. */
bool sak_run_grow_keys(sak_run *r);
void sak_run_close_points(sak_run *r);
size_t sak_run_open_record(sak_run *r, sak_record type);
int64_t sak_run_elapsed_us(const sak_run *r); /* since this attempt began */

#endif
