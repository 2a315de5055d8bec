/* The arithmetic peak of this machine: independent chains of fused multiply-adds, nothing else. */
#ifndef SAK_KERNELS_PEAK_H
#define SAK_KERNELS_PEAK_H

#include <stdbool.h>

/* FLOP/s that the pool's threads reach together at the level that runs (sak_cpu_isa), multiply and
 * add counted apart: the best of several tries that take `seconds` in all.  float32, or with bf16
 * products of bfloat16 pairs added in float32; 0 where the CPU has no such instruction. */
double sak_peak_flops(bool bf16, double seconds);

#endif
