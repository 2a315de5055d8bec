/* The loader: threads take places (batch, position) in order, fill them, and stay at most SLOTS
 * batches ahead of what has been handed out.  Everything a place holds follows from its number. */
#include "data/loader.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "data/loader_batch.h"
#include "data/loader_source.h"

enum {
    SLOTS = 3, /* one in use, one ready or nearly, one for threads that are done with that */
    MAX_THREADS = 256,
};

typedef struct slot {
    int64_t step;   /* -1: empty */
    int64_t left;   /* places not yet filled */
    int64_t *index; /* samples, in place order */
    uint8_t (*digest)[SAK_HASH_BYTES]; /* of the views, if asked for */
    int64_t failed; /* first place that failed, with err; -1: none */
    sak_error err;
    sak_real *field[SAK_BATCH_FIELDS];
} slot;

typedef struct worker {
    sak_loader *loader;
    pthread_t thread;
    sak_sample raw;
    sak_batch_work work;
    sak_error err;
} worker;

struct sak_loader {
    sak_loader_spec spec;
    sak_source source;
    sak_batch_layout layout;
    int64_t count, batches; /* samples in use; batches per epoch */
    slot slot[SLOTS];
    void *memory[SLOTS];
    worker *workers;
    int threads; /* running */

    pthread_mutex_t lock; /* guards the following, and slots that are not being filled */
    pthread_cond_t work, done;
    int64_t first;       /* oldest batch that has a slot: the one in use, or the next one */
    int64_t step, place; /* the next place to take */
    int64_t busy;        /* places being filled */
    bool held, stop, paused;
    int64_t *order, order_epoch; /* shuffled places of an epoch; -1: of none */

    sak_batch batch; /* what next() shows */
    double wait_s;
};

/* --- order --------------------------------------------------------------------------- */

static void shuffle(sak_loader *l, int64_t epoch)
{
    sak_rng r = sak_rng_open(l->spec.seed, SAK_RNG_ORDER, (uint64_t)epoch, 0);
    for (int64_t i = 0; i < l->count; i++)
        l->order[i] = i;
    for (int64_t i = l->count - 1; i > 0; i--) {
        const int64_t j = sak_rng_int(&r, i + 1), x = l->order[i];
        l->order[i] = l->order[j];
        l->order[j] = x;
    }
    l->order_epoch = epoch;
}

static int64_t valid_in(const sak_loader *l, int64_t step)
{
    const int64_t left = l->count - step % l->batches * l->spec.batch;
    return left < l->spec.batch ? left : l->spec.batch;
}

static void begin_slot(sak_loader *l, slot *s, int64_t step)
{
    const int64_t epoch = step / l->batches, from = step % l->batches * l->spec.batch;
    const int64_t valid = valid_in(l, step);
    if (l->order && l->order_epoch != epoch)
        shuffle(l, epoch);
    s->step = step;
    s->left = l->spec.batch;
    s->failed = -1;
    for (int64_t i = 0; i < l->spec.batch; i++) {
        const int64_t at = from + i % valid;
        s->index[i] = sak_source_sample(&l->source, l->order ? l->order[at] : at);
    }
}

/* --- threads ------------------------------------------------------------------------- */

static sak_status fill_place(sak_loader *l, worker *w, slot *s, int64_t i)
{
    const sak_sample *raw;
    SAK_TRY(sak_source_get(&l->source, &s->index[i], &w->raw, &raw, &w->err));
    sak_error cause = {0};
    const sak_status st = sak_batch_write(&l->layout, &w->work, raw, s->step / l->batches,
                                          s->index[i], i, s->field, &cause);
    if (st != SAK_OK)
        return sak_source_blame(&l->source, s->index[i], raw->id, st, &cause, &w->err);
    if (s->digest)
        sak_view_digest(&w->work.view[0], s->digest[i]);
    return SAK_OK;
}

