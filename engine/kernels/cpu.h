/* What this CPU can do, and which level of our own kernels runs. */
#ifndef SAK_KERNELS_CPU_H
#define SAK_KERNELS_CPU_H

#include <stdbool.h>

typedef enum sak_isa { SAK_ISA_BASELINE = 0, SAK_ISA_AVX2, SAK_ISA_AVX512, SAK_ISA_COUNT } sak_isa;

/* Best level the CPU supports, or the one named by SAK_ISA=baseline|avx2|avx512 if it is lower. */
sak_isa sak_cpu_isa(void);
const char *sak_isa_name(sak_isa isa);
/* "AMD EPYC 9R14" etc. from /proc/cpuinfo, "unknown" elsewhere. */
const char *sak_cpu_name(void);

#endif
