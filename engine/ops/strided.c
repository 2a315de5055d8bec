/* Strided copies, on which the ops that move elements stand. */
#include <string.h>

#include "ops/strided.h"

static void strided_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sak_strided *v = ctx;
    enum { LAST = SAK_MAX_DIMS - 1 };
    const int64_t n = v->n[LAST], step = v->step[LAST];
    for (int64_t row = begin; row < end; row++) {
        int64_t at = 0, rest = row;
        bool inside = true;
        for (int k = LAST - 1; k >= 0; k--) {
            const int64_t i = rest % v->n[k];
            rest /= v->n[k];
            inside = inside && i >= v->lo[k] && i < v->hi[k];
            at += (i - v->lo[k]) * v->step[k];
        }
        sak_real *restrict to = v->to + row * n;
        const int64_t lo = inside ? v->lo[LAST] : n, hi = inside ? v->hi[LAST] : n;
        if (!v->acc) {
            memset(to, 0, (size_t)lo * sizeof *to);
            memset(to + hi, 0, (size_t)(n - hi) * sizeof *to);
        }
        if (hi <= lo)
            continue;
        const sak_real *restrict from = v->from + at;
        to += lo;
        if (step == 1 && !v->acc)
            memcpy(to, from, (size_t)(hi - lo) * sizeof *to);
        else if (step == 1)
            for (int64_t i = 0; i < hi - lo; i++)
                to[i] += from[i];
        else
            for (int64_t i = 0; i < hi - lo; i++)
                to[i] = v->acc ? to[i] + from[i * step] : from[i * step];
    }
}

void sak_copy_strided(const sak_strided *v)
{
    int64_t rows = 1, n = v->n[SAK_MAX_DIMS - 1];
    for (int k = 0; k < SAK_MAX_DIMS - 1; k++)
        rows *= v->n[k];
    if (rows * n > 0)
        sak_parallel_for(rows, 16384 / n + 1, strided_rows, (void *)(uintptr_t)v);
}

sak_strided sak_strided_of(const sak_shape *dense, const sak_real *from, sak_real *to, bool acc)
{
    sak_strided v = {.from = from, .to = to, .acc = acc};
    for (int k = 0; k < SAK_MAX_DIMS; k++) {
        const int i = k - (SAK_MAX_DIMS - dense->n);
        v.n[k] = v.hi[k] = i < 0 ? 1 : dense->d[i];
    }
    return v;
}

void sak_row_major(const sak_shape *s, int64_t *step)
{
    int64_t n = 1;
    for (int i = s->n - 1; i >= 0; i--) {
        step[i] = n;
        n *= s->d[i];
    }
}
