/* Instances of gemm_tile.inc per instruction set and number type, and the choice between them. */
#include "kernels/gemm_tile.h"

#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

/* GCC does not see that `part` is read only after a first chain has been stored there. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define DEPTH 384       /* of k at a time: a (DEPTH, 2 vectors) panel of B stays near the core */
#define CHAIN 128       /* of k are added one to the other: rounding grows with the length of a chain */
#define ROWS SAK_GEMM_ROWS /* of A at a time: (ROWS, DEPTH) packed fits half of an L2 cache */
#define PACKED_COLS 128 /* of B at a time, where the caller has not packed it */

/* Packed operands; a thread's own, so that products allocate nothing. */
static _Thread_local sak_real packed_a[ROWS / 6 * 8 * DEPTH] __attribute__((aligned(64)));
static _Thread_local sak_real packed_b[PACKED_COLS * DEPTH] __attribute__((aligned(64)));
_Static_assert(ROWS % 42 == 0 && ROWS / 14 * 16 <= ROWS / 6 * 8, "whole tiles that fit packed_a");

#define TARGET __attribute__((target("avx2,fma")))
#ifdef SAK_DOUBLE
#define VEC __m256d
#define MASK __m256i
#define WIDTH 4
#define LOAD _mm256_loadu_pd
#define STORE _mm256_storeu_pd
#define SET1 _mm256_set1_pd
#define MUL _mm256_mul_pd
#define SUM _mm256_add_pd
#define FMA _mm256_fmadd_pd
#define LOAD_SOME(p, m) _mm256_maskload_pd((p), (m))
#define STORE_SOME(p, m, v) _mm256_maskstore_pd((p), (m), (v))
#define MASK_OF(n) _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3))
#else
#define VEC __m256
#define MASK __m256i
#define WIDTH 8
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define SET1 _mm256_set1_ps
#define MUL _mm256_mul_ps
#define SUM _mm256_add_ps
#define FMA _mm256_fmadd_ps
#define LOAD_SOME(p, m) _mm256_maskload_ps((p), (m))
#define STORE_SOME(p, m, v) _mm256_maskstore_ps((p), (m), (v))
#define MASK_OF(n)                                                                                 \
    _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#endif

