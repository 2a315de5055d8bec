/* Checkpoint files: a copy of the tensors, a thread that writes it, and the reader that trusts
 * nothing. */
#include "weights/checkpoint.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "base/pool.h"

#define ALIGN ((size_t)64)
enum { COPY_BYTES = 1 << 20 }; /* per chunk of the copy */

struct sak_checkpointer {
    pthread_t thread;
    bool running, unread; /* a thread to join; a result nobody has asked for */
    atomic_bool done;
    char *path, *state, *names, *copy; /* of the file being written */
    size_t copy_room;
    sak_st_source *tensors;
    int64_t n;
    size_t bytes;
    double from, seconds;
    sak_status status;
    sak_error error;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t bytes_of(const sak_st_source *t)
{
    return (size_t)sak_shape_count(&t->shape) * sak_st_dtype_size(t->dtype);
}

static uLong add_text(uLong crc, const char *s)
{
    return crc32_z(crc, (const Bytef *)s, strlen(s) + 1);
}

/* Over the state, and every tensor's name, type, shape and bytes, in order. */
static void checksum(char out[9], const char *state, const sak_st_source *t, int64_t n)
{
    uLong crc = add_text(crc32_z(0, NULL, 0), state);
    for (int64_t i = 0; i < n; i++) {
        crc = add_text(crc, t[i].name);
        crc = add_text(crc, sak_st_dtype_name(t[i].dtype));
        crc = crc32_z(crc, (const Bytef *)t[i].shape.d, sizeof *t[i].shape.d * (size_t)t[i].shape.n);
        if (bytes_of(&t[i]))
            crc = crc32_z(crc, t[i].data, bytes_of(&t[i]));
    }
    snprintf(out, 9, "%08" PRIx32, (uint32_t)crc);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void *write_thread(void *arg)
{
    sak_checkpointer *c = arg;
    char crc[9], version[12];
    checksum(crc, c->state, c->tensors, c->n);
    snprintf(version, sizeof version, "%d", SAK_CHECKPOINT_VERSION);
    const char *meta[] = {"checkpoint_version", version, "checksum", crc, "state", c->state, NULL};
    c->status = sak_safetensors_write(c->path, c->tensors, c->n, meta, false, &c->error);
    c->seconds = now() - c->from;
    atomic_store(&c->done, true);
    return NULL;
}

static void release(sak_checkpointer *c)
{
    free(c->path);
    free(c->state);
    free(c->names);
    free(c->tensors);
    c->path = c->state = c->names = NULL;
    c->tensors = NULL;
}

static void finish(sak_checkpointer *c)
{
    if (c->running)
        pthread_join(c->thread, NULL);
    c->running = false;
}

typedef struct copy_job {
    const sak_st_source *from;
    sak_st_source *to;
    const int64_t *first; /* chunk of each tensor's first byte; first[n] is their number */
    int64_t n;
} copy_job;

static void copy_chunks(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const copy_job *j = ctx;
    for (int64_t c = begin, i = 0; c < end; c++) {
        while (j->first[i + 1] <= c)
            i++;
        const size_t at = (size_t)(c - j->first[i]) * COPY_BYTES, left = bytes_of(&j->from[i]) - at;
        memcpy((char *)(uintptr_t)j->to[i].data + at, (const char *)j->from[i].data + at,
               left < COPY_BYTES ? left : COPY_BYTES);
    }
}

/* Names and tensors as they are now, in memory of our own; that of the last copy is used again. */
static sak_status copy_tensors(sak_checkpointer *c, const sak_st_source *t, int64_t n, sak_error *err)
{
    size_t names = 0, bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        names += strlen(t[i].name) + 1;
        bytes += (bytes_of(&t[i]) + ALIGN - 1) / ALIGN * ALIGN;
    }
    if (bytes > c->copy_room) {
        void *copy = NULL; /* not zeroed: the threads that copy touch it first */
        free(c->copy);
        c->copy = NULL;
        c->copy_room = 0;
        if (posix_memalign(&copy, ALIGN, bytes) != 0)
            return SAK_FAIL(err, SAK_ENOMEM, "no memory for a checkpoint of %zu bytes", bytes);
        c->copy = copy;
        c->copy_room = bytes;
    }
    int64_t *first = malloc(((size_t)n + 1) * sizeof *first);
    c->names = malloc(names + 1);
    c->tensors = malloc(((size_t)n + 1) * sizeof *c->tensors);
    if (!first || !c->names || !c->tensors) {
        free(first);
        return SAK_FAIL(err, SAK_ENOMEM, "no memory for a checkpoint");
    }
    char *name = c->names, *data = c->copy;
    first[0] = 0;
    c->bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        const size_t length = strlen(t[i].name) + 1, size = bytes_of(&t[i]);
        memcpy(name, t[i].name, length);
        c->tensors[i] = (sak_st_source){name, t[i].dtype, t[i].shape, data};
        first[i + 1] = first[i] + (int64_t)((size + COPY_BYTES - 1) / COPY_BYTES);
        name += length;
        data += (size + ALIGN - 1) / ALIGN * ALIGN;
        c->bytes += size;
    }
    c->n = n;
    copy_job job = {t, c->tensors, first, n};
    sak_parallel_for(first[n], 1, copy_chunks, &job);
    free(first);
    return SAK_OK;
}

