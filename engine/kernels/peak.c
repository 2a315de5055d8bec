/* The arithmetic peak, measured.  A fused multiply-add has a latency of about 4 cycles and two are
 * started per cycle, so 12 independent chains keep every unit busy; they live in registers. */
#include "kernels/peak.h"

#include <stdint.h>
#include <time.h>

#include "base/pool.h"
#include "kernels/cpu.h"

enum { CHAINS = 12, ROUNDS = 20000 };

/* Runs ROUNDS rounds of CHAINS operations; the result only keeps the compiler from dropping them. */
typedef float chains(void);

typedef float vec4 __attribute__((vector_size(16)));

/* Plain C at the compiler's default level: multiply, then add. */
static float chains_baseline(void)
{
    vec4 x[CHAINS], sum = {0};
    const vec4 a = {0.5F, 0.5F, 0.5F, 0.5F}, b = {1, 1, 1, 1};
    for (int c = 0; c < CHAINS; c++)
        x[c] = b * (float)c;
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            x[c] = x[c] * a + b;
    for (int c = 0; c < CHAINS; c++)
        sum += x[c];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2,fma"))) static float chains_avx2(void)
{
    __m256 x[CHAINS], sum = _mm256_setzero_ps();
    const __m256 a = _mm256_set1_ps(0.5F), b = _mm256_set1_ps(1);
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm256_set1_ps((float)c);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            x[c] = _mm256_fmadd_ps(x[c], a, b);
    for (int c = 0; c < CHAINS; c++)
        sum = _mm256_add_ps(sum, x[c]);
    return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) static float chains_avx512(void)
{
    __m512 x[CHAINS], sum = _mm512_setzero_ps();
    const __m512 a = _mm512_set1_ps(0.5F), b = _mm512_set1_ps(1);
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm512_set1_ps((float)c);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            x[c] = _mm512_fmadd_ps(x[c], a, b);
    for (int c = 0; c < CHAINS; c++)
        sum = _mm512_add_ps(sum, x[c]);
    return _mm512_cvtss_f32(sum);
}

__attribute__((target("avx512f,avx512bf16"))) static float chains_bf16(void)
{
    __m512 x[CHAINS], sum = _mm512_setzero_ps();
    const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-4F), _mm512_set1_ps(1e-4F));
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm512_set1_ps((float)c);
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            x[c] = _mm512_dpbf16_ps(x[c], a, a);
    for (int c = 0; c < CHAINS; c++)
        sum = _mm512_add_ps(sum, x[c]);
    return _mm512_cvtss_f32(sum);
}

static bool has_bf16(void)
{
    return sak_cpu_isa() == SAK_ISA_AVX512 && __builtin_cpu_supports("avx512bf16");
}
#endif

typedef struct variant {
    chains *run;
    double flops; /* of one operation */
} variant;

static variant choose(bool bf16)
{
#if defined(__x86_64__)
    if (bf16)
        return has_bf16() ? (variant){chains_bf16, 64} : (variant){0};
    if (sak_cpu_isa() == SAK_ISA_AVX512)
        return (variant){chains_avx512, 32};
    if (sak_cpu_isa() == SAK_ISA_AVX2)
        return (variant){chains_avx2, 16};
#endif
    return bf16 ? (variant){0} : (variant){chains_baseline, 8};
}

static volatile float sink;

static void run_chunk(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const variant *v = ctx;
    float kept = 0;
    for (int64_t i = begin; i < end; i++)
        kept += v->run();
    if (kept < 0) /* never: all terms are positive */
        sink = kept;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double sak_peak_flops(bool bf16, double seconds)
{
    variant v = choose(bf16);
    if (!v.run)
        return 0;
    const int64_t chunks = 8 * (int64_t)sak_pool_threads();
    const double work = (double)chunks * ROUNDS * CHAINS * v.flops, end = now() + seconds;
    double best = 0;
    do {
        const double start = now();
        sak_parallel_for(chunks, 1, run_chunk, &v);
        const double rate = work / (now() - start);
        best = rate > best ? rate : best;
    } while (now() < end);
    return best;
}
