/* Allocation: aligned blocks with huge-page advice, and arenas of build-time objects. */
#define _GNU_SOURCE
#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_FROM ((size_t)4 << 20) /* bytes: below this, huge pages gain nothing */
#define HUGE_PAGE ((size_t)2 << 20)
#define BLOCK_BYTES ((size_t)64 << 10)

sak_status sak_alloc(void **out, size_t n, size_t size, sak_error *err)
{
    *out = NULL;
    if (size && n > (SIZE_MAX / 2) / size)
        return SAK_FAIL(err, SAK_ENOMEM, "allocation of %zu x %zu bytes overflows", n, size);
    const size_t want = n > 0 && size > 0 ? n * size : 1;
    const size_t align = want >= HUGE_FROM ? HUGE_PAGE : SAK_ALIGN;
    const size_t bytes = (want + align - 1) / align * align;
    void *p = aligned_alloc(align, bytes);
    if (!p)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory: %zu bytes", bytes);
#ifdef MADV_HUGEPAGE
    if (align == HUGE_PAGE)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* advice: failure costs speed only */
#endif
    memset(p, 0, bytes);
    *out = p;
    return SAK_OK;
}

void sak_free(void *p)
{
    free(p);
}

sak_status sak_alloc_pages(void **out, size_t n, size_t size, sak_error *err)
{
    *out = NULL;
    if (size && n > (SIZE_MAX / 2) / size)
        return SAK_FAIL(err, SAK_ENOMEM, "allocation of %zu x %zu bytes overflows", n, size);
    const size_t bytes = n && size ? n * size : 1;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return SAK_FAIL(err, SAK_ENOMEM, "out of memory: %zu bytes", bytes);
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_FROM)
        (void)madvise(p, bytes, MADV_HUGEPAGE); /* advice: failure costs speed only */
#endif
    *out = p;
    return SAK_OK;
}

void sak_free_pages(void *p, size_t n, size_t size)
{
    if (p)
        munmap(p, n && size ? n * size : 1);
}

struct sak_arena_block {
    struct sak_arena_block *next;
    size_t used, size;
    char data[] __attribute__((aligned(16)));
};

void *sak_arena_take(sak_arena *a, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    struct sak_arena_block *b = a->head;
    if (!b || b->size - b->used < bytes) {
        const size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
        b = calloc(1, sizeof *b + size);
        if (!b)
            return NULL;
        b->size = size;
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

char *sak_arena_text(sak_arena *a, const char *s)
{
    const size_t n = strlen(s) + 1;
    char *p = sak_arena_take(a, n);
    return p ? memcpy(p, s, n) : NULL;
}

void sak_arena_close(sak_arena *a)
{
    for (struct sak_arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    a->head = NULL;
}
