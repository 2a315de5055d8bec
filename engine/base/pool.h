/* The thread pool.  Chunk boundaries depend on n and grain only, never on the number of threads:
 * work that is chunk-local, or that combines per-chunk results in chunk order, has the same bits
 * for any thread count. */
#ifndef SAK_BASE_POOL_H
#define SAK_BASE_POOL_H

#include <stdint.h>

#include "base/status.h"

/* Called with [begin, end) of one chunk, the chunk's index, and the worker 0 … threads-1 (for
 * per-worker scratch only: results must not depend on it). */
typedef void sak_chunk_fn(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker);

/* threads >= 1; 0 takes the number of usable cores.  Called once, before the first parallel_for;
 * without it everything runs on the calling thread. */
sak_status sak_pool_open(int threads, sak_error *err);
void sak_pool_close(void);
int sak_pool_threads(void);

/* Runs fn over ceil(n / grain) chunks.  A call from inside a chunk, or from a thread other than
 * the pool's owner while it is busy, runs serially. */
void sak_parallel_for(int64_t n, int64_t grain, sak_chunk_fn *fn, void *ctx);

static inline int64_t sak_chunks(int64_t n, int64_t grain)
{
    return (n + grain - 1) / grain;
}

#endif
