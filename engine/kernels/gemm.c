/* Matrix products: our own tiles where the CPU has AVX2 or AVX-512, BLIS elsewhere; and the split over
 * our own pool.  A large product packs B once, by all threads, into a buffer that all then read; one with
 * a small C and a long k (the gradient of an adapter's weight) is split along k. */
#include "kernels/gemm.h"

#include <blis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "kernels/cpu.h"
#include "kernels/gemm_tile.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Zen 4 (AMD family 25) executes AVX-512 in two 256-bit halves: nothing to gain from skx there. */
static bool halved_avx512(void)
{
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx)
        return false;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return false;
    return ((a >> 8) & 15) + ((a >> 20) & 255) == 25;
#else
    return false;
#endif
}

/* Our kernel for this CPU; NULL: BLIS does everything. */
static const sak_gemm_tiles *own;
static atomic_bool bf16;

/* BLIS 0.9.0 recognises CPUs up to 2021 and runs its `generic` C code (5 times slower) on newer
 * ones, so we name the set.  It wants the number of the set, and reads a name as 0. */
static void choose_kernels(void)
{
    const sak_isa isa = sak_cpu_isa();
    if (isa != SAK_ISA_BASELINE) {
        const bool wide = isa == SAK_ISA_AVX512 && !halved_avx512();
        char number[16];
        snprintf(number, sizeof number, "%d", (int)(wide ? BLIS_ARCH_SKX : BLIS_ARCH_HASWELL));
        setenv("BLIS_ARCH_TYPE", number, 0);
    }
    bli_init();
    const char *asked = getenv("SAK_GEMM");
    if (!asked || strcmp(asked, "blis") != 0)
        own = sak_gemm_tiles_of(isa);
}

void sak_gemm_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, choose_kernels);
}

const char *sak_gemm_kernel(void)
{
    sak_gemm_init();
    return own ? sak_isa_name(sak_cpu_isa()) : sak_gemm_blis_kernel();
}

const char *sak_gemm_blis_kernel(void)
{
    sak_gemm_init();
    return bli_arch_string(bli_arch_query_id());
}

const char *sak_gemm_version(void)
{
    return bli_info_get_version_str();
}

const char *sak_gemm_bf16_kernel(void)
{
    sak_gemm_init();
    return !own ? NULL : own->native_bf16 ? "avx512_bf16" : "rounded float";
}

void sak_gemm_set_bf16(bool on)
{
    atomic_store_explicit(&bf16, on, memory_order_relaxed);
}

static bool rounds(void)
{
    return atomic_load_explicit(&bf16, memory_order_relaxed);
}

static void blis_product(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                         int64_t ldc, sak_real alpha, sak_real beta)
{
    rntm_t one = BLIS_RNTM_INITIALIZER;
    bli_rntm_set_num_threads(1, &one);
    bli_rntm_set_ways(1, 1, 1, 1, 1, &one);
#ifdef SAK_DOUBLE
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (double *)a.p, a.rs, a.cs,
                 (double *)b.p, b.rs, b.cs, &beta, c, ldc, 1, NULL, &one);
#else
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha, (float *)a.p, a.rs, a.cs,
                 (float *)b.p, b.rs, b.cs, &beta, c, ldc, 1, NULL, &one);
#endif
}

static void copy_rows(int64_t m, int64_t n, const sak_real *from, int64_t step, sak_real *to,
                      int64_t ld)
{
    for (int64_t i = 0; i < m; i++)
        memcpy(to + i * ld, from + i * step, (size_t)n * sizeof *to);
}

/* On the calling thread; any size. */
static void product(const sak_product *p)
{
    if (p->m <= 0 || p->n <= 0)
        return;
    if (own && p->k > 0) {
        own->product(p, rounds());
        return;
    }
    if (p->add && p->add != p->c)
        copy_rows(p->m, p->n, p->add, p->add_step, p->c, p->ldc);
    if (p->k > 0)
        blis_product(p->m, p->n, p->k, p->a, p->b, p->c, p->ldc, p->alpha, p->add != NULL);
    else
        for (int64_t i = 0; !p->add && i < p->m; i++)
            memset(p->c + i * p->ldc, 0, (size_t)p->n * sizeof *p->c);
}

/* The part of a product with `rows` rows from i and `cols` columns from j. */
static sak_product part_of(const sak_product *p, int64_t i, int64_t rows, int64_t j, int64_t cols)
{
    sak_product q = *p;
    q.m = p->m - i < rows ? p->m - i : rows;
    q.n = p->n - j < cols ? p->n - j : cols;
    q.a.p += i * p->a.rs;
    q.b.p += j * p->b.cs;
    q.c += i * p->ldc + j;
    if (p->add)
        q.add += i * p->add_step + j;
    return q;
}

/* --- a middle product: blocks of C, each packs what it reads -------------------------------------- */

typedef struct split_product {
    const sak_product *p;
    int64_t rows, cols; /* of a task */
} split_product;

