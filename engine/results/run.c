/* A run's life: begin, resume, finish, and its two light threads (buffer → spool, spool → tables).
 * Locks: `io` or `db_mu` before `mu`; `mu` is held for copies only. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "results/run_state.h"
#include "results/sweep.h"

#define FLUSH_US INT64_C(250000)
#define INGEST_US INT64_C(1000000)
#define BEAT_US INT64_C(5000000)
#define BACKGROUND_WAIT_MS 500        /* then the next second tries again */

/* --- buffer → spool --------------------------------------------------------------------------- */

static void break_run(sak_run *r, const sak_error *why)
{
    pthread_mutex_lock(&r->mu);
    if (r->broken_error.code != SAK_ENOMEM)
        r->broken_error = *why;
    pthread_mutex_unlock(&r->mu);
    atomic_store(&r->broken, true);
}

/* What is written to a file without a name is lost with the process. */
static sak_status still_named(const sak_run *r, sak_error *err)
{
    struct stat st;
    if (fstat(r->fd, &st) != 0 || st.st_nlink > 0)
        return SAK_OK;
    return SAK_FAIL(err, SAK_EIO,
                    "%s was deleted while the run wrote to it; what it logged cannot be kept", r->path);
}

static sak_status flush_spool(sak_run *r, sak_error *err)
{
    sak_error why = {0};
    pthread_mutex_lock(&r->io);
    sak_status status = SAK_OK;
    bool lost = false;
    for (int pass = 0; pass < 2 && status == SAK_OK; pass++) {
        if (r->sending.n == 0) { /* else the last write failed and comes first */
            pthread_mutex_lock(&r->mu);
            sak_run_close_points(r);
            const sak_bytes full = r->pending;
            lost |= full.failed;
            r->pending = r->sending;
            r->pending.n = 0;
            r->sending = full;
            r->sending.failed = false;
            pthread_mutex_unlock(&r->mu);
        }
        if (r->sending.n == 0)
            break;
        sak_record_seal(&r->sending);
        uint64_t end = atomic_load(&r->end);
        status = sak_spool_append(r->fd, &end, &r->sending, &why);
        if (status == SAK_OK) {
            atomic_store(&r->end, end);
            r->sending.n = 0;
        }
    }
    if (status == SAK_OK)
        status = still_named(r, &why);
    pthread_mutex_unlock(&r->io);
    if (status == SAK_OK && lost)
        status = SAK_FAIL(&why, SAK_ENOMEM, "out of memory: metrics were lost");
    if (status != SAK_OK) {
        break_run(r, &why);
        return SAK_FAIL(err, why.code, "%s", why.msg);
    }
    pthread_mutex_lock(&r->mu);
    if (r->broken_error.code != SAK_ENOMEM && r->broken_error.code != SAK_EDB) /* those stay */
        atomic_store(&r->broken, false);
    pthread_mutex_unlock(&r->mu);
    return SAK_OK;
}

/* --- spool → tables --------------------------------------------------------------------------- */

/* A database that another file has taken the place of would take rows that nobody ever sees. */
static sak_status still_in_place(sak_run *r, sak_error *err)
{
    int moved = 0;
    if (sqlite3_file_control(r->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || !moved)
        return SAK_OK;
    sak_error why = {0};
    SAK_FAIL(&why, SAK_EDB, "%s was moved, deleted or replaced while the run wrote to it",
             sqlite3_db_filename(r->db, "main"));
    break_run(r, &why);
    return SAK_FAIL(err, why.code, "%s", why.msg);
}

static sak_status ingest_spool(sak_run *r, bool wait, sak_error *err)
{
    if (!r->db)
        return SAK_OK; /* somebody else's work: SAK_STORE_SPOOL */
    pthread_mutex_lock(&r->db_mu);
    sqlite3_busy_timeout(r->db, wait ? SAK_DB_WAIT_MS : BACKGROUND_WAIT_MS);
    bool more = true;
    sak_status status = still_in_place(r, err);
    while (more && status == SAK_OK)
        status = sak_ingest_step(r->ingest, atomic_load(&r->end), &more, err);
    const int64_t now = sak_monotonic_us();
    if (status == SAK_OK && now - r->beat_us >= BEAT_US) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "UPDATE attempt SET heartbeat_us = %" PRId64 " WHERE run_id = %" PRId64
                 " AND n = %d",
                 r->began_us + now - r->began_mono_us, r->id, r->attempt);
        if (sqlite3_exec(r->db, sql, NULL, NULL, NULL) == SQLITE_OK)
            r->beat_us = now;
    }
    pthread_mutex_unlock(&r->db_mu);
    return status;
}

