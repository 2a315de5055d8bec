/* Thinning of binary maps. */
#include "kernels/thin.h"

#include <stdbool.h>

/* May a pixel with neighbours n go in sub-iteration `second`?  Bit k of n: x_(k+1), counted from
 * east, counter-clockwise. */
static bool removable(unsigned n, bool second)
{
    bool x[10];
    for (int k = 0; k < 8; k++)
        x[k + 1] = n >> k & 1;
    x[9] = x[1];
    int crossings = 0, n1 = 0, n2 = 0;
    for (int i = 1; i <= 4; i++) {
        crossings += !x[2 * i - 1] && (x[2 * i] || x[2 * i + 1]);
        n1 += x[2 * i - 1] || x[2 * i];
        n2 += x[2 * i] || x[2 * i + 1];
    }
    const int least = n1 < n2 ? n1 : n2;
    const bool open =
        second ? !((x[6] || x[7] || !x[4]) && x[5]) : !((x[2] || x[3] || !x[8]) && x[1]);
    return crossings == 1 && least >= 2 && least <= 3 && open;
}

static unsigned neighbours(const uint8_t *map, int H, int W, int i)
{
    static const int dy[8] = {0, -1, -1, -1, 0, 1, 1, 1}, dx[8] = {1, 1, 0, -1, -1, -1, 0, 1};
    const int y = i / W, x = i % W;
    unsigned n = 0;
    if (y > 0 && y < H - 1 && x > 0 &&
        x < W - 1) { /* the same without looking out for the border */
        const uint8_t *p = map + i;
        return (p[1] != 0) | (unsigned)(p[1 - W] != 0) << 1 | (unsigned)(p[-W] != 0) << 2 |
               (unsigned)(p[-1 - W] != 0) << 3 | (unsigned)(p[-1] != 0) << 4 |
               (unsigned)(p[W - 1] != 0) << 5 | (unsigned)(p[W] != 0) << 6 |
               (unsigned)(p[W + 1] != 0) << 7;
    }
    for (int k = 0; k < 8; k++) {
        const int v = y + dy[k], u = x + dx[k];
        if (v >= 0 && v < H && u >= 0 && u < W && map[v * W + u])
            n |= 1u << k;
    }
    return n;
}

int sak_thin(uint8_t *map, int H, int W, int *list)
{
    bool table[2][256];
    for (unsigned n = 0; n < 256; n++) {
        table[0][n] = removable(n, false);
        table[1][n] = removable(n, true);
    }
    int count = 0;
    for (int i = 0; i < H * W; i++)
        if (map[i])
            list[count++] = i;
    for (int idle = 0, pass = 0; idle < 2; pass ^= 1) {
        enum { GOING = 2 }; /* still counts as a neighbour within the pass */
        int gone = 0;
        for (int j = 0; j < count; j++)
            if (table[pass][neighbours(map, H, W, list[j])]) {
                map[list[j]] = GOING;
                gone++;
            }
        int kept = 0;
        for (int j = 0; j < count; j++) {
            if (map[list[j]] == GOING)
                map[list[j]] = 0;
            else
                list[kept++] = list[j];
        }
        count = kept;
        idle = gone ? 0 : idle + 1;
    }
    return count;
}
