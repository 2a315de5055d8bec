/* Attention windows: maps cut into windows of tokens and put back together, cyclically shifted if
 * asked, and the position bias of the attention inside them (SAM, Swin). */
#include "ops/op.h"

#include <string.h>

#define CROSSING ((sak_real)-100) /* added to the score of a pair that the shift brought together */

/* --- partition and merge --------------------------------------------------------------------------*/

typedef struct window_grid {
    int64_t B, h, w, C;
    int64_t sh, sw;           /* sides of a window */
    int64_t nh, nw;           /* this many windows cover the (h, w) map */
    int64_t shift_h, shift_w; /* window (0, 0) begins here; what lies before comes last */
} window_grid;

/* The attributes of both ops, in the order of `split_attrs`; merge has h and w after them. */
enum { WINDOW, WINDOW_W, SHIFT_H, SHIFT_W, MERGED_H, MERGED_W };

static int64_t attr(const sak_opshape *s, int i)
{
    return (int64_t)SAK_ATTR(s, i);
}

static window_grid windows_of(const sak_opshape *s, int64_t B, int64_t h, int64_t w, int64_t C)
{
    const int64_t sh = attr(s, WINDOW), sw = attr(s, WINDOW_W) ? attr(s, WINDOW_W) : sh;
    return (window_grid){B, h, w, C, sh, sw, (h + sh - 1) / sh, (w + sw - 1) / sw,
                         attr(s, SHIFT_H), attr(s, SHIFT_W)};
}

static sak_status check_windows(const sak_opshape *s, int64_t h, int64_t w, sak_error *err)
{
    const int64_t sh = attr(s, WINDOW), sw = attr(s, WINDOW_W);
    const int64_t dh = attr(s, SHIFT_H), dw = attr(s, SHIFT_W);
    if (sh < 1 || sw < 0)
        return SAK_FAIL(err, SAK_EINVAL, "%s: window must be at least 1, got %lld x %lld",
                        s->op->name, (long long)sh, (long long)(sw ? sw : sh));
    if (h < 1 || w < 1)
        return SAK_FAIL(err, SAK_EINVAL, "%s: the map must be at least 1 x 1, got %lld x %lld",
                        s->op->name, (long long)h, (long long)w);
    if (dh < 0 || dh >= h || dw < 0 || dw >= w)
        return SAK_FAIL(err, SAK_EINVAL, "%s: a shift of (%lld, %lld) is outside a map of %lld x "
                        "%lld", s->op->name, (long long)dh, (long long)dw, (long long)h,
                        (long long)w);
    return SAK_OK;
}

typedef struct window_copy {
    window_grid g;
    const sak_real *from;
    sak_real *to;
    bool acc, split;
} window_copy;

static void copy_tokens(const window_copy *v, int64_t in_map, int64_t in_win, int64_t n)
{
    const sak_real *restrict from = v->from + (v->split ? in_map : in_win);
    sak_real *restrict to = v->to + (v->split ? in_win : in_map);
    if (!v->acc)
        memcpy(to, from, (size_t)n * sizeof *to);
    for (int64_t j = 0; v->acc && j < n; j++)
        to[j] += from[j];
}

/* One line of tokens of one window: those of the shifted map, in stretches that end where it wraps
 * around, and zeros beyond it. */
static void window_lines(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const window_copy *v = ctx;
    const window_grid *g = &v->g;
    for (int64_t i = begin; i < end; i++) {
        const int64_t win = i / g->sh, y = win / g->nw % g->nh * g->sh + i % g->sh;
        const int64_t x = win % g->nw * g->sw, b = win / g->nw / g->nh;
        const int64_t left = y < g->h && x < g->w ? (g->w - x < g->sw ? g->w - x : g->sw) : 0;
        const int64_t row = (b * g->h + (y + g->shift_h) % g->h) * g->w, line = i * g->sw;
        for (int64_t j = 0, n = 0; j < left; j += n) {
            const int64_t at = (x + j + g->shift_w) % g->w;
            n = left - j < g->w - at ? left - j : g->w - at;
            copy_tokens(v, (row + at) * g->C, (line + j) * g->C, n * g->C);
        }
        if (!v->acc && v->split)
            memset(v->to + (line + left) * g->C, 0, (size_t)((g->sw - left) * g->C) * sizeof *v->to);
    }
}

