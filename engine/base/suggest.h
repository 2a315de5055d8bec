/* "did you mean …?": the nearest of several words by edit distance. */
#ifndef SAK_BASE_SUGGEST_H
#define SAK_BASE_SUGGEST_H

#include <stddef.h>

typedef struct sak_suggest {
    const char *word; /* what was typed, borrowed */
    size_t n, distance;
    const char *best; /* NULL until something is near enough */
} sak_suggest;

sak_suggest sak_suggest_open(const char *word, size_t n);
void sak_suggest_try(sak_suggest *s, const char *candidate);

/* Insertions, deletions, substitutions and swaps of neighbours that lead from a to b. */
size_t sak_edit_distance(const char *a, size_t n, const char *b, size_t m);

#endif
