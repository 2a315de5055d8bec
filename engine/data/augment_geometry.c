/* Geometry of a view: resize, crop, flip and placement in one pass, then padding. */
#include <string.h>

#include "base/alloc.h"
#include "data/augment.h"

typedef float v4 __attribute__((vector_size(16)));

sak_status sak_scratch_reserve(sak_scratch *s, size_t bytes, sak_error *err)
{
    if (bytes <= s->bytes)
        return SAK_OK;
    sak_scratch_close(s);
    SAK_TRY(sak_alloc(&s->data, bytes, 1, err));
    s->bytes = bytes;
    return SAK_OK;
}

void sak_scratch_close(sak_scratch *s)
{
    sak_free(s->data);
    *s = (sak_scratch){0};
}

/* Source pixel nearest to pixel p of n source pixels resized to `to`: floor((p + 1/2) n / to). */
static int nearest(int p, int n, int to)
{
    return (int)((2 * (int64_t)p + 1) * n / (2 * (int64_t)to));
}

/* The two source pixels around p's centre, clamped to the source, and the second one's weight. */
static float bilinear(int p, int n, int to, int *first, int *second)
{
    double at = (p + 0.5) * n / to - 0.5;
    at = at < 0 ? 0 : at > n - 1 ? n - 1 : at;
    *first = (int)at;
    *second = *first + 1 < n ? *first + 1 : *first;
    return (float)(at - *first);
}

static bool unscaled(const sak_geometry *g)
{
    return g->rw == g->sw && g->rh == g->sh;
}

/* Everything below the tables works on rows: `column` maps x in the window to a source column. */
typedef struct tables {
    int32_t *column;         /* nearest, absolute */
    int32_t *first, *second; /* bilinear, relative to `left` */
    float *weight;
    int left, right;     /* source columns that the bilinear window touches: [left, right) */
    v4 *source, *row[2]; /* a source row; two rows resized horizontally: R, G, B, unused */
    uint8_t *packed;
} tables;

static sak_status take_tables(const sak_geometry *g, sak_scratch *scratch, tables *t,
                              sak_error *err)
{
    const size_t w = ((size_t)g->w + 15) & ~(size_t)15, sw = ((size_t)g->sw + 15) & ~(size_t)15;
    SAK_TRY(sak_scratch_reserve(scratch, w * (16 + 16 + 16 + 4) + sw * (16 + 4), err));
    char *p = scratch->data;
    *t = (tables){0};
    t->row[0] = (v4 *)p, p += w * 16;
    t->row[1] = (v4 *)p, p += w * 16;
    t->source = (v4 *)p, p += sw * 16;
    t->column = (int32_t *)p, p += w * 4;
    t->first = (int32_t *)p, p += w * 4;
    t->second = (int32_t *)p, p += w * 4;
    t->weight = (float *)p, p += w * 4;
    t->packed = (uint8_t *)p; /* as wide as the wider of the two */

    t->left = g->sw, t->right = 0;
    for (int x = 0; x < g->w; x++) {
        const int at = g->cx + (g->flip ? g->w - 1 - x : x);
        int a, b;
        t->column[x] = g->sx + nearest(at, g->sw, g->rw);
        t->weight[x] = bilinear(at, g->sw, g->rw, &a, &b);
        t->first[x] = a;
        t->second[x] = b;
        t->left = a < t->left ? a : t->left;
        t->right = b + 1 > t->right ? b + 1 : t->right;
    }
    for (int x = 0; x < g->w; x++) {
        t->first[x] -= t->left;
        t->second[x] -= t->left;
    }
    return SAK_OK;
}

/* n pixels from 3 to 4 bytes; writes 4 bytes at a time but reads no byte behind the last pixel. */
static void widen(const uint8_t *rgb, uint8_t *rgbx, int n)
{
    for (int i = 0; i + 1 < n; i++)
        memcpy(rgbx + 4 * i, rgb + 3 * i, 4);
    memcpy(rgbx + 4 * (n - 1), rgb + 3 * (n - 1), 3);
}

static void narrow(const uint8_t *rgbx, uint8_t *rgb, int n)
{
    for (int i = 0; i + 1 < n; i++)
        memcpy(rgb + 3 * i, rgbx + 4 * i, 4);
    memcpy(rgb + 3 * (n - 1), rgbx + 4 * (n - 1), 3);
}

static void bytes_to_floats(const uint8_t *restrict in, float *restrict out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = in[i];
}

static void blend_rows(const float *restrict a, const float *restrict b, float w,
                       uint8_t *restrict out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = (uint8_t)(int)(a[i] + (b[i] - a[i]) * w + 0.5f);
}

