/* Quantities as people read them. */
#include "base/human.h"

#include <stdio.h>
#include <stdlib.h>

void sak_human_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int u = 0;
    for (; bytes >= 1024 && u < 4; u++)
        bytes /= 1024;
    snprintf(out, 32, u && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

void sak_human_seconds(double seconds, char out[32])
{
    const long s = (long)(seconds + 0.5);
    if (seconds < 9.95)
        snprintf(out, 32, "%.1f s", seconds);
    else if (s < 60)
        snprintf(out, 32, "%ld s", s);
    else if (s < 3600)
        snprintf(out, 32, "%ld min %02ld s", s / 60, s % 60);
    else
        snprintf(out, 32, "%ld h %02ld min", s / 3600, s / 60 % 60);
}

void sak_human_exact(double v, char out[40])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, 40, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            return;
    }
}

size_t sak_human_width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xC0) != 0x80;
    return n;
}
