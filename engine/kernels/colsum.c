/* Sums over the rows of a matrix: per-chunk partial sums, then their sum in chunk order. */
#include "kernels/colsum.h"

#include <string.h>

#include "base/pool.h"

typedef struct sums {
    int64_t rows, n;
    const sak_real *x;
    sak_real *out;
    bool acc;
} sums;

static int64_t rows_per_chunk(int64_t rows, int64_t n)
{
    const int64_t grain = (rows + 31) / 32, least = 16384 / (n + 1) + 1;
    return grain > least ? grain : least;
}

int64_t sak_column_sums_scratch(int64_t rows, int64_t n)
{
    return sak_chunks(rows, rows_per_chunk(rows, n)) * n;
}

static void add_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)worker;
    const sums *s = ctx;
    sak_real *restrict part = s->out + chunk * s->n;
    memset(part, 0, (size_t)s->n * sizeof *part);
    for (int64_t i = begin; i < end; i++) {
        const sak_real *restrict x = s->x + i * s->n;
        for (int64_t j = 0; j < s->n; j++)
            part[j] += x[j];
    }
}

static void add_parts(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sums *s = ctx;
    for (int64_t j = begin; j < end; j++) {
        sak_real sum = 0;
        for (int64_t i = 0; i < s->rows; i++)
            sum += s->x[i * s->n + j];
        s->out[j] = s->acc ? s->out[j] + sum : sum;
    }
}

void sak_combine(int64_t parts, int64_t n, const sak_real *part, sak_real *out, bool acc)
{
    sums s = {parts, n, part, out, acc};
    sak_parallel_for(n, 4096, add_parts, &s);
}

void sak_column_sums(int64_t rows, int64_t n, const sak_real *x, sak_real *out, bool acc,
                     sak_real *scratch)
{
    const int64_t grain = rows_per_chunk(rows, n);
    sums s = {rows, n, x, scratch, false};
    sak_parallel_for(rows, grain, add_rows, &s);
    sak_combine(sak_chunks(rows, grain), n, scratch, out, acc);
}