/* Waits for the period to pass; false when the run is closing. */
static bool doze(sak_run *r, int64_t period_us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(period_us / 1000000);
    until.tv_nsec += (long)(period_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&r->wake_mu);
    while (!r->quit && pthread_cond_timedwait(&r->wake, &r->wake_mu, &until) != ETIMEDOUT)
        ;
    const bool go_on = !r->quit;
    pthread_mutex_unlock(&r->wake_mu);
    return go_on;
}

static void *flush_thread(void *p)
{
    while (doze(p, FLUSH_US))
        flush_spool(p, NULL);
    return NULL;
}

static void *ingest_thread(void *p)
{
    /* A failure is tried again the next second; the spool holds everything meanwhile. */
    while (doze(p, INGEST_US))
        ingest_spool(p, false, NULL);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------- */

static void put_run(sak_run *r, const sak_run_info *info)
{
    char config_sha[65];
    const char *config = info->config_sha256;
    if (!config && info->config_json) {
        sak_hex_sha256(info->config_json, strlen(info->config_json), config_sha);
        config = config_sha;
    }
    sak_bytes *b = &r->pending;
    const size_t at = sak_run_open_record(r, SAK_RECORD_RUN);
    sak_bytes_i64(b, r->began_us);
    sak_bytes_text(b, info->experiment);
    sak_bytes_text(b, info->name ? info->name : info->experiment);
    sak_bytes_text(b, info->kind ? info->kind : "sak");
    sak_bytes_text(b, info->sweep);
    sak_bytes_i64(b, info->trial);
    sak_bytes_text(b, info->arm);
    sak_bytes_i64(b, info->arm_index);
    sak_bytes_text(b, info->cell);
    sak_bytes_i64(b, info->seed);
    sak_bytes_text(b, info->script_path);
    sak_bytes_text(b, info->script_text);
    sak_bytes_text(b, info->config_json);
    sak_bytes_text(b, config);
    sak_bytes_text(b, info->group_sha256 ? info->group_sha256 : config);
    sak_bytes_text(b, info->compare_sha256);
    sak_bytes_text(b, info->data_id);
    sak_bytes_text(b, info->git_commit);
    sak_bytes_i64(b, info->git_dirty);
    sak_bytes_text(b, info->git_diff);
    sak_bytes_text(b, info->frozen_json);
    sak_record_close(b, at);
}

static void put_attempt(sak_run *r, const sak_run_info *info, bool resumed, int64_t step)
{
    char boot[96], host[256];
    sak_host_boot_id(boot);
    sak_host_name(host);
    sak_bytes *b = &r->pending;
    const size_t at = sak_run_open_record(r, SAK_RECORD_ATTEMPT);
    sak_bytes_i64(b, resumed);
    sak_bytes_i64(b, step);
    sak_bytes_i64(b, r->began_us);
    sak_bytes_i64(b, getpid());
    sak_bytes_i64(b, sak_host_pid_start(getpid()));
    sak_bytes_text(b, info->host ? info->host : host);
    sak_bytes_text(b, boot);
    sak_bytes_text(b, info->argv);
    sak_bytes_text(b, info->env);
    sak_bytes_text(b, info->sak_version);
    sak_bytes_i64(b, info->threads);
    sak_bytes_text(b, info->cpu);
    sak_bytes_text(b, info->blis_kernel);
    sak_bytes_text(b, info->isa);
    sak_record_close(b, at);
}

static sak_status start_threads(sak_run *r, sak_error *err)
{
    static void *(*const work[2])(void *) = {flush_thread, ingest_thread};
    sigset_t all, was; /* signals are for the thread that knows how to stop a run */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &was);
    int code = 0;
    for (int i = 0; i < (r->db ? 2 : 1) && !code; i++) {
        code = pthread_create(&r->threads[i], NULL, work[i], r);
        if (!code)
            r->n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    return code ? SAK_FAIL(err, SAK_ENOMEM, "cannot start a thread: %s", strerror(code)) : SAK_OK;
}

static void stop_threads(sak_run *r)
{
    pthread_mutex_lock(&r->wake_mu);
    r->quit = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->wake_mu);
    for (int i = 0; i < r->n_threads; i++)
        pthread_join(r->threads[i], NULL);
    r->n_threads = 0;
}

