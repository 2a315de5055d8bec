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

/* All (dy, dx) within the radius, nearest first; release with sak_free. */
static sak_status list_offsets(int longest, double radius, int (**out)[2], int *n, sak_error *err)
{
    const int r = radius < longest ? (int)radius : longest;
    const size_t side = 2 * (size_t)r + 1;
    *n = 0;
    SAK_TRY(sak_alloc((void **)out, side * side, sizeof **out, err));
    for (int dy = -r; dy <= r; dy++)
        for (int dx = -r; dx <= r; dx++)
            if ((double)dy * dy + (double)dx * dx <= radius * radius) {
                (*out)[*n][0] = dy;
                (*out)[(*n)++][1] = dx;
            }
    qsort(*out, (size_t)*n, sizeof **out, nearer);
    return SAK_OK;
}

/* Every pixel's candidates, once for all thresholds.  Offsets in the outer loop, so that each list
 * comes out nearest first; at[] counts, then becomes the place of the next entry. */
static sak_status list_candidates(sak_edge_matcher *m, const int (*offset)[2], int offsets,
                                  const int *truth, sak_error *err)
{
    int *const at = m->start + 1;
    int64_t total = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < offsets; k++)
            for (int t = 0; t < m->truths; t++) {
                const int y = truth[t] / m->W + offset[k][0], x = truth[t] % m->W + offset[k][1];
                if (y < 0 || y >= m->H || x < 0 || x >= m->W)
                    continue;
                if (pass == 0) {
                    at[y * m->W + x]++;
                    total++;
                } else {
                    m->candidate[m->start[y * m->W + x]++] = t;
                }
            }
        if (pass == 1)
            break;
        if (total > INT32_MAX)
            return SAK_FAIL(err, SAK_ENOMEM, "edge matching: more than 2^31 candidate pairs");
        SAK_TRY(sak_alloc((void **)&m->candidate, (size_t)total, sizeof(int), err));
        for (int i = 0; i < m->H * m->W; i++)
            at[i] += m->start[i]; /* start[i]: sum over the pixels before i */
    }
    for (int i = m->H * m->W; i > 0; i--) /* filling moved every start to its end */
        m->start[i] = m->start[i - 1];
    m->start[0] = 0;
    return SAK_OK;
}

static sak_status open_matcher(sak_edge_matcher *m, double radius, const int *truth, sak_error *err)
{
    const size_t n = (size_t)m->H * (size_t)m->W;
    int **const arrays[] = {&m->start, &m->mate, &m->truth_mate, &m->level, &m->next, &m->queue};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        SAK_TRY(sak_alloc((void **)arrays[i], n + 1, sizeof(int), err));
    int(*offset)[2], offsets;
    SAK_TRY(list_offsets(m->H > m->W ? m->H : m->W, radius, &offset, &offsets, err));
    const sak_status st = list_candidates(m, offset, offsets, truth, err);
    sak_free(offset);
    return st;
}

sak_status sak_edge_matcher_open(sak_edge_matcher *m, int H, int W, double radius, const int *truth,
                                 int truths, sak_error *err)
{
    *m = (sak_edge_matcher){.H = H, .W = W, .truths = truths};
    const sak_status st = open_matcher(m, radius, truth, err);
    if (st != SAK_OK)
        sak_edge_matcher_close(m);
    return st;
}

void sak_edge_matcher_close(sak_edge_matcher *m)
{
    sak_free(m->start);
    sak_free(m->candidate);
    sak_free(m->mate);
    sak_free(m->truth_mate);
    sak_free(m->level);
    sak_free(m->next);
    sak_free(m->queue);
    *m = (sak_edge_matcher){0};
}

/* Predicted pixel i's candidates are candidate[first … last). */
static int first(const sak_edge_matcher *m, int i)
{
    return m->start[m->pixel[i]];
}

static int last(const sak_edge_matcher *m, int i)
{
    return m->start[m->pixel[i] + 1];
}

static int match_greedily(sak_edge_matcher *m, int pixels)
{
    int matched = 0;
    for (int t = 0; t < m->truths; t++)
        m->truth_mate[t] = -1;
    for (int i = 0; i < pixels; i++) {
        m->mate[i] = -1;
        for (int k = first(m, i); k < last(m, i) && m->mate[i] < 0; k++)
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
        m->next[i] = first(m, i);
        if (m->mate[i] < 0)
            m->queue[tail++] = i;
    }
    while (head < tail) {
        const int i = m->queue[head++];
        for (int k = first(m, i), end = last(m, i); k < end; k++) {
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
        if (m->next[i] == last(m, i)) { /* dead end: its parent tries the next candidate */
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

int sak_edge_match(sak_edge_matcher *m, const int *pixel, int pixels)
{
    m->pixel = pixel;
    int matched = match_greedily(m, pixels);
    while (find_levels(m, pixels)) {
        for (int i = 0; i < pixels; i++)
            if (m->mate[i] < 0 && m->level[i] == 0)
                matched += augment(m, i);
    }
    return matched;
}
