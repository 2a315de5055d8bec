/* Sums over the rows of a matrix: per-chunk partial sums, then their sum in chunk order. */
#include "kernels/colsum.h"

#include "base/pool.h"
#include "kernels/simd.h"

typedef struct sums {
    int64_t rows, n;
    const sak_real *x;
    sak_real *out;
    bool acc;
    const sak_simd *simd;
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
    s->simd->sum_rows(s->n, end - begin, s->n, s->x + begin * s->n, s->out + chunk * s->n, false);
}

static void add_parts(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const sums *s = ctx;
    s->simd->sum_rows(end - begin, s->rows, s->n, s->x + begin, s->out + begin, s->acc);
}

void sak_combine(int64_t parts, int64_t n, const sak_real *part, sak_real *out, bool acc)
{
    sums s = {parts, n, part, out, acc, sak_simd_table()};
    sak_parallel_for(n, 4096, add_parts, &s);
}

void sak_column_sums(int64_t rows, int64_t n, const sak_real *x, sak_real *out, bool acc,
                     sak_real *scratch)
{
    const int64_t grain = rows_per_chunk(rows, n);
    sums s = {rows, n, x, scratch, false, sak_simd_table()};
    sak_parallel_for(rows, grain, add_rows, &s);
    sak_combine(sak_chunks(rows, grain), n, scratch, out, acc);
}
