/* Reads /proc/meminfo and the limit of the control group (machine.h). */
#include "base/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double meminfo(const char *key)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    double kib = 0;
    const size_t n = strlen(key);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            kib = strtod(line + n + 1, NULL);
    if (f)
        fclose(f);
    return kib * 1024;
}

static double group_limit(void)
{
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    char line[128];
    const double bytes = f && fgets(line, sizeof line, f) ? strtod(line, NULL) : 0; /* "max" reads as 0 */
    if (f)
        fclose(f);
    return bytes;
}

sak_machine_memory sak_machine_memory_now(void)
{
    sak_machine_memory m = {meminfo("MemTotal"), meminfo("MemAvailable"), group_limit()};
    if (m.limit >= m.total)
        m.limit = 0;
    return m;
}
