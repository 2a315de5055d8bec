/* The thread pool: workers take chunks from one atomic counter; the caller takes part. */
#define _GNU_SOURCE
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#define MAX_THREADS 256
#define SPINS 4000 /* about 20 us: a step's next op comes sooner than that, sleeping costs more */

static struct {
    pthread_t thread[MAX_THREADS];
    int threads;
    pthread_mutex_t lock, busy;
    pthread_cond_t wake;
    atomic_uint epoch; /* odd or even does not matter: a change means new work */
    atomic_bool stop;
    atomic_int sleepers;
    /* the current job */
    sak_chunk_fn *fn;
    void *ctx;
    int64_t n, grain, chunks;
    atomic_llong next;
    atomic_int running; /* workers that have not finished this job */
} pool = {.threads = 1,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .busy = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside;

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    sched_yield();
#endif
}

static void take_chunks(int worker)
{
    inside = true;
    for (;;) {
        const int64_t c = atomic_fetch_add(&pool.next, 1);
        if (c >= pool.chunks)
            break;
        const int64_t begin = c * pool.grain;
        const int64_t end = begin + pool.grain < pool.n ? begin + pool.grain : pool.n;
        pool.fn(pool.ctx, begin, end, c, worker);
    }
    inside = false;
}

static void *work(void *arg)
{
    const int worker = (int)(intptr_t)arg;
    unsigned seen = 0;
    for (;;) {
        int spin = 0;
        while (atomic_load(&pool.epoch) == seen && spin++ < SPINS)
            pause_cpu();
        if (atomic_load(&pool.epoch) == seen) {
            pthread_mutex_lock(&pool.lock);
            atomic_fetch_add(&pool.sleepers, 1);
            while (atomic_load(&pool.epoch) == seen)
                pthread_cond_wait(&pool.wake, &pool.lock);
            atomic_fetch_sub(&pool.sleepers, 1);
            pthread_mutex_unlock(&pool.lock);
        }
        seen = atomic_load(&pool.epoch);
        if (atomic_load(&pool.stop))
            return NULL;
        take_chunks(worker);
        atomic_fetch_sub(&pool.running, 1);
    }
}

static void announce(void)
{
    atomic_fetch_add(&pool.epoch, 1);
    if (atomic_load(&pool.sleepers) > 0) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
}

/* Processors this process may use, as far as the pool can use them. */
static int usable_cpus(void)
{
    cpu_set_t set; /* too small for machines with more than 1024 processors */
    const long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                               : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (int)n;
}

sak_status sak_pool_open(int threads, sak_error *err)
{
    if (threads == 0)
        threads = usable_cpus();
    if (threads < 1 || threads > MAX_THREADS)
        return SAK_FAIL(err, SAK_EINVAL, "threads must be 1 to %d, got %d", MAX_THREADS, threads);
    sak_pool_close();
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&pool.thread[i], NULL, work, (void *)(intptr_t)i) != 0) {
            sak_pool_close();
            return SAK_FAIL(err, SAK_ENOMEM, "cannot start thread %d of %d", i + 1, threads);
        }
        pool.threads = i + 1;
    }
    return SAK_OK;
}

void sak_pool_close(void)
{
    if (pool.threads > 1) {
        atomic_store(&pool.stop, true);
        announce();
        for (int i = 1; i < pool.threads; i++)
            pthread_join(pool.thread[i], NULL);
        atomic_store(&pool.stop, false);
    }
    pool.threads = 1;
    atomic_store(&pool.epoch, 0);
}

int sak_pool_threads(void)
{
    return pool.threads;
}

static void run_serially(int64_t n, int64_t grain, sak_chunk_fn *fn, void *ctx)
{
    const bool was = inside;
    inside = true;
    for (int64_t c = 0, b = 0; b < n; c++, b += grain)
        fn(ctx, b, b + grain < n ? b + grain : n, c, 0);
    inside = was;
}

void sak_parallel_for(int64_t n, int64_t grain, sak_chunk_fn *fn, void *ctx)
{
    if (n <= 0)
        return;
    if (inside || pool.threads == 1 || n <= grain || pthread_mutex_trylock(&pool.busy) != 0) {
        run_serially(n, grain, fn, ctx);
        return;
    }
    pool.fn = fn;
    pool.ctx = ctx;
    pool.n = n;
    pool.grain = grain;
    pool.chunks = sak_chunks(n, grain);
    atomic_store(&pool.running, pool.threads - 1);
    atomic_store(&pool.next, 0);
    announce();
    take_chunks(0);
    for (int spin = 0; atomic_load(&pool.running) > 0; spin++) {
        if (spin < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
    pthread_mutex_unlock(&pool.busy);
}