static void *run(void *arg)
{
    worker *w = arg;
    sak_loader *l = w->loader;
    pthread_mutex_lock(&l->lock);
    for (;;) {
        while (!l->stop && (l->paused || l->step >= l->first + SLOTS))
            pthread_cond_wait(&l->work, &l->lock);
        if (l->stop)
            break;
        slot *s = &l->slot[l->step % SLOTS];
        const int64_t i = l->place;
        if (i == 0)
            begin_slot(l, s, l->step);
        if (++l->place == l->spec.batch) {
            l->place = 0;
            l->step++;
        }
        l->busy++;
        pthread_mutex_unlock(&l->lock);
        const sak_status st = fill_place(l, w, s, i);
        pthread_mutex_lock(&l->lock);
        l->busy--;
        if (st != SAK_OK && (s->failed < 0 || i < s->failed)) {
            s->failed = i;
            s->err = w->err;
        }
        if (--s->left == 0 || l->paused)
            pthread_cond_broadcast(&l->done);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* --- opening and closing ------------------------------------------------------------- */

static sak_status check_spec(const sak_loader_spec *spec, sak_error *err)
{
    if (spec->data->count < 1)
        return SAK_FAIL(err, SAK_EINVAL, "loader: dataset '%s' is empty", spec->data->name);
    if (spec->batch < 1 || spec->limit < 0)
        return SAK_FAIL(err, SAK_EINVAL, "loader: batch %lld (>= 1), limit %lld (>= 0)",
                        (long long)spec->batch, (long long)spec->limit);
    if (spec->threads < 0 || spec->threads > MAX_THREADS)
        return SAK_FAIL(err, SAK_EINVAL, "loader: threads must be 0 to %d, got %d", MAX_THREADS,
                        spec->threads);
    return SAK_OK;
}

static sak_status open_slots(sak_loader *l, sak_error *err)
{
    const size_t line = SAK_ALIGN;
    size_t bytes = ((size_t)l->spec.batch * sizeof(int64_t) + line - 1) / line * line;
    const size_t digests = bytes;
    bytes += l->spec.digests ? (size_t)l->spec.batch * SAK_HASH_BYTES : 0;
    bytes = (bytes + line - 1) / line * line;
    size_t at[SAK_BATCH_FIELDS];
    for (int f = 0; f < l->layout.n; f++) {
        const size_t count = (size_t)l->layout.count[f], batch = (size_t)l->spec.batch;
        if (batch > ((size_t)1 << 46) / count)
            return SAK_FAIL(err, SAK_ENOMEM, "loader: a batch of %zu is too large", batch);
        at[f] = bytes;
        bytes += (count * batch * sizeof(sak_real) + line - 1) / line * line;
    }
    for (int i = 0; i < SLOTS; i++) {
        SAK_TRY(sak_alloc(&l->memory[i], bytes, 1, err));
        l->slot[i].step = -1;
        l->slot[i].index = l->memory[i];
        if (l->spec.digests)
            l->slot[i].digest = (void *)((char *)l->memory[i] + digests);
        for (int f = 0; f < l->layout.n; f++)
            l->slot[i].field[f] = (sak_real *)((char *)l->memory[i] + at[f]);
    }
    return SAK_OK;
}

static sak_status open_tables(sak_loader *l, sak_error *err)
{
    void *p;
    if (l->spec.shuffle) {
        SAK_TRY(sak_alloc(&p, (size_t)l->count, sizeof *l->order, err));
        l->order = p;
    }
    if (l->spec.digests && !(l->layout.want[0] & SAK_HAS_IMAGE))
        return SAK_FAIL(err, SAK_EINVAL, "loader: digests are of images: open it with the field 'image'");
    return sak_source_open(&l->source, &l->spec, l->count, l->layout.want[0] | l->layout.want[1],
                           err);
}

static sak_status open_workers(sak_loader *l, sak_error *err)
{
    const int threads = l->spec.threads ? l->spec.threads : 1;
    void *p;
    SAK_TRY(sak_alloc(&p, (size_t)threads, sizeof *l->workers, err));
    l->workers = p;
    for (int i = 0; i < threads; i++) {
        worker *w = &l->workers[i];
        w->loader = l;
        SAK_TRY(sak_batch_work_open(&w->work, &l->layout, err));
        if (pthread_create(&w->thread, NULL, run, w) != 0) {
            sak_batch_work_close(&w->work);
            return SAK_FAIL(err, SAK_ENOMEM, "loader: cannot start thread %d of %d", i + 1,
                            threads);
        }
        l->threads = i + 1;
    }
    return SAK_OK;
}

sak_status sak_loader_open(const sak_loader_spec *spec, const char *const *fields, int n_fields,
                           sak_loader **out, sak_error *err)
{
    *out = NULL;
    SAK_TRY(check_spec(spec, err));
    const int64_t limit = spec->limit ? spec->limit : spec->data->count;
    const int64_t count = limit < spec->data->count ? limit : spec->data->count;
    if (spec->shuffle && count < spec->batch)
        return SAK_FAIL(err, SAK_EINVAL, "loader: %lld samples do not fill one batch of %lld",
                        (long long)count, (long long)spec->batch);
    void *p;
    SAK_TRY(sak_alloc(&p, 1, sizeof(sak_loader), err));
    sak_loader *l = p;
    l->spec = *spec;
    l->count = count;
    l->batches = spec->shuffle ? count / spec->batch : (count + spec->batch - 1) / spec->batch;
    l->order_epoch = -1;
    pthread_mutex_init(&l->lock, NULL); /* cannot fail with default attributes on Linux */
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->done, NULL);
    sak_status st = sak_batch_layout_init(&l->layout, &l->spec, fields, n_fields, err);
    if (st == SAK_OK)
        st = open_slots(l, err);
    if (st == SAK_OK)
        st = open_tables(l, err);
    if (st == SAK_OK)
        st = open_workers(l, err);
    if (st != SAK_OK) {
        sak_loader_close(l);
        return st;
    }
    *out = l;
    return SAK_OK;
}

void sak_loader_close(sak_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) {
        pthread_join(l->workers[i].thread, NULL);
        sak_sample_close(&l->workers[i].raw);
        sak_batch_work_close(&l->workers[i].work);
    }
    sak_free(l->workers);
    sak_source_close(&l->source);
    sak_free(l->order);
    for (int i = 0; i < SLOTS; i++)
        sak_free(l->memory[i]);
    pthread_cond_destroy(&l->done);
    pthread_cond_destroy(&l->work);
    pthread_mutex_destroy(&l->lock);
    sak_free(l);
}