/* Source row `y` (relative to the source rectangle) resized to the window's width. */
static void resize_row(const sak_geometry *g, const sak_sample *in, const tables *t, int y, v4 *out)
{
    const int n = t->right - t->left;
    widen(in->rgb + 3 * ((size_t)(g->sy + y) * in->W + g->sx + t->left), t->packed, n);
    bytes_to_floats(t->packed, (float *)t->source, 4 * n);
    for (int x = 0; x < g->w; x++) {
        const v4 a = t->source[t->first[x]], b = t->source[t->second[x]];
        out[x] = a + (b - a) * t->weight[x];
    }
}

static void resize_image(const sak_geometry *g, const sak_sample *in, tables *t, sak_view *out)
{
    int held[2] = {-1, -1}; /* source rows in t->row */
    for (int y = 0; y < g->h; y++) {
        int a, b;
        const float w = bilinear(g->cy + y, g->sh, g->rh, &a, &b);
        if (held[0] != a && held[1] == a) {
            v4 *const other = t->row[0];
            t->row[0] = t->row[1];
            t->row[1] = other;
            held[1] = held[0];
            held[0] = a;
        }
        if (held[0] != a)
            resize_row(g, in, t, held[0] = a, t->row[0]);
        if (b != a && held[1] != b)
            resize_row(g, in, t, held[1] = b, t->row[1]);
        blend_rows((const float *)t->row[0], (const float *)t->row[b != a], w, t->packed, 4 * g->w);
        narrow(t->packed, out->s.rgb + 3 * ((size_t)(g->y0 + y) * out->s.W + g->x0), g->w);
    }
}

static void copy_image(const sak_geometry *g, const sak_sample *in, const tables *t, sak_view *out)
{
    for (int y = 0; y < g->h; y++) {
        const uint8_t *from = in->rgb + 3 * (size_t)(g->sy + g->cy + y) * in->W;
        uint8_t *to = out->s.rgb + 3 * ((size_t)(g->y0 + y) * out->s.W + g->x0);
        if (!g->flip) {
            memcpy(to, from + 3 * t->column[0], 3 * (size_t)g->w);
            continue;
        }
        for (int x = 0; x < g->w; x++)
            memcpy(to + 3 * x, from + 3 * t->column[x], 3);
    }
}

/* Nearest neighbour on maps of 1-, 4- and 12-byte elements. */
static void pick_row(size_t size, const void *from, void *to, const int32_t *column, int n)
{
    if (size == 1) {
        const uint8_t *restrict a = from;
        uint8_t *restrict b = to;
        for (int x = 0; x < n; x++)
            b[x] = a[column[x]];
    } else if (size == sizeof(float)) {
        const float *restrict a = from;
        float *restrict b = to;
        for (int x = 0; x < n; x++)
            b[x] = a[column[x]];
    } else {
        const float *restrict a = from;
        float *restrict b = to;
        for (int x = 0; x < n; x++)
            for (int c = 0; c < 3; c++)
                b[3 * x + c] = a[3 * column[x] + c];
    }
}

static void pick(const sak_geometry *g, const sak_sample *in, const tables *t, size_t size,
                 const void *from, void *to, int W)
{
    const bool straight = g->rw == g->sw && !g->flip;
    int before = -1;
    for (int y = 0; y < g->h; y++) {
        const int at = g->sy + nearest(g->cy + y, g->sh, g->rh);
        const char *a = (const char *)from + size * (size_t)at * in->W;
        char *b = (char *)to + size * ((size_t)(g->y0 + y) * W + g->x0);
        if (at == before)
            memcpy(b, b - size * W, size * g->w);
        else if (straight)
            memcpy(b, a + size * t->column[0], size * g->w);
        else
            pick_row(size, a, b, t->column, g->w);
        before = at;
    }
}

static void adjust_depth(const sak_geometry *g, sak_view *v)
{
    const float divisor = (float)g->depth_divisor;
    for (int y = 0; divisor != 1 && y < g->h; y++) {
        float *d = v->s.depth + (size_t)(g->y0 + y) * v->s.W + g->x0;
        for (int x = 0; x < g->w; x++)
            d[x] /= divisor;
    }
}

static void adjust_normals(const sak_geometry *g, sak_view *v)
{
    for (int y = 0; g->flip && y < g->h; y++) {
        float *n = v->s.normals + 3 * ((size_t)(g->y0 + y) * v->s.W + g->x0);
        for (int x = 0; x < g->w; x++)
            n[3 * x] = -n[3 * x];
    }
}