static sak_status start_thread(sak_checkpointer *c, sak_error *err)
{
    sigset_t all, was; /* signals are for the thread that knows how to stop a run */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &was);
    const int code = pthread_create(&c->thread, NULL, write_thread, c);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (code)
        return SAK_FAIL(err, SAK_ENOMEM, "cannot start a thread: %s", strerror(code));
    c->running = c->unread = true;
    return SAK_OK;
}

sak_status sak_checkpointer_open(sak_checkpointer **out, sak_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "no memory for checkpoints");
}

void sak_checkpointer_close(sak_checkpointer *c)
{
    if (!c)
        return;
    finish(c);
    release(c);
    free(c->copy);
    free(c);
}

sak_status sak_checkpointer_save(sak_checkpointer *c, const char *path, const char *state,
                                 const sak_st_source *tensors, int64_t n, sak_error *err)
{
    finish(c);
    release(c);
    c->unread = false;
    c->from = now();
    c->path = strdup(path);
    c->state = strdup(state);
    if (!c->path || !c->state)
        return SAK_FAIL(err, SAK_ENOMEM, "no memory for a checkpoint");
    SAK_TRY(copy_tensors(c, tensors, n, err));
    atomic_store(&c->done, false);
    return start_thread(c, err);
}

bool sak_checkpointer_busy(const sak_checkpointer *c)
{
    return c->running && !atomic_load(&c->done);
}

bool sak_checkpointer_result(sak_checkpointer *c, bool wait, sak_checkpoint_result *out)
{
    if (!c->unread || (!wait && sak_checkpointer_busy(c)))
        return false;
    finish(c);
    c->unread = false;
    *out = (sak_checkpoint_result){c->path, c->bytes, c->seconds, c->status, c->error};
    return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static sak_status check(const sak_weights *w, const char **state, sak_error *err)
{
    const char *version = sak_weights_meta(w, "checkpoint_version");
    const char *crc = sak_weights_meta(w, "checksum");
    *state = sak_weights_meta(w, "state");
    if (!version || !crc || !*state)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: not a checkpoint of a run", w->path);
    if (strtol(version, NULL, 10) > SAK_CHECKPOINT_VERSION)
        return SAK_FAIL(err, SAK_EINVAL,
                        "%s: a checkpoint of format version %s; this sak reads version %d: go on with the"
                        " newer sak that wrote it",
                        w->path, version, SAK_CHECKPOINT_VERSION);
    if (strtol(version, NULL, 10) != SAK_CHECKPOINT_VERSION)
        return SAK_FAIL(err, SAK_EFORMAT,
                        "%s: a checkpoint of format version %s; this sak reads version %d", w->path,
                        version, SAK_CHECKPOINT_VERSION);
    sak_st_source *list = malloc(((size_t)w->count + 1) * sizeof *list);
    if (!list)
        return SAK_FAIL(err, SAK_ENOMEM, "%s: no memory to read it", w->path);
    for (int64_t i = 0; i < w->count; i++)
        list[i] = (sak_st_source){w->tensors[i].name, w->tensors[i].dtype, w->tensors[i].shape,
                                  w->tensors[i].data};
    char own[9];
    checksum(own, *state, list, w->count);
    free(list);
    if (strcmp(own, crc) != 0)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: damaged: its checksum is %s, %s was written", w->path,
                        own, crc);
    return SAK_OK;
}

sak_status sak_checkpoint_open(sak_weights *w, const char *path, const char **state, sak_error *err)
{
    SAK_TRY(sak_weights_open(w, path, NULL, err));
    const sak_status st = check(w, state, err);
    if (st != SAK_OK)
        sak_weights_close(w);
    return st;
}