/* --- use ----------------------------------------------------------------------------- */

sak_status sak_loader_shape(const sak_loader *l, const char *field, sak_shape *out, sak_error *err)
{
    for (int f = 0; f < l->layout.n; f++) {
        if (strcmp(sak_batch_field_name(l->layout.row[f]), field) != 0)
            continue;
        const sak_shape *s = &l->layout.shape[f];
        *out = (sak_shape){.n = s->n + 1, .d = {l->spec.batch}};
        memcpy(out->d + 1, s->d, sizeof *s->d * (size_t)s->n);
        return SAK_OK;
    }
    return SAK_FAIL(err, SAK_EINVAL, "loader: it was not opened with a field '%s'", field);
}

int64_t sak_loader_batches(const sak_loader *l)
{
    return l->batches;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* After an error the loader stays at the failed batch; seek moves on. */
sak_status sak_loader_next(sak_loader *l, const sak_batch **out, sak_error *err)
{
    *out = NULL;
    pthread_mutex_lock(&l->lock);
    if (l->held) {
        l->held = false;
        l->first++;
        pthread_cond_broadcast(&l->work);
    }
    slot *s = &l->slot[l->first % SLOTS];
    if (s->step != l->first || s->left > 0) {
        const double from = now();
        while (s->step != l->first || s->left > 0)
            pthread_cond_wait(&l->done, &l->lock);
        l->wait_s += now() - from;
    }
    sak_status st = SAK_OK;
    if (s->failed >= 0) {
        st = SAK_FAIL(err, s->err.code, "%s", s->err.msg);
    } else {
        l->held = true;
        l->batch = (sak_batch){.step = s->step,
                               .epoch = s->step / l->batches,
                               .valid = valid_in(l, s->step),
                               .index = s->index,
                               .digest = (const uint8_t (*)[SAK_HASH_BYTES])s->digest,
                               .field = (const sak_real *const *)s->field};
        *out = &l->batch;
    }
    pthread_mutex_unlock(&l->lock);
    return st;
}

sak_status sak_loader_seek(sak_loader *l, int64_t step, sak_error *err)
{
    if (step < 0)
        return SAK_FAIL(err, SAK_EINVAL, "loader: cannot seek to batch %lld", (long long)step);
    pthread_mutex_lock(&l->lock);
    l->paused = true;
    while (l->busy > 0)
        pthread_cond_wait(&l->done, &l->lock);
    for (int i = 0; i < SLOTS; i++)
        l->slot[i].step = -1;
    l->first = l->step = step;
    l->place = 0;
    l->held = l->paused = false;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return SAK_OK;
}

sak_loader_stats sak_loader_get_stats(const sak_loader *l)
{
    return (sak_loader_stats){.read = atomic_load(&l->source.reads),
                              .cached = atomic_load(&l->source.hits),
                              .bad = atomic_load(&l->source.bad),
                              .wait_s = l->wait_s};
}
