/* Taps of a window that slides over a resized line, and their adjoint. */
#include "kernels/resample_window.h"

#include <assert.h>
#include <string.h>

/* A fine element's taps are read by each of the at most k windows that hold it. */
static int64_t most_entries(int64_t n_mid, int64_t k, int64_t taps)
{
    return n_mid * k * taps;
}

static int64_t rounded(int64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

int64_t sak_window_taps_bytes(int64_t n_in, int64_t n_mid, int64_t k, int64_t pad,
                              sak_resize_mode mode)
{
    const int64_t n = n_mid + 2 * pad - k + 1;
    const int64_t entries = most_entries(n_mid, k, sak_resize_most_taps(n_in, n_mid, mode));
    return rounded(sak_resize_taps_bytes(n_in, n_mid, mode)) +
           (n + 1 + n_in * k + 1) * (int64_t)sizeof(int64_t) +
           2 * entries * (int64_t)(sizeof(int64_t) + sizeof(sak_real));
}

/* Counting sort by source; within a source the targets stay in order. */
static void turn_round(sak_window_taps *w)
{
    memset(w->back_at, 0, (size_t)(w->sources + 1) * sizeof *w->back_at);
    for (int64_t e = 0; e < w->at[w->n]; e++)
        w->back_at[w->source[e] + 1]++;
    for (int64_t s = 0; s < w->sources; s++)
        w->back_at[s + 1] += w->back_at[s];
    for (int64_t i = 0; i < w->n; i++)
        for (int64_t e = w->at[i]; e < w->at[i + 1]; e++) {
            const int64_t to = w->back_at[w->source[e]]++;
            w->back_target[to] = i;
            w->back_weight[to] = w->weight[e];
        }
    for (int64_t s = w->sources; s > 0; s--) /* each had run on to the start of the next */
        w->back_at[s] = w->back_at[s - 1];
    w->back_at[0] = 0;
}

sak_window_taps sak_window_taps_build(int64_t n_in, int64_t n_mid, int64_t k, int64_t pad,
                                      sak_resize_mode mode, void *mem)
{
    const sak_taps fine = sak_resize_taps(n_in, n_mid, mode, mem);
    const int64_t n = n_mid + 2 * pad - k + 1;
    const int64_t entries = most_entries(n_mid, k, sak_resize_most_taps(n_in, n_mid, mode));
    assert(n >= 1);
    sak_window_taps w = {.n = n, .sources = n_in * k};
    w.at = (int64_t *)((char *)mem + rounded(sak_resize_taps_bytes(n_in, n_mid, mode)));
    w.source = w.at + n + 1;
    w.back_at = w.source + entries;
    w.back_target = w.back_at + w.sources + 1;
    w.weight = (sak_real *)(w.back_target + entries);
    w.back_weight = w.weight + entries;
    int64_t e = 0;
    for (int64_t i = 0; i < n; i++) {
        w.at[i] = e;
        for (int64_t u = 0; u < k; u++) {
            const int64_t r = i + u - pad;
            if (r < 0 || r >= n_mid)
                continue;
            for (int64_t t = fine.at[r]; t < fine.at[r + 1]; t++, e++) {
                w.source[e] = (fine.first[r] + t - fine.at[r]) * k + u;
                w.weight[e] = fine.weight[t];
            }
        }
    }
    w.at[n] = e;
    assert(e <= entries);
    turn_round(&w);
    return w;
}
