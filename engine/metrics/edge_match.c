/* One-to-one matching of boundary pixels within a radius: Hopcroft & Karp's maximum matching on the
 * sparse graph of candidate pairs.  The classic matcher solves an assignment in which leaving a
 * pixel out costs 100 times more than any pair, so that its counts equal this maximum. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "metrics/internal.h"

static int nearer(const void *pa, const void *pb)
{
    const int *a = pa, *b = pb;
    const int da = a[0] * a[0] + a[1] * a[1], db = b[0] * b[0] + b[1] * b[1];
    if (da != db)
        return da < db ? -1 : 1;
    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : (a[1] > b[1]) - (a[1] < b[1]);
}

static sak_status list_offsets(sak_edge_matcher *m, double radius, sak_error *err)
{
    const int longest = m->H > m->W ? m->H : m->W;
    const int r = radius < longest ? (int)radius : longest;
    const size_t side = 2 * (size_t)r + 1;
    SAK_TRY(sak_alloc((void **)&m->offset, side * side, sizeof *m->offset, err));
    for (int dy = -r; dy <= r; dy++)
        for (int dx = -r; dx <= r; dx++)
            if ((double)dy * dy + (double)dx * dx <= radius * radius) {
                m->offset[m->offsets][0] = dy;
                m->offset[m->offsets++][1] = dx;
            }
    qsort(m->offset, (size_t)m->offsets, sizeof *m->offset, nearer);
    return SAK_OK;
}

sak_status sak_edge_matcher_open(sak_edge_matcher *m, int H, int W, double radius, const int *truth,
                                 int truths, sak_error *err)
{
    *m = (sak_edge_matcher){.H = H, .W = W, .truths = truths};
    const size_t n = (size_t)H * (size_t)W;
    int **const arrays[] = {&m->truth_at, &m->start, &m->mate, &m->truth_mate,
                            &m->level,    &m->next,  &m->queue};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        const sak_status st = sak_alloc((void **)arrays[i], n + 1, sizeof(int), err);
        if (st != SAK_OK) {
            sak_edge_matcher_close(m);
            return st;
        }
    }
    const sak_status st = list_offsets(m, radius, err);
    if (st != SAK_OK) {
        sak_edge_matcher_close(m);
        return st;
    }
    for (size_t i = 0; i < n; i++)
        m->truth_at[i] = -1;
    for (int i = 0; i < truths; i++)
        m->truth_at[truth[i]] = i;
    return SAK_OK;
}

void sak_edge_matcher_close(sak_edge_matcher *m)
{
    sak_free(m->truth_at);
    sak_free(m->offset);
    sak_free(m->start);
    sak_free(m->candidate);
    sak_free(m->mate);
    sak_free(m->truth_mate);
    sak_free(m->level);
    sak_free(m->next);
    sak_free(m->queue);
    *m = (sak_edge_matcher){0};
}

static sak_status reserve(sak_edge_matcher *m, int64_t need, sak_error *err)
{
    if (need <= m->room)
        return SAK_OK;
    const int64_t room = need + need / 2 + 4096;
    int *bigger = NULL;
    if (room > INT32_MAX)
        return SAK_FAIL(err, SAK_ENOMEM, "edge matching: more than 2^31 candidate pairs");
    SAK_TRY(sak_alloc((void **)&bigger, (size_t)room, sizeof *bigger, err));
    if (m->room)
        memcpy(bigger, m->candidate, (size_t)m->room * sizeof *bigger);
    sak_free(m->candidate);
    m->candidate = bigger;
    m->room = room;
    return SAK_OK;
}

/* Lists every predicted pixel's candidates, nearest first. */
static sak_status list_candidates(sak_edge_matcher *m, const int *pixel, int pixels, sak_error *err)
{
    int64_t at = 0;
    for (int i = 0; i < pixels; i++) {
        m->start[i] = (int)at;
        SAK_TRY(reserve(m, at + m->offsets, err));
        const int y = pixel[i] / m->W, x = pixel[i] % m->W;
        for (int k = 0; k < m->offsets; k++) {
            const int v = y + m->offset[k][0], u = x + m->offset[k][1];
            if (v < 0 || v >= m->H || u < 0 || u >= m->W)
                continue;
            const int t = m->truth_at[v * m->W + u];
            if (t >= 0)
                m->candidate[at++] = t;
        }
    }
    m->start[pixels] = (int)at;
    return SAK_OK;
}

static int match_greedily(sak_edge_matcher *m, int pixels)
{
    int matched = 0;
    for (int t = 0; t < m->truths; t++)
        m->truth_mate[t] = -1;
    for (int i = 0; i < pixels; i++) {
        m->mate[i] = -1;
        for (int k = m->start[i]; k < m->start[i + 1] && m->mate[i] < 0; k++)
            if (m->truth_mate[m->candidate[k]] < 0) {
                m->mate[i] = m->candidate[k];
                m->truth_mate[m->candidate[k]] = i;
                matched++;
            }
    }
    return matched;
}

/* Levels of alternating paths from the free predicted pixels; false if none ends at a free truth.
 */
static bool find_levels(sak_edge_matcher *m, int pixels)
{
    int head = 0, tail = 0;
    bool reached = false;
    for (int i = 0; i < pixels; i++) {
        m->level[i] = m->mate[i] < 0 ? 0 : -1;
        m->next[i] = m->start[i];
        if (m->mate[i] < 0)
            m->queue[tail++] = i;
    }
    while (head < tail) {
        const int i = m->queue[head++];
        for (int k = m->start[i]; k < m->start[i + 1]; k++) {
            const int j = m->truth_mate[m->candidate[k]];
            if (j < 0) {
                reached = true;
            } else if (m->level[j] < 0) {
                m->level[j] = m->level[i] + 1;
                m->queue[tail++] = j;
            }
        }
    }
    return reached;
}

/* Extends the matching by one along a path of rising levels from a free pixel, if there is one.
 * queue serves as the stack; next[i] is the candidate that i is trying. */
static bool augment(sak_edge_matcher *m, int root)
{
    int depth = 0;
    m->queue[0] = root;
    while (depth >= 0) {
        const int i = m->queue[depth];
        if (m->next[i] == m->start[i + 1]) { /* dead end: its parent tries the next candidate */
            m->level[i] = -1;
            if (--depth >= 0)
                m->next[m->queue[depth]]++;
            continue;
        }
        const int j = m->truth_mate[m->candidate[m->next[i]]];
        if (j < 0) {
            for (; depth >= 0; depth--) {
                const int p = m->queue[depth], t = m->candidate[m->next[p]];
                m->mate[p] = t;
                m->truth_mate[t] = p;
                m->level[p] = -1; /* paths of one phase are disjoint */
            }
            return true;
        }
        if (m->level[j] == m->level[i] + 1)
            m->queue[++depth] = j;
        else
            m->next[i]++;
    }
    return false;
}

sak_status sak_edge_match(sak_edge_matcher *m, const int *pixel, int pixels, int *matched,
                          sak_error *err)
{
    *matched = 0;
    SAK_TRY(list_candidates(m, pixel, pixels, err));
    *matched = match_greedily(m, pixels);
    while (find_levels(m, pixels)) {
        for (int i = 0; i < pixels; i++)
            if (m->mate[i] < 0 && m->level[i] == 0)
                *matched += augment(m, i);
    }
    return SAK_OK;
}