sak_status sak_geometry_apply(const sak_geometry *g, const sak_sample *in, sak_scratch *scratch,
                              sak_view *out, sak_error *err)
{
    tables t;
    SAK_TRY(take_tables(g, scratch, &t, err));
    sak_sample *s = &out->s;
    out->x0 = g->x0, out->y0 = g->y0, out->w = g->w, out->h = g->h;
    if (s->rgb && unscaled(g))
        copy_image(g, in, &t, out);
    else if (s->rgb)
        resize_image(g, in, &t, out);
    const struct {
        const uint8_t *from;
        uint8_t *to;
    } maps[] = {{in->semseg, s->semseg},
                {in->edge, s->edge},
                {in->sal, s->sal},
                {in->parts, s->parts},
                {in->instance, s->instance}};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (maps[i].to)
            pick(g, in, &t, 1, maps[i].from, maps[i].to, s->W);
    if (s->depth) {
        pick(g, in, &t, sizeof(float), in->depth, s->depth, s->W);
        adjust_depth(g, out);
    }
    if (s->normals) {
        pick(g, in, &t, 3 * sizeof(float), in->normals, s->normals, s->W);
        adjust_normals(g, out);
    }
    return SAK_OK;
}

/* Sets n elements to the 1 or 3 bytes of `value`. */
static void fill(uint8_t *p, const uint8_t *value, size_t bytes, size_t n)
{
    if (bytes == 1) {
        memset(p, *value, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        memcpy(p + 3 * i, value, 3);
}

/* Sets every element (of `size` pattern lengths) outside the rectangle to a pattern of bytes. */
static void pad(const sak_view *v, void *map, size_t size, const uint8_t *value, size_t bytes)
{
    if (!map)
        return;
    const size_t W = size * v->s.W, left = size * v->x0, right = size * (v->x0 + v->w);
    uint8_t *p = map;
    fill(p, value, bytes, W * v->y0);
    for (int y = v->y0; y < v->y0 + v->h; y++) {
        fill(p + bytes * (W * y), value, bytes, left);
        fill(p + bytes * (W * y + right), value, bytes, W - right);
    }
    fill(p + bytes * (W * (v->y0 + v->h)), value, bytes, W * (v->s.H - v->y0 - v->h));
}

void sak_geometry_pad(sak_view *v)
{
    if (v->w == v->s.W && v->h == v->s.H)
        return;
    static const uint8_t mean[3] = {124, 116, 104}, ignore = SAK_IGNORE, zero = 0;
    pad(v, v->s.rgb, 1, mean, 3);
    pad(v, v->s.semseg, 1, &ignore, 1);
    pad(v, v->s.edge, 1, &ignore, 1);
    pad(v, v->s.sal, 1, &ignore, 1);
    pad(v, v->s.parts, 1, &ignore, 1);
    pad(v, v->s.instance, 1, &zero, 1);
    pad(v, v->s.depth, sizeof(float), &zero, 1);
    pad(v, v->s.normals, 3 * sizeof(float), &zero, 1);
}

/* Counts in the source: a row that the window shows n times is counted once, with weight n. */
sak_status sak_geometry_fill(const sak_geometry *g, const uint8_t *semseg, int W,
                             sak_scratch *scratch, double *out, sak_error *err)
{
    SAK_TRY(sak_scratch_reserve(scratch, sizeof(int32_t) * (size_t)g->w, err));
    int32_t *const column = scratch->data;
    for (int x = 0; x < g->w; x++)
        column[x] = g->sx + nearest(g->cx + x, g->sw, g->rw);
    int64_t count[256] = {0};
    for (int y = 0, rows; y < g->h; y += rows) {
        const int at = nearest(g->cy + y, g->sh, g->rh);
        for (rows = 1; y + rows < g->h && nearest(g->cy + y + rows, g->sh, g->rh) == at;)
            rows++;
        const uint8_t *row = semseg + (size_t)(g->sy + at) * W;
        uint32_t seen[4][256] = {{0}}; /* four, so that a run of one class waits for no store */
        for (int x = 0; x < g->w; x++)
            seen[x & 3][row[column[x]]]++;
        for (int c = 0; c < 256; c++)
            count[c] += (int64_t)rows * (seen[0][c] + seen[1][c] + seen[2][c] + seen[3][c]);
    }
    int64_t most = 0, total = 0;
    for (int c = 0; c < SAK_IGNORE; c++) {
        total += count[c];
        most = count[c] > most ? count[c] : most;
    }
    *out = total ? (double)most / (double)total : 1;
    return SAK_OK;
}