static void window_run(window_grid g, const sak_real *from, sak_real *to, bool acc, bool split)
{
    window_copy v = {g, from, to, acc, split};
    sak_parallel_for(g.B * g.nh * g.nw * g.sh, 16384 / (g.sw * g.C + 1) + 1, window_lines, &v);
}

static sak_status partition_shape(sak_opshape *s, sak_error *err)
{
    const int64_t *d = s->x[0].d;
    if (s->x[0].n != 4)
        return SAK_FAIL(err, SAK_ESHAPE, "window_partition: x must be (B, H, W, C), got %s",
                        SAK_SHAPE_TEXT(&s->x[0]));
    SAK_TRY(check_windows(s, d[1], d[2], err));
    const window_grid g = windows_of(s, d[0], d[1], d[2], d[3]);
    s->y = SAK_SHAPE(g.B * g.nh * g.nw, g.sh * g.sw, g.C);
    return SAK_OK;
}

static window_grid partition_grid(const sak_opcall *c)
{
    const int64_t *d = c->s->x[0].d;
    return windows_of(c->s, d[0], d[1], d[2], d[3]);
}

static void partition_forward(const sak_opcall *c)
{
    window_run(partition_grid(c), c->x[0], c->y, false, true);
}

static void partition_backward(const sak_opcall *c)
{
    if (c->dx[0])
        window_run(partition_grid(c), c->dy, c->dx[0], c->acc[0], false);
}

static sak_status merge_shape(sak_opshape *s, sak_error *err)
{
    const int64_t h = attr(s, MERGED_H), w = attr(s, MERGED_W);
    SAK_TRY(check_windows(s, h, w, err));
    const window_grid g = windows_of(s, 1, h, w, 1);
    const sak_shape *x = &s->x[0];
    if (x->n != 3 || x->d[1] != g.sh * g.sw || x->d[0] % (g.nh * g.nw) != 0)
        return SAK_FAIL(err, SAK_ESHAPE, "window_merge: x must be (B %lld, %lld, C), got %s",
                        (long long)(g.nh * g.nw), (long long)(g.sh * g.sw), SAK_SHAPE_TEXT(x));
    s->y = SAK_SHAPE(x->d[0] / (g.nh * g.nw), h, w, x->d[2]);
    return SAK_OK;
}

static window_grid merge_grid(const sak_opcall *c)
{
    const int64_t *d = c->s->y.d;
    return windows_of(c->s, d[0], d[1], d[2], d[3]);
}

static void merge_forward(const sak_opcall *c)
{
    window_run(merge_grid(c), c->x[0], c->y, false, false);
}

static void merge_backward(const sak_opcall *c)
{
    if (c->dx[0])
        window_run(merge_grid(c), c->dy, c->dx[0], c->acc[0], true);
}

/* --- position bias --------------------------------------------------------------------------------*/

/* Swin's addition to the attention scores (Liu et al., arXiv:2103.14030, sec. 3.2 and 3.2 "Efficient
 * batch computation"):
 *   y[n, head, i, j] = table[(yi - yj + s - 1)(2 s - 1) + xi - xj + s - 1, head], and -100 more where
 * tokens i and j of window n were not neighbours before the cyclic shift.  The regions between which
 * the shift mixes are those of the map *padded to whole windows*, as in timm, though the shift itself
 * is that of the unpadded map. */
typedef struct bias {
    const sak_opcall *c;
    int64_t s, sh, sw, nh, nw, shift_h, shift_w, heads, L;
} bias;

enum { BIAS_WINDOW, BIAS_H, BIAS_W, BIAS_GRID_H, BIAS_GRID_W, BIAS_SHIFT_H, BIAS_SHIFT_W };

static bias bias_of(const sak_opshape *s)
{
    bias v = {.s = attr(s, BIAS_WINDOW), .heads = s->x[0].d[1]};
    v.sh = attr(s, BIAS_H) ? attr(s, BIAS_H) : v.s;
    v.sw = attr(s, BIAS_W) ? attr(s, BIAS_W) : v.s;
    v.shift_h = attr(s, BIAS_SHIFT_H);
    v.shift_w = attr(s, BIAS_SHIFT_W);
    const bool shifted = v.shift_h || v.shift_w; /* otherwise all windows are alike */
    v.nh = shifted ? (attr(s, BIAS_GRID_H) + v.sh - 1) / v.sh : 1;
    v.nw = shifted ? (attr(s, BIAS_GRID_W) + v.sw - 1) / v.sw : 1;
    v.L = v.sh * v.sw;
    return v;
}

