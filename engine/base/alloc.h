/* Allocation: checked sizes, cache-line alignment, and arenas that are rewound as a whole. */
#ifndef SAK_BASE_ALLOC_H
#define SAK_BASE_ALLOC_H

#include <stddef.h>

#include "base/status.h"

#define SAK_ALIGN 64 /* bytes: one cache line, one AVX-512 register */

/* Zeroed memory of n * size bytes aligned to SAK_ALIGN; *out is NULL on failure.  Release with
 * sak_free.  Large blocks ask the kernel for huge pages. */
sak_status sak_alloc(void **out, size_t n, size_t size, sak_error *err);
void sak_free(void *p);

/* The same, but no page of it takes memory before it is written.  Release with sak_free_pages and the
 * same n and size. */
sak_status sak_alloc_pages(void **out, size_t n, size_t size, sak_error *err);
void sak_free_pages(void *p, size_t n, size_t size);

/* Arena of small build-time objects: everything taken dies with the arena. */
typedef struct sak_arena {
    struct sak_arena_block *head;
} sak_arena;

void *sak_arena_take(sak_arena *a, size_t bytes); /* zeroed; NULL when out of memory */
char *sak_arena_text(sak_arena *a, const char *s);
void sak_arena_close(sak_arena *a);

#endif
