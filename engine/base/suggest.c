/* Edit distance, and the nearest word by it. */
#include "base/suggest.h"

#include <string.h>

enum { WORD_MAX = 63 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau's distance without repeated edits of one place, row by row. */
size_t sak_edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    if (n > WORD_MAX || m > WORD_MAX)
        return n > m ? n : m;
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[m];
}

sak_suggest sak_suggest_open(const char *word, size_t n)
{
    return (sak_suggest){.word = word, .n = n, .distance = least(3, n / 3 + 1) + 1};
}

void sak_suggest_try(sak_suggest *s, const char *candidate)
{
    const size_t m = strlen(candidate);
    size_t d = sak_edit_distance(s->word, s->n, candidate, m);
    if (s->n >= 3 && m > s->n && strncmp(candidate, s->word, s->n) == 0)
        d = least(d, 1); /* an abbreviation */
    if (d < s->distance) {
        s->distance = d;
        s->best = candidate;
    }
}