#define TASK_FLOPS 2e6 /* about 20 us: waking a thread costs a few */
#define BLIS_TASKS 24
#define TASKS_PER_THREAD 4

/* Blocks of a size that packs well, halved along the longer side while there are too few; below
 * 42 x 64 the packing begins to show.  An element computed by our tiles does not depend on its
 * block, so their number may follow the threads; with BLIS it must not. */
static void split(split_product *s)
{
    const sak_product *p = s->p;
    const double k = 2.0 * (double)p->k;
    const int64_t threads = sak_pool_threads();
    const int64_t enough = !own ? BLIS_TASKS : threads > 1 ? TASKS_PER_THREAD * threads : 1;
    s->rows = p->m < 168 ? p->m : 168;
    s->cols = p->n < 512 ? p->n : 512;
    while (sak_chunks(p->m, s->rows) * sak_chunks(p->n, s->cols) < enough &&
           k * (double)s->rows * (double)s->cols > 2 * TASK_FLOPS) {
        if (s->cols > 64 && (s->cols > s->rows || s->rows <= 42))
            s->cols = (s->cols / 2 + 63) / 64 * 64;
        else if (s->rows > 42)
            s->rows = (s->rows / 2 + 13) / 14 * 14;
        else
            break;
    }
}

static void product_blocks(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const split_product *s = ctx;
    const int64_t across = sak_chunks(s->p->n, s->cols);
    for (int64_t t = begin; t < end; t++) {
        const sak_product q =
            part_of(s->p, t / across * s->rows, s->rows, t % across * s->cols, s->cols);
        product(&q);
    }
}

/* --- a large product: B is packed once, for all threads ------------------------------------------- */

#define BUFFER_COUNT ((int64_t)2 << 20) /* elements: a part of most L3 caches */
#define LARGE_FLOPS 3e7                 /* from here on a second pass over the pool costs nothing */
#define LEAST_ROWS 42                   /* of a task: three tiles */
#define PACK_COUNT 32768                /* elements packed by one task */
#define SMALL_COUNT 294912              /* elements of C: too few to be worth a B packed for all */
#define LEAST_SLICES 4                  /* of a long k: some for each thread */
#define SUM_COUNT 4096                  /* elements of C by one task */

static struct {
    pthread_mutex_t lock; /* held by the product that uses the buffer */
    sak_real *buffer;     /* B or sums of slices; kept for good: a step allocates nothing */
} packed = {.lock = PTHREAD_MUTEX_INITIALIZER};

typedef struct large_product {
    sak_product p; /* a group of columns that fits the buffer */
    bool bf16;
    int64_t blocks, parts; /* of rows, of columns */
} large_product;

static int64_t panels_of(const sak_product *p)
{
    return sak_chunks(p->n, own->panel);
}

static void pack_panels(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const large_product *l = ctx;
    own->pack(begin, end, &l->p, l->bf16, packed.buffer);
}

static void packed_blocks(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const large_product *l = ctx;
    for (int64_t t = begin; t < end; t++) {
        const int64_t r = t / l->parts, c = t % l->parts, panels = panels_of(&l->p);
        const int64_t i = l->p.m * r / l->blocks, panel = panels * c / l->parts;
        const sak_product q =
            part_of(&l->p, i, l->p.m * (r + 1) / l->blocks - i, panel * own->panel,
                    (panels * (c + 1) / l->parts - panel) * own->panel);
        own->packed_product(&q, l->bf16, panel, packed.buffer, l->p.n);
    }
}

/* Tasks of equal size, as many for one thread as for the other, and some more than threads: they
 * do not all run at the same speed.  Blocks of few rows repeat no packing, parts of columns pack A
 * again each. */
static void divide(large_product *l)
{
    const int64_t threads = sak_pool_threads();
    const int64_t blocks = sak_chunks(l->p.m, SAK_GEMM_ROWS);
    const int64_t wanted = threads > 1 ? TASKS_PER_THREAD * threads : 1;
    const int64_t most = sak_chunks(l->p.m, LEAST_ROWS), columns = sak_chunks(l->p.n, 256);
    l->blocks = sak_chunks(blocks > wanted ? blocks : wanted, threads) * threads;
    if (l->blocks > most)
        l->blocks = most < threads ? most : most / threads * threads;
    l->parts = sak_chunks(wanted, l->blocks);
    l->parts = l->parts < columns ? l->parts : columns;
}

/* False when a product on another thread uses the buffer, or none can be had; else unlock afterwards. */
static bool take_buffer(void)
{
    if (pthread_mutex_trylock(&packed.lock) != 0)
        return false;
    sak_error err;
    if (packed.buffer || sak_alloc((void **)&packed.buffer, (size_t)BUFFER_COUNT, sizeof(sak_real),
                                   &err) == SAK_OK)
        return true;
    pthread_mutex_unlock(&packed.lock);
    return false;
}