/* Transposes a square: to[j * ld + i] = from[min(i, n - 1) * step + j]. */
#ifdef SAK_DOUBLE
#define SQUARE 4
TARGET static inline void transpose_square(const double *from, int64_t step, int64_t n, double *to,
                                           int64_t ld)
{
    __m256d r[4], t[4];
    for (int i = 0; i < 4; i++)
        r[i] = _mm256_loadu_pd(from + (i < n ? i : n - 1) * step);
    for (int i = 0; i < 4; i += 2) { /* rows i and i + 1 interleaved */
        t[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int j = 0; j < 2; j++) {
        _mm256_storeu_pd(to + j * ld, _mm256_permute2f128_pd(t[j], t[j + 2], 0x20));
        _mm256_storeu_pd(to + (j + 2) * ld, _mm256_permute2f128_pd(t[j], t[j + 2], 0x31));
    }
}
#else
#define SQUARE 8
TARGET static inline void transpose_square(const float *from, int64_t step, int64_t n, float *to,
                                           int64_t ld)
{
    __m256 r[8], t[8];
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(from + (i < n ? i : n - 1) * step);
    for (int i = 0; i < 8; i += 2) { /* rows i and i + 1 interleaved */
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { /* four rows */
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int j = 0; j < 4; j++) {
        _mm256_storeu_ps(to + j * ld, _mm256_permute2f128_ps(r[j], r[j + 4], 0x20));
        _mm256_storeu_ps(to + (j + 4) * ld, _mm256_permute2f128_ps(r[j], r[j + 4], 0x31));
    }
}
#endif

#define LINE (64 / (int64_t)sizeof(sak_real)) /* elements of a cache line */

/* to[p * ld + i] = from[i * si + p * sp] for i < w, p < k; anything for w <= i < ld.  ld is w
 * rounded up to a multiple of SQUARE, or more. */
TARGET static void pack_reals(int64_t w, int64_t k, const sak_real *from, int64_t si, int64_t sp,
                        sak_real *to, int64_t ld)
{
    int64_t p = 0;
    for (; si != 1 && sp == 1 && p + SQUARE <= k; p += SQUARE)
        for (int64_t i = 0; i < w; i += SQUARE) {
            /* The next w rows, to L2: rows some 3 KiB apart share the few places of an L1 line. */
            for (int64_t r = 0; r < SQUARE && p % LINE == 0; r++)
                __builtin_prefetch(from + (i + r + w) * si + p, 0, 2);
            transpose_square(from + i * si + p, si, w - i, to + p * ld + i, ld);
        }
    const int64_t whole = w / WIDTH * WIDTH;
    const MASK rest = MASK_OF(w - whole);
    for (; si == 1 && p < k; p++) {
        const sak_real *x = from + p * sp;
        sak_real *y = to + p * ld;
        __builtin_prefetch(x + 16 * sp); /* the caller's next lines; strides hide them from the CPU */
        for (int64_t i = 0; i < whole; i += WIDTH)
            STORE(y + i, LOAD(x + i));
        if (whole < w)
            STORE(y + whole, LOAD_SOME(x + whole, rest));
    }
    for (; p < k; p++)
        for (int64_t i = 0; i < w; i++)
            to[p * ld + i] = from[i * si + p * sp];
}

#ifdef SAK_DOUBLE
#define ROUND(n, x) (void)(n), (void)(x) /* the double build is for gradient checks */
#else
/* Rounds to the nearest bfloat16, ties to even, as floats; NaN stays NaN. */
TARGET static void round_to_bf16(int64_t n, float *x)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, x + i, sizeof u);
        const uint32_t nan = (u & 0x7fffffffu) > 0x7f800000u ? 0x00400000u : 0;
        u = nan ? u | nan : u + 0x7fffu + (u >> 16 & 1);
        u &= 0xffff0000u;
        memcpy(x + i, &u, sizeof u);
    }
}
#define ROUND round_to_bf16
#endif

/* Items of packed operands hold PER consecutive elements of k. */
#define PER 1
#define PACK pack_reals
#define DOT(a, b, sum) FMA((a), (b), (sum))
#define NAME(f) f##_avx2
#define TILE_ROWS 6
#define EACH_ROW(do) do(0) do(1) do(2) do(3) do(4) do(5)
#define STRIPE 8
#include "kernels/gemm_tile.inc"
static const sak_gemm_tiles kernel_avx2 = {2 * WIDTH, false, product_avx2, packed_count_avx2,
                                            pack_panels_avx2, packed_product_avx2,
                                            slice_count_avx2, slice_product_avx2, sum_slices_avx2};

#undef NAME
#undef TARGET
#undef VEC
#undef MASK
#undef WIDTH
#undef LOAD
#undef STORE
#undef SET1
#undef MUL
#undef SUM
#undef FMA
#undef LOAD_SOME
#undef STORE_SOME
#undef MASK_OF
#undef TILE_ROWS
#undef EACH_ROW
#undef STRIPE

#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#ifdef SAK_DOUBLE
#define VEC __m512d
#define MASK __mmask8
#define WIDTH 8
#define LOAD _mm512_loadu_pd
#define STORE _mm512_storeu_pd
#define SET1 _mm512_set1_pd
#define MUL _mm512_mul_pd
#define SUM _mm512_add_pd
#define FMA _mm512_fmadd_pd
#define LOAD_SOME(p, m) _mm512_maskz_loadu_pd((m), (p))
#define STORE_SOME(p, m, v) _mm512_mask_storeu_pd((p), (m), (v))
#else
#define VEC __m512
#define MASK __mmask16
#define WIDTH 16
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define SET1 _mm512_set1_ps
#define MUL _mm512_mul_ps
#define SUM _mm512_add_ps
#define FMA _mm512_fmadd_ps
#define LOAD_SOME(p, m) _mm512_maskz_loadu_ps((m), (p))
#define STORE_SOME(p, m, v) _mm512_mask_storeu_ps((p), (m), (v))
#endif
#define MASK_OF(n) ((MASK)((1u << (n)) - 1))
#define NAME(f) f##_avx512
#define TILE_ROWS 14
#define EACH_ROW(do)                                                                               \
    do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13)
