/* Buffers apart from one another, spoilt while they are not in use (guard.h). */
#include "graph/guard.h"

#include <math.h>

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

static size_t bytes_of(const sak_buffer *b)
{
    return (size_t)b->count * sizeof(sak_real);
}

static void spoil(const sak_buffer *b)
{
    for (int64_t i = 0; i < b->count; i++)
        b->p[i] = (sak_real)NAN;
}

sak_status sak_guard_open(sak_graph *g, sak_error *err)
{
    for (int i = 0; i < g->n_buffers; i++)
        SAK_TRY(sak_alloc((void **)&g->buffer[i].p, (size_t)g->buffer[i].count, sizeof(sak_real), err));
    return SAK_OK;
}

void sak_guard_close(sak_graph *g)
{
    for (int i = 0; g->apart && i < g->n_buffers; i++) {
        sak_buffer *b = &g->buffer[i];
        if (b->p)
            ASAN_UNPOISON_MEMORY_REGION(b->p, bytes_of(b));
        sak_free(b->p);
        b->p = NULL;
    }
}

void sak_guard_before(sak_graph *g, int call)
{
    for (int i = 0; i < g->n_buffers; i++) {
        const sak_buffer *b = &g->buffer[i];
        if (b->from != call || b->kind == SAK_BUFFER_INPUT)
            continue;
        ASAN_UNPOISON_MEMORY_REGION(b->p, bytes_of(b));
        spoil(b);
    }
}

void sak_guard_after(sak_graph *g, int call)
{
    for (int i = 0; i < g->n_buffers; i++) {
        const sak_buffer *b = &g->buffer[i];
        if (b->to != call)
            continue;
        spoil(b);
        ASAN_POISON_MEMORY_REGION(b->p, bytes_of(b));
    }
}