static void free_run(sak_run *r)
{
    if (!r)
        return;
    stop_threads(r);
    sak_ingest_close(r->ingest);
    sqlite3_close(r->db);
    if (r->fd >= 0)
        close(r->fd); /* gives the lock back */
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->wake_mu);
    pthread_mutex_destroy(&r->db_mu);
    pthread_mutex_destroy(&r->io);
    pthread_mutex_destroy(&r->mu);
    sak_bytes_free(&r->pending);
    sak_bytes_free(&r->sending);
    for (uint32_t i = 0; i < r->n_keys; i++)
        free(r->keys[i].name);
    free(r->keys);
    free(r->slots);
    free(r->path);
    free(r);
}

static sak_run *new_run(const sak_store *s)
{
    sak_run *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->fd = -1;
    r->points_at = SAK_NO_RECORD;
    r->began_us = r->run_started_us = sak_now_us();
    r->began_mono_us = sak_monotonic_us();
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->mu, NULL);
    pthread_mutex_init(&r->io, NULL);
    pthread_mutex_init(&r->db_mu, NULL);
    pthread_mutex_init(&r->wake_mu, NULL);
    r->path = malloc(strlen(s->spools) + SAK_SPOOL_NAME);
    if (r->path && sak_run_grow_keys(r))
        return r;
    free_run(r);
    return NULL;
}

static sak_status create_spool(sak_store *s, sak_run *r, sak_error *err)
{
    if (mkdir(s->spools, 0777) != 0 && errno != EEXIST)
        return SAK_FAIL(err, SAK_EIO, "cannot create folder %s: %s", s->spools, strerror(errno));
    sak_spool_id id = {.attempt = (uint32_t)r->attempt};
    memcpy(id.store, s->uid, sizeof id.store);
    memcpy(id.run, r->uid, sizeof id.run);
    sak_spool_path(s->spools, r->uid, r->attempt, r->path);
    SAK_TRY(sak_spool_create(r->path, &id, &r->fd, err));
    atomic_store(&r->end, SAK_SPOOL_HEADER);
    return SAK_OK;
}

/* With the first records pending: spool, connection, row, threads. */
static sak_status start(sak_store *s, sak_run *r, sak_error *err)
{
    SAK_TRY(create_spool(s, r, err));
    SAK_TRY(flush_spool(r, err));
    if (s->spool)
        return start_threads(r, err);
    SAK_TRY(sak_db_connect(s->path, SAK_DB_WAIT_MS, &r->db, err));
    SAK_TRY(sak_ingest_open(r->db, r->fd, r->path, &r->ingest, err));
    r->beat_us = sak_monotonic_us();
    SAK_TRY(ingest_spool(r, true, err));
    r->id = sak_ingest_run(r->ingest);
    if (!r->id)
        return SAK_FAIL(err, SAK_EDB, "the run could not be recorded");
    return start_threads(r, err);
}

static sak_status begin(sak_store *s, sak_run *r, sak_run **out, sak_error *err)
{
    const sak_status status = start(s, r, err);
    if (status == SAK_OK) {
        *out = r;
        return SAK_OK;
    }
    /* A run that is already in the table is found `lost` by the next open. */
    if (r->fd >= 0 && !r->id && !s->spool)
        unlink(r->path);
    free_run(r);
    return status;
}

sak_status sak_run_begin(sak_store *s, const sak_run_info *info, sak_run **out, sak_error *err)
{
    *out = NULL;
    if (!s->write && !s->spool)
        return SAK_FAIL(err, SAK_EINVAL, "%s is open for reading only", s->path);
    if (!info->experiment || !*info->experiment)
        return SAK_FAIL(err, SAK_EINVAL, "a run needs the name of its experiment");
    char uid[13];
    if (info->uid)
        snprintf(uid, sizeof uid, "%s", info->uid);
    else
        SAK_TRY(sak_run_uid_new(uid, err));
    sak_run *r = new_run(s);
    if (!r)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    memcpy(r->uid, uid, sizeof uid);
    r->attempt = 1;
    put_run(r, info);
    put_attempt(r, info, false, 0);
    return begin(s, r, out, err);
}

