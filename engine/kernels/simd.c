/* Picks the level of our own vector kernels that this CPU runs. */
#include "kernels/simd.h"

extern const sak_simd sak_simd_baseline;
#if defined(__x86_64__)
extern const sak_simd sak_simd_avx2, sak_simd_avx512;
#endif

static const sak_simd *const tables[SAK_ISA_COUNT] = {
    [SAK_ISA_BASELINE] = &sak_simd_baseline,
#if defined(__x86_64__)
    [SAK_ISA_AVX2] = &sak_simd_avx2,
    [SAK_ISA_AVX512] = &sak_simd_avx512,
#endif
};

const sak_simd *sak_simd_level(sak_isa isa)
{
    return isa <= sak_cpu_isa() ? tables[isa] : 0;
}

const sak_simd *sak_simd_table(void)
{
    return tables[sak_cpu_isa()];
}