#define STRIPE 16
#include "kernels/gemm_tile.inc"
enum { PANEL_avx512 = 2 * WIDTH };
static const sak_gemm_tiles kernel_avx512 = {PANEL_avx512, false, product_avx512,
                                              packed_count_avx512, pack_panels_avx512,
                                              packed_product_avx512, slice_count_avx512,
                                              slice_product_avx512, sum_slices_avx512};

#ifndef SAK_DOUBLE
#undef TARGET
#define TARGET __attribute__((target("avx512bf16,avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")))
#include "kernels/gemm_bf16_pack.inc"

#undef NAME
#undef PER
#undef PACK
#undef DOT
#undef ROUND
#define NAME(f) f##_bf16
#define PER 2
#define PACK pack_pairs
#define DOT(a, b, sum) _mm512_dpbf16_ps((sum), (__m512bh)(a), (__m512bh)(b))
#define ROUND(n, x) (void)(n), (void)(x) /* packing has rounded */
#include "kernels/gemm_tile.inc"

/* bfloat16 by its own instruction, everything else as at the level without it. */
static void product_mixed(const sak_product *p, bool bf16)
{
    (bf16 ? product_bf16 : product_avx512)(p, bf16);
}

static int64_t packed_count_mixed(int64_t n, int64_t k, bool bf16)
{
    return (bf16 ? packed_count_bf16 : packed_count_avx512)(n, k, bf16);
}

static void pack_mixed(int64_t from, int64_t to, const sak_product *p, bool bf16, sak_real *packed)
{
    (bf16 ? pack_panels_bf16 : pack_panels_avx512)(from, to, p, bf16, packed);
}

static void packed_product_mixed(const sak_product *p, bool bf16, int64_t panel,
                                 const sak_real *packed, int64_t packed_n)
{
    (bf16 ? packed_product_bf16 : packed_product_avx512)(p, bf16, panel, packed, packed_n);
}

static int64_t slice_count_mixed(int64_t k, bool bf16)
{
    return (bf16 ? slice_count_bf16 : slice_count_avx512)(k, bf16);
}

static void slice_product_mixed(const sak_product *p, bool bf16, int64_t slice, sak_real *sums,
                                int64_t ld)
{
    (bf16 ? slice_product_bf16 : slice_product_avx512)(p, bf16, slice, sums, ld);
}

static void sum_slices_mixed(const sak_product *p, bool bf16, const sak_real *sums, int64_t ld,
                             int64_t step)
{
    (bf16 ? sum_slices_bf16 : sum_slices_avx512)(p, bf16, sums, ld, step);
}

static const sak_gemm_tiles kernel_mixed = {PANEL_avx512, true, product_mixed, packed_count_mixed,
                                             pack_mixed, packed_product_mixed, slice_count_mixed,
                                             slice_product_mixed, sum_slices_mixed};
#endif

const sak_gemm_tiles *sak_gemm_tiles_of(sak_isa isa)
{
#ifndef SAK_DOUBLE
    if (isa == SAK_ISA_AVX512 && __builtin_cpu_supports("avx512bf16"))
        return &kernel_mixed;
#endif
    switch (isa) {
    case SAK_ISA_AVX512: return &kernel_avx512;
    case SAK_ISA_AVX2: return &kernel_avx2;
    default: return NULL;
    }
}

#else
const sak_gemm_tiles *sak_gemm_tiles_of(sak_isa isa)
{
    (void)isa;
    return NULL;
}
#endif
