/* `sak bench kernels`: matrix products by shape, our own tiles against BLIS, on one thread, and what
 * the engine chooses, on all of them.  The choice is made once per process from the environment, so
 * every cell is a process. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "cli/bench.h"
#include "kernels/gemm.h"
#include "kernels/peak.h"

/* m, n, k of C (m, n) = A (m, k) B (k, n); B's columns or A's rows may lie apart (transposed). */
static const struct shape {
    const char *what;
    int64_t m, n, k;
    bool at, bt; /* A, B stored transposed, as in a backward pass */
} shapes[] = {
    {"attention scores, 64 of 65 tokens", 65, 65, 64, false, true},
    {"attention values, 65 tokens", 65, 64, 65, false, false},
    {"attention scores, 197 tokens", 197, 197, 64, false, true},
    {"attention values, 1009 tokens", 1009, 64, 1009, false, false},
    {"adapter down, width 192", 2080, 48, 192, false, true},
    {"adapter up, width 192", 2080, 192, 48, false, true},
    {"qkv, width 192", 2080, 576, 192, false, true},
    {"qkv, width 384", 1576, 1152, 384, false, true},
    {"fc1, width 768", 1576, 3072, 768, false, true},
    {"fc1 backward, input", 1576, 768, 3072, false, false},
    {"fc1 backward, weight", 3072, 768, 1576, true, false},
    {"convolution 3x3, width 768, a strip", 1008, 768, 6912, false, true},
    {"square", 1024, 1024, 1024, false, false},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct request {
    const struct shape *s;
    const char *gemm; /* SAK_GEMM, NULL: as the engine chooses */
    int threads, steps; /* steps 0: for 0.12 s */
} request;

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static double best_rate(const request *q, const sak_real *a, const sak_real *b, sak_real *c)
{
    const struct shape *s = q->s;
    const sak_mat ma = s->at ? (sak_mat){a, 1, s->m} : (sak_mat){a, s->k, 1};
    const sak_mat mb = s->bt ? (sak_mat){b, 1, s->k} : (sak_mat){b, s->n, 1};
    const double work = 2.0 * (double)s->m * (double)s->n * (double)s->k;
    const int64_t repeat = max_of(1, (int64_t)(2e7 / work)); /* a few hundred us at a time */
    const double end = sak_bench_now() + 0.12;
    double best = 0;
    int round = 0;
    do {
        const double start = sak_bench_now();
        for (int64_t i = 0; i < repeat; i++)
            (q->threads != 1 ? sak_gemm_parallel : sak_gemm)(s->m, s->n, s->k, ma, mb, c, s->n, 1, 0);
        const double rate = work * (double)repeat / (sak_bench_now() - start) * 1e-9;
        best = rate > best ? rate : best;
    } while (q->steps ? ++round < q->steps : sak_bench_now() < end);
    return best;
}

static int work(void *ctx)
{
    const request *q = ctx;
    const struct shape *s = q->s;
    sak_error err = {0};
    void *memory = NULL;
    if (q->gemm)
        setenv("SAK_GEMM", q->gemm, 1);
    sak_gemm_init();
    if (sak_pool_open(q->threads, &err) != SAK_OK)
        return sak_complain(&err);
    const int64_t na = s->m * s->k, nb = s->k * s->n;
    if (sak_alloc(&memory, (size_t)(na + nb + s->m * s->n), sizeof(sak_real), &err) != SAK_OK)
        return sak_complain(&err);
    sak_real *a = memory;
    for (int64_t i = 0; i < na + nb; i++)
        a[i] = (sak_real)(i * 7919 % 1009 - 504) / 504;
    printf("{\"rate\": %.6g, \"peak\": %.6g}\n",
           best_rate(q, a, a + na, a + na + nb), sak_peak_flops(false, 0.03) * 1e-9);
    sak_free(memory);
    sak_pool_close();
    return SAK_EXIT_OK;
}

/* GFLOP/s, and the peak on the same threads; 0 when the child failed. */
static double rate(request *q, double *peak)
{
    int status = 0;
    json_t *row = sak_bench_child(work, q, &status);
    const double v = json_number_value(json_object_get(row, "rate"));
    *peak = json_number_value(json_object_get(row, "peak"));
    json_decref(row);
    return v;
}

json_t *sak_bench_kernels(const sak_options *o)
{
    json_t *rows = json_array();
    for (int i = 0; i < SHAPES; i++) {
        const struct shape *s = &shapes[i];
        char size[64];
        double one = 0, all = 0;
        snprintf(size, sizeof size, "%dx%dx%d%s%s", (int)s->m, (int)s->n, (int)s->k,
                 s->at ? " A'" : "", s->bt ? " B'" : "");
        const int steps = (int)o->steps;
        const double own = rate(&(request){s, "sak", 1, steps}, &one);
        const double blis = rate(&(request){s, "blis", 1, steps}, &one);
        const double chosen = rate(&(request){s, NULL, 1, steps}, &one);
        const double split = rate(&(request){s, NULL, (int)o->threads, steps}, &all);
        json_array_append_new(
            rows, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "product", s->what,
                            "m x n x k", size, "own", own, "blis", blis, "chosen", chosen, "of peak",
                            one > 0 ? chosen / one : 0, "all threads", split, "of their peak",
                            all > 0 ? split / all : 0));
    }
    return json_pack("{s:[s,s,s,s,s,s,s,s], s:o, s:[s]}", "columns", "product", "m x n x k", "own",
                     "blis", "chosen", "of peak", "all threads", "of their peak", "rows", rows,
                     "notes",
                     "GFLOP/s, best of several; A', B': stored transposed.  own, blis, chosen: one "
                     "thread.");
}