sak_status sak_run_resume(sak_store *s, int64_t id, const sak_run_info *info, int64_t resumed_step,
                          sak_run **out, sak_error *err)
{
    *out = NULL;
    if (!s->write && !s->spool)
        return SAK_FAIL(err, SAK_EINVAL, "%s is open for reading only", s->path);
    sak_run *r = new_run(s);
    if (!r)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory");
    sqlite3_stmt *st = NULL;
    sak_status status = sak_db_prepare(
        s->db, "SELECT uid, attempts, started_us, state FROM run WHERE id = ?1", &st, err);
    if (status == SAK_OK) {
        sqlite3_bind_int64(st, 1, id);
        if (sqlite3_step(st) != SQLITE_ROW) {
            status = SAK_FAIL(err, SAK_ENOENT, "there is no run %" PRId64, id);
        } else if (strcmp((const char *)sqlite3_column_text(st, 3), "running") == 0) {
            status = SAK_FAIL(err, SAK_EINVAL, "run %" PRId64 " is still running", id);
        } else {
            snprintf(r->uid, sizeof r->uid, "%s", (const char *)sqlite3_column_text(st, 0));
            r->attempt = sqlite3_column_int(st, 1) + 1;
            r->run_started_us = sqlite3_column_int64(st, 2);
        }
        sqlite3_finalize(st);
    }
    if (status != SAK_OK) {
        free_run(r);
        return status;
    }
    put_attempt(r, info, true, resumed_step);
    return begin(s, r, out, err);
}

int64_t sak_run_id(const sak_run *r)
{
    return r->id;
}

const char *sak_run_uid(const sak_run *r)
{
    return r->uid;
}

int sak_run_attempt(const sak_run *r)
{
    return r->attempt;
}

sak_status sak_run_tick(sak_run *r, sak_error *err)
{
    if (!atomic_load_explicit(&r->broken, memory_order_relaxed))
        return SAK_OK;
    pthread_mutex_lock(&r->mu);
    const sak_error why = r->broken_error;
    pthread_mutex_unlock(&r->mu);
    return SAK_FAIL(err, why.code, "%s", why.msg);
}

sak_status sak_run_flush(sak_run *r, sak_error *err)
{
    return flush_spool(r, err);
}

sak_status sak_run_flush_to_disk(sak_run *r, sak_error *err)
{
    SAK_TRY(flush_spool(r, err));
    if (fdatasync(r->fd) != 0)
        return SAK_FAIL(err, SAK_EIO, "cannot sync %s: %s", r->path, strerror(errno));
    return SAK_OK;
}

sak_status sak_run_sync(sak_run *r, sak_error *err)
{
    SAK_TRY(flush_spool(r, err));
    return ingest_spool(r, true, err);
}

sak_status sak_run_finish(sak_run *r, const char *state, sak_error *err)
{
    const bool known = !strcmp(state, "done") || !strcmp(state, "failed") || !strcmp(state, "stopped");
    pthread_mutex_lock(&r->mu);
    const size_t at = sak_run_open_record(r, SAK_RECORD_FINISH);
    sak_bytes_text(&r->pending, known ? state : "failed");
    sak_bytes_i64(&r->pending, r->began_us + sak_run_elapsed_us(r));
    sak_record_close(&r->pending, at);
    pthread_mutex_unlock(&r->mu);
    stop_threads(r);
    sak_status status = flush_spool(r, err);
    if (status == SAK_OK && r->db) {
        sak_error why = {0};
        /* The spool goes once the tables are on the disk. */
        sqlite3_exec(r->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
        status = ingest_spool(r, true, &why);
        if (status == SAK_OK && sak_ingest_finished(r->ingest))
            unlink(r->path);
        else
            status = SAK_FAIL(err, SAK_EDB,
                              "%s; the run's metrics are safe in %s and enter the database when it "
                              "is next opened",
                              why.msg[0] ? why.msg : "not all could be read back", r->path);
    }
    free_run(r);
    if (status == SAK_OK && !known)
        return SAK_FAIL(err, SAK_EINVAL, "a run finishes done, failed or stopped, not %s", state);
    return status;
}