static sak_status bias_shape(sak_opshape *s, sak_error *err)
{
    const sak_shape *t = &s->x[0];
    const int64_t side = attr(s, BIAS_WINDOW), rows = (2 * side - 1) * (2 * side - 1);
    if (side < 1 || t->n != 2 || t->d[0] != rows || t->d[1] < 1)
        return SAK_FAIL(err, SAK_ESHAPE, "window_bias: the table of a window of %lld must be "
                        "(%lld, heads), got %s", (long long)side, (long long)rows,
                        SAK_SHAPE_TEXT(t));
    const bias v = bias_of(s);
    if (v.sh < 1 || v.sh > side || v.sw < 1 || v.sw > side)
        return SAK_FAIL(err, SAK_EINVAL, "window_bias: a window of %lld x %lld does not lie inside "
                        "the table's %lld x %lld", (long long)v.sh, (long long)v.sw,
                        (long long)side, (long long)side);
    if (v.shift_h < 0 || v.shift_h >= v.sh || v.shift_w < 0 || v.shift_w >= v.sw || v.nh < 1 ||
        v.nw < 1)
        return SAK_FAIL(err, SAK_EINVAL, "window_bias: a shift of (%lld, %lld) needs a grid and a "
                        "window that is larger, got %lld x %lld and %lld x %lld",
                        (long long)v.shift_h, (long long)v.shift_w,
                        (long long)attr(s, BIAS_GRID_H), (long long)attr(s, BIAS_GRID_W),
                        (long long)v.sh, (long long)v.sw);
    s->y = SAK_SHAPE(v.nh * v.nw, v.heads, v.L, v.L);
    return SAK_OK;
}

static int64_t table_row(const bias *v, int64_t i, int64_t j)
{
    const int64_t dy = i / v->sw - j / v->sw + v->s - 1, dx = i % v->sw - j % v->sw + v->s - 1;
    return dy * (2 * v->s - 1) + dx;
}

/* 0, 1 or 2: before the last window, in it but not wrapped around, wrapped around. */
static int region(int64_t at, int64_t side, int64_t n, int64_t shift)
{
    return shift ? (at >= (n - 1) * side) + (at >= n * side - shift) : 0;
}

static int region_of(const bias *v, int64_t win, int64_t i)
{
    const int64_t y = win / v->nw * v->sh + i / v->sw, x = win % v->nw * v->sw + i % v->sw;
    return 3 * region(y, v->sh, v->nh, v->shift_h) + region(x, v->sw, v->nw, v->shift_w);
}

static void bias_rows(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const bias *v = ctx;
    for (int64_t r = begin; r < end; r++) {
        const int64_t i = r % v->L, head = r / v->L % v->heads, win = r / v->L / v->heads;
        const int own = region_of(v, win, i);
        sak_real *restrict y = v->c->y + r * v->L;
        for (int64_t j = 0; j < v->L; j++)
            y[j] = v->c->x[0][table_row(v, i, j) * v->heads + head] +
                   (region_of(v, win, j) == own ? 0 : CROSSING);
    }
}

static void bias_forward(const sak_opcall *c)
{
    bias v = bias_of(c->s);
    v.c = c;
    sak_parallel_for(v.nh * v.nw * v.heads * v.L, 1 + 4096 / v.L, bias_rows, &v);
}

/* Each task owns the table's column of one head, and visits the windows in order. */
static void bias_columns(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const bias *v = ctx;
    const int64_t rows = v->c->s->x[0].d[0], each = v->L * v->L;
    sak_real *restrict dx = v->c->dx[0];
    for (int64_t head = begin; head < end; head++) {
        for (int64_t k = 0; !v->c->acc[0] && k < rows; k++)
            dx[k * v->heads + head] = 0;
        for (int64_t win = 0; win < v->nh * v->nw; win++) {
            const sak_real *restrict dy = v->c->dy + (win * v->heads + head) * each;
            for (int64_t k = 0; k < each; k++)
                dx[table_row(v, k / v->L, k % v->L) * v->heads + head] += dy[k];
        }
    }
}