/* False: to be done another way. */
static bool large(const sak_product *p)
{
    if (p->m <= SAK_GEMM_ROWS)
        return false;
    large_product l = {.p = *p, .bf16 = rounds()};
    const int64_t each = own->packed_count(own->panel, p->k, l.bf16), panels = panels_of(p);
    if (each > BUFFER_COUNT || !take_buffer())
        return false;
    const int64_t groups = sak_chunks(panels, BUFFER_COUNT / each);
    for (int64_t g = 0; g < groups; g++) {
        const int64_t from = panels * g / groups, to = panels * (g + 1) / groups;
        l.p = part_of(p, 0, p->m, from * own->panel, (to - from) * own->panel);
        divide(&l);
        sak_parallel_for(to - from, PACK_COUNT / each + 1, pack_panels, &l);
        sak_parallel_for(l.blocks * l.parts, 1, packed_blocks, &l);
    }
    pthread_mutex_unlock(&packed.lock);
    return true;
}

/* --- a long product: C is small, slices of k are summed apart and then added in their order ------- */

typedef struct long_product {
    const sak_product *p;
    bool bf16;
    int64_t parts; /* of rows, for each slice */
} long_product;

static void slice_parts(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const long_product *l = ctx;
    const int64_t m = l->p->m, n = l->p->n;
    for (int64_t t = begin; t < end; t++) {
        const int64_t s = t / l->parts, r = t % l->parts, i = m * r / l->parts;
        const sak_product q = part_of(l->p, i, m * (r + 1) / l->parts - i, 0, n);
        own->slice_product(&q, l->bf16, s, packed.buffer + (s * m + i) * n, n);
    }
}

static void sum_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const long_product *l = ctx;
    const int64_t n = l->p->n;
    const sak_product q = part_of(l->p, begin, end - begin, 0, n);
    own->sum_slices(&q, l->bf16, packed.buffer + begin * n, n, l->p->m * n);
}

/* False: to be done another way. */
static bool sliced(const sak_product *p)
{
    const int64_t threads = sak_pool_threads();
    long_product l = {.p = p, .bf16 = rounds(), .parts = 1};
    const int64_t slices = own->slices(p->k, l.bf16);
    if (threads == 1 || slices < LEAST_SLICES || p->m * p->n > SMALL_COUNT ||
        p->m * p->n * slices > BUFFER_COUNT || !take_buffer())
        return false;
    if (slices % threads != 0)
        l.parts = sak_chunks(p->m, LEAST_ROWS);
    l.parts = l.parts < threads ? l.parts : threads;
    sak_parallel_for(slices * l.parts, 1, slice_parts, &l);
    sak_parallel_for(p->m, SUM_COUNT / p->n + 1, sum_rows, &l);
    pthread_mutex_unlock(&packed.lock);
    return true;
}

/* --- the calls ------------------------------------------------------------------------------------ */

static void run(const sak_product *p)
{
    if (p->m <= 0 || p->n <= 0)
        return;
    sak_gemm_init();
    if (own && 2.0 * (double)p->m * (double)p->n * (double)p->k >= LARGE_FLOPS &&
        (sliced(p) || large(p)))
        return;
    split_product s = {.p = p};
    split(&s);
    sak_parallel_for(sak_chunks(p->m, s.rows) * sak_chunks(p->n, s.cols), 1, product_blocks, &s);
}

void sak_gemm(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c, int64_t ldc,
              sak_real alpha, sak_real beta)
{
    sak_gemm_init();
    product(&(sak_product){m, n, k, a, b, alpha, beta != 0 ? c : NULL, ldc, c, ldc});
}

void sak_gemm_parallel(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c,
                       int64_t ldc, sak_real alpha, sak_real beta)
{
    run(&(sak_product){m, n, k, a, b, alpha, beta != 0 ? c : NULL, ldc, c, ldc});
}

void sak_gemm_bias(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, const sak_real *bias,
                   sak_real *c, int64_t ldc)
{
    run(&(sak_product){m, n, k, a, b, 1, bias, 0, c, ldc});
}

int64_t sak_gemm_pack_count(int64_t n, int64_t k)
{
    sak_gemm_init();
    return own ? own->packed_count(n, k, false) : 0; /* with bfloat16 it is at most that */
}

sak_packed sak_gemm_pack(int64_t n, int64_t k, sak_mat b, sak_real *room)
{
    sak_gemm_init();
    if (!own)
        return (sak_packed){n, k, b, NULL};
    own->pack(0, sak_chunks(n, own->panel), &(sak_product){.n = n, .k = k, .b = b}, rounds(), room);
    return (sak_packed){n, k, b, room};
}

void sak_gemm_packed(int64_t m, sak_mat a, const sak_packed *b, sak_real *c, int64_t ldc,
                     sak_real alpha, sak_real beta)
{
    const sak_product p = {m, b->n, b->k, a, b->b, alpha, beta != 0 ? c : NULL, ldc, c, ldc};
    if (b->panels && m > 0)
        own->packed_product(&p, rounds(), 0, b->panels, b->n);
    else
        product(&p);
}
