/* CPU detection: the best vector level, its name, and the processor's name. */
#include "kernels/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[SAK_ISA_COUNT] = {"baseline", "avx2", "avx512"};

static sak_isa supported(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return SAK_ISA_BASELINE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return SAK_ISA_AVX512;
    return SAK_ISA_AVX2;
#else
    return SAK_ISA_BASELINE;
#endif
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sak_isa isa;
static char cpu_name[128] = "unknown";

static void read_cpu_name(void)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        const char *from = colon + 1 + strspn(colon + 1, " \t");
        snprintf(cpu_name, sizeof cpu_name, "%.*s", (int)strcspn(from, "\n"), from);
        break;
    }
    if (f)
        fclose(f);
}

static void detect(void)
{
    isa = supported();
    const char *want = getenv("SAK_ISA");
    for (int i = 0; want && i < SAK_ISA_COUNT; i++)
        if (strcmp(want, names[i]) == 0 && (sak_isa)i < isa)
            isa = (sak_isa)i;
    read_cpu_name();
}

sak_isa sak_cpu_isa(void)
{
    pthread_once(&once, detect);
    return isa;
}

const char *sak_isa_name(sak_isa level)
{
    return (unsigned)level < SAK_ISA_COUNT ? names[level] : "unknown";
}

const char *sak_cpu_name(void)
{
    pthread_once(&once, detect);
    return cpu_name;
}