static void bias_backward(const sak_opcall *c)
{
    bias v = bias_of(c->s);
    v.c = c;
    if (c->dx[0])
        sak_parallel_for(v.heads, 1, bias_columns, &v);
}

/* --- rows -----------------------------------------------------------------------------------------*/

#define SPLIT_ATTRS                                                                              \
    {.name = "window", .type = SAK_ATTR_INT, .required = true, .doc = "side of a window"},       \
    {.name = "window_w", .type = SAK_ATTR_INT, .doc = "its width, if it is not square"},         \
    {.name = "shift_h", .type = SAK_ATTR_INT,                                                    \
     .doc = "row at which the windows begin; the rows before it come last"},                     \
    {.name = "shift_w", .type = SAK_ATTR_INT, .doc = "likewise the column"}

static const sak_attr_spec partition_attrs[] = {SPLIT_ATTRS, {0}};
static const sak_attr_spec merge_attrs[] = {
    SPLIT_ATTRS,
    {.name = "h", .type = SAK_ATTR_INT, .required = true, .doc = "height of the map"},
    {.name = "w", .type = SAK_ATTR_INT, .required = true, .doc = "width of the map"},
    {0},
};
static const sak_attr_spec bias_attrs[] = {
    {.name = "window", .type = SAK_ATTR_INT, .required = true, .doc = "window of the table"},
    {.name = "win_h", .type = SAK_ATTR_INT, .doc = "height of the windows, if smaller"},
    {.name = "win_w", .type = SAK_ATTR_INT, .doc = "width of the windows, if smaller"},
    {.name = "grid_h", .type = SAK_ATTR_INT, .doc = "height of the map (with a shift)"},
    {.name = "grid_w", .type = SAK_ATTR_INT, .doc = "width of the map (with a shift)"},
    {.name = "shift_h", .type = SAK_ATTR_INT, .doc = "cyclic shift of the windows, in rows"},
    {.name = "shift_w", .type = SAK_ATTR_INT, .doc = "cyclic shift of the windows, in columns"},
    {0},
};

const sak_op sak_ops_window[] = {
    {.name = "window_partition", .inputs = "x", .n_in = 1, .attrs = partition_attrs,
     .shape = partition_shape, .forward = partition_forward, .backward = partition_backward,
     .cases = (const char *const[]){"x=2x4x6x3; window=2", "x=1x5x7x2; window=3",
                                    "x=2x1x2x1; window=4", "x=2x5x6x2; window=2 shift_h=1 shift_w=1",
                                    "x=1x4x7x2; window=2 window_w=3 shift_w=2", NULL},
     .eq = "y[(b, i, j), (p, q), c] = x[b, (i s + p + shift) mod H, …, c], 0 beyond the map",
     .doc = "Cuts maps into windows of tokens, zero-padded right and below, cyclically shifted if "
            "asked."},
    {.name = "window_merge", .inputs = "x", .n_in = 1, .attrs = merge_attrs, .shape = merge_shape,
     .forward = merge_forward, .backward = merge_backward,
     .cases = (const char *const[]){"x=12x4x3; window=2 h=4 w=6", "x=6x9x2; window=3 h=5 w=7",
                                    "x=2x16x1; window=4 h=1 w=2",
                                    "x=6x6x2; window=2 window_w=3 h=4 w=7 shift_w=2",
                                    "x=18x4x2; window=2 h=5 w=6 shift_h=1 shift_w=1", NULL},
     .eq = "y[b, (i s + p + shift) mod h, …, c] = x[(b, i, j), (p, q), c]",
     .doc = "Puts the windows of window_partition back into (B, h, w, C) maps."},
    {.name = "window_bias", .inputs = "table", .n_in = 1, .attrs = bias_attrs, .shape = bias_shape,
     .forward = bias_forward, .backward = bias_backward,
     .cases = (const char *const[]){"table=9x2; window=2", "table=25x3; window=3 win_h=2",
                                    "table=25x2; window=3 grid_h=5 grid_w=6 shift_h=1 shift_w=1",
                                    "table=9x1; window=2 win_h=1 grid_h=1 grid_w=5 shift_w=1", NULL},
     .eq = "y[n, head, i, j] = table[offset of i from j, head] - 100 [i, j in different regions]",
     .doc = "Swin's relative position bias and shift mask; one window stands for all without a "
            "shift."},
    {0},
};
