/* What `sak doctor` says about the processor, the kernels, memory and libraries, and its measurement. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/machine.h"
#include "base/pool.h"
#include "bind/version.h"
#include "cli/doctor.h"
#include "cli/text.h"
#include "data/version.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "results/version.h"

/* First line of a small file such as those of /sys; false when it cannot be read. */
static bool first_line(const char *path, char *out, int size)
{
    FILE *f = fopen(path, "r");
    const bool ok = f && fgets(out, size, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok;
}

static void processor(sak_doctor *d)
{
    const char *wish = getenv("SAK_ISA");
    sak_doctor_find(d, SAK_HEALTH_OK, "cpu", NULL, "%s, %ld cores usable", sak_cpu_name(),
                    sysconf(_SC_NPROCESSORS_ONLN));
    sak_doctor_find(d, SAK_HEALTH_OK, "kernels",
                    wish && *wish ? "unset SAK_ISA to use all the CPU has" : NULL, "%s%s",
                    sak_isa_name(sak_cpu_isa()), wish && *wish ? " (SAK_ISA is set)" : "");
    const int threads = sak_pool_threads();
    sak_doctor_find(d, SAK_HEALTH_OK, "threads", NULL, "%d", threads);
}

static void blis(sak_doctor *d)
{
    const char *set = getenv("BLIS_ARCH_TYPE");
    if (set && *set && set[strspn(set, "0123456789")]) {
        sak_doctor_find(d, SAK_HEALTH_WRONG, "blis",
                        "unset BLIS_ARCH_TYPE: sak chooses by what the CPU can do",
                        "BLIS_ARCH_TYPE is '%s', but BLIS reads a number; a name counts as 0", set);
        return;
    }
    const char *kernel = sak_gemm_blis_kernel();
    const bool slow = strstr(kernel, "generic") && sak_cpu_isa() != SAK_ISA_BASELINE;
    sak_doctor_find(d, slow ? SAK_HEALTH_WARN : SAK_HEALTH_OK, "blis",
                    !slow ? NULL
                    : set && *set
                        ? "BLIS_ARCH_TYPE is set and asks for it; unset it (products run 3-6 times "
                          "faster with this CPU's own kernels)"
                        : "products run 3-6 times slower than they could; a BLIS built with kernels "
                          "for this CPU (Debian's libblis4-serial is) mends that",
                    "%s, kernel set %s; products run on %s", sak_gemm_version(), kernel,
                    sak_gemm_kernel());
}

static void memory(sak_doctor *d)
{
    char total[32], available[32], limit[32] = "", line[128];
    const sak_machine_memory m = sak_machine_memory_now();
    const double bytes = m.total, free_bytes = m.available;
    sak_human_bytes(bytes, total);
    sak_human_bytes(free_bytes, available);
    if (m.limit > 0)
        sak_human_bytes(m.limit, limit);
    if (bytes > 0)
        sak_doctor_find(d, free_bytes < 1e9 ? SAK_HEALTH_WARN : SAK_HEALTH_OK, "memory",
                        free_bytes < 1e9 ? "close other programs, or lower batch sizes "
                                           "(`sak check FILE` prints the peak)"
                                         : NULL,
                        "%s, %s available%s%s", total, available, *limit ? ", this group may use " : "",
                        limit);
    if (first_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line)) {
        const bool never = strstr(line, "[never]") != NULL;
        sak_doctor_find(d, SAK_HEALTH_OK, "huge pages",
                        never ? "a few percent faster: echo madvise | sudo tee "
                                "/sys/kernel/mm/transparent_hugepage/enabled"
                              : NULL,
                        "%s", line);
    }
}

void sak_doctor_machine(sak_doctor *d)
{
    sak_gemm_init();
    processor(d);
    blis(d);
    memory(d);
    sak_doctor_find(d, SAK_HEALTH_OK, "sqlite", NULL, "%s", sak_sqlite_version());
    sak_doctor_find(d, SAK_HEALTH_OK, "lua", NULL, "%s", sak_lua_version());
    sak_doctor_find(d, SAK_HEALTH_OK, "libpng", NULL, "%s", sak_libpng_version());
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef void product(int64_t m, int64_t n, int64_t k, sak_mat a, sak_mat b, sak_real *c, int64_t ldc,
                     sak_real alpha, sak_real beta);

/* GFLOP/s of n x n products, the best of several: what the machine can do when left alone. */
static double rate(product *multiply, int64_t n, const sak_real *a, const sak_real *b, sak_real *c)
{
    const double work = 2.0 * (double)n * (double)n * (double)n;
    const double end = now() + 0.4;
    double best = 0;
    do {
        const double start = now();
        multiply(n, n, n, (sak_mat){a, n, 1}, (sak_mat){b, n, 1}, c, n, 1, 0);
        const double v = work / (now() - start) * 1e-9;
        best = v > best ? v : best;
    } while (now() < end);
    return best;
}

void sak_doctor_speed(sak_doctor *d)
{
    enum { N = 768 };
    void *memory_block = NULL;
    sak_error err = {0};
    if (sak_alloc(&memory_block, (size_t)3 * N * N, sizeof(sak_real), &err) != SAK_OK) {
        sak_doctor_find(d, SAK_HEALTH_WRONG, "speed", NULL, "%s", err.msg);
        return;
    }
    sak_real *a = memory_block, *b = a + N * N, *c = b + N * N;
    for (int64_t i = 0; i < 2 * N * N; i++)
        a[i] = (sak_real)(i * 7919 % 1009 - 504) / 504;
    const double one = rate(sak_gemm, N, a, b, c), all = rate(sak_gemm_parallel, N, a, b, c);
    sak_free(memory_block);
    sak_doctor_find(d, SAK_HEALTH_OK, "speed", NULL,
                    "%.0f GFLOP/s on one thread, %.0f on %d (%d x %d products)", one, all,
                    sak_pool_threads(), N, N);
}
