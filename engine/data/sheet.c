/* Contact sheets: tiles, captions and colourisers. */
#include "data/sheet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/png.h"
#include "data/sheet_font.h"

enum { TEXT_H = 10, GAP = 2, CELL = 6 };

sak_status sak_sheet_open(sak_sheet *s, int rows, int cols, int tile_h, int tile_w, sak_error *err)
{
    *s = (sak_sheet){0};
    const int64_t H = (int64_t)rows * ((int64_t)tile_h + TEXT_H + GAP),
                  W = (int64_t)cols * ((int64_t)tile_w + GAP);
    if (rows < 1 || cols < 1 || tile_h < 1 || tile_w < 1 || H > SAK_IMAGE_MAX_SIDE ||
        W > SAK_IMAGE_MAX_SIDE)
        return SAK_FAIL(err, SAK_EINVAL,
                        "sheet: %d x %d tiles of %dx%d pixels do not fit a PNG of side %d", rows,
                        cols, tile_h, tile_w, SAK_IMAGE_MAX_SIDE);
    SAK_TRY(sak_alloc((void **)&s->rgb, (size_t)H * (size_t)W, 3, err));
    s->rows = rows;
    s->cols = cols;
    s->tile_h = tile_h;
    s->tile_w = tile_w;
    s->H = (int)H;
    s->W = (int)W;
    memset(s->rgb, 24, (size_t)H * (size_t)W * 3);
    return SAK_OK;
}

void sak_sheet_close(sak_sheet *s)
{
    sak_free(s->rgb);
    *s = (sak_sheet){0};
}

void sak_sheet_text(sak_sheet *s, int x, int y, int max_w, const char *text, uint32_t colour)
{
    const int end = x + max_w < s->W ? x + max_w : s->W;
    for (int k = 0; text[k] && x + CELL * (k + 1) <= end + 1; k++) {
        const unsigned char ch = (unsigned char)text[k];
        const uint8_t *glyph = sheet_font[ch >= 32 && ch < 127 ? ch - 32 : '?' - 32];
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 8; j++) {
                const int px = x + CELL * k + i, py = y + j;
                if (!(glyph[i] >> j & 1) || px < 0 || py < 0 || px >= end || py >= s->H)
                    continue;
                uint8_t *p = s->rgb + 3 * ((size_t)py * (size_t)s->W + (size_t)px);
                p[0] = (uint8_t)(colour >> 16);
                p[1] = (uint8_t)(colour >> 8);
                p[2] = (uint8_t)colour;
            }
    }
}

/* The other side of a picture, one side of which fills `room` pixels. */
static int fitted(int room, int other, int own)
{
    const int64_t n = ((int64_t)room * other + own / 2) / own;
    return n < 1 ? 1 : (int)n;
}

void sak_sheet_tile(sak_sheet *s, int row, int col, const uint8_t *rgb, int H, int W,
                    const char *caption)
{
    const bool flat = (int64_t)H * s->tile_w < (int64_t)W * s->tile_h; /* flatter than the tile */
    const int h = flat ? fitted(s->tile_w, H, W) : s->tile_h, w = flat ? s->tile_w : fitted(s->tile_h, W, H);
    const int left = col * (s->tile_w + GAP), top = row * (s->tile_h + TEXT_H + GAP);
    const int x0 = left + (s->tile_w - w) / 2, y0 = top + TEXT_H + (s->tile_h - h) / 2;
    if (caption)
        sak_sheet_text(s, left + 1, top + 1, s->tile_w - 1, caption, 0xE0E0E0);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const size_t from = (size_t)(y * (int64_t)H / h) * (size_t)W + (size_t)(x * (int64_t)W / w);
            const size_t to = (size_t)(y0 + y) * (size_t)s->W + (size_t)(x0 + x);
            memcpy(s->rgb + 3 * to, rgb + 3 * from, 3);
        }
}

sak_status sak_sheet_write(const sak_sheet *s, const char *path, sak_error *err)
{
    return sak_png_write(path, s->rgb, s->H, s->W, 3, err);
}

/* --- colourisers ------------------------------------------------------------------------------ */

static void put(uint8_t *rgb, int64_t i, unsigned r, unsigned g, unsigned b)
{
    rgb[3 * i] = (uint8_t)r;
    rgb[3 * i + 1] = (uint8_t)g;
    rgb[3 * i + 2] = (uint8_t)b;
}

static void put_ignored(uint8_t *rgb, int64_t i)
{
    put(rgb, i, 60, 40, 70);
}

/* The PASCAL VOC colour map: bits of the class, three at a time, from the top of each channel. */
void sak_colour_labels(const uint8_t *label, int64_t n, uint8_t *rgb)
{
    for (int64_t i = 0; i < n; i++) {
        unsigned c = label[i], v[3] = {0, 0, 0};
        for (int bit = 7; c; bit--, c >>= 3)
            for (int k = 0; k < 3; k++)
                v[k] |= (c >> k & 1) << bit;
        if (label[i] == SAK_IGNORE)
            put_ignored(rgb, i);
        else
            put(rgb, i, v[0], v[1], v[2]);
    }
}

void sak_colour_mask(const uint8_t *mask, int64_t n, uint8_t *rgb)
{
    for (int64_t i = 0; i < n; i++) {
        const unsigned v = mask[i] ? 255 : 0;
        if (mask[i] == SAK_IGNORE)
            put_ignored(rgb, i);
        else
            put(rgb, i, v, v, v);
    }
}

static unsigned byte(float x) /* 0 … 1; NaN becomes 0 */
{
    return x > 0.0f ? x < 1.0f ? (unsigned)(x * 255.0f + 0.5f) : 255u : 0u;
}

void sak_colour_unit(const float *x, int64_t n, uint8_t *rgb)
{
    for (int64_t i = 0; i < n; i++)
        put(rgb, i, byte(x[i]), byte(x[i]), byte(x[i]));
}

void sak_colour_normals(const float *xyz, int64_t n, uint8_t *rgb)
{
    for (int64_t i = 0; i < n; i++) {
        const float *v = xyz + 3 * i;
        if (v[0] == 0.0f && v[1] == 0.0f && v[2] == 0.0f)
            put(rgb, i, 0, 0, 0);
        else
            put(rgb, i, byte(0.5f * v[0] + 0.5f), byte(0.5f * v[1] + 0.5f),
                byte(0.5f * v[2] + 0.5f));
    }
}

/* Viridis at nine equal steps (van der Walt & Smith, matplotlib; CC0). */
static const uint8_t viridis[9][3] = {{68, 1, 84},    {72, 40, 120},  {62, 74, 137},
                                      {49, 104, 142}, {38, 130, 142}, {31, 158, 137},
                                      {53, 183, 121}, {110, 206, 88}, {253, 231, 37}};

void sak_colour_depth(const float *depth, int64_t n, float near, float far, uint8_t *rgb)
{
    if (!(near < far)) {
        near = INFINITY;
        far = 0.0f;
        for (int64_t i = 0; i < n; i++)
            if (depth[i] > 0.0f && isfinite(depth[i])) {
                near = fminf(near, depth[i]);
                far = fmaxf(far, depth[i]);
            }
    }
    const float scale = far > near ? 8.0f / (far - near) : 0.0f;
    for (int64_t i = 0; i < n; i++) {
        if (!(depth[i] > 0.0f) || !isfinite(depth[i])) {
            put(rgb, i, 0, 0, 0);
            continue;
        }
        const float x = fminf(fmaxf((far - depth[i]) * scale, 0.0f), 7.999f), f = x - (float)(int)x;
        const uint8_t *a = viridis[(int)x], *b = viridis[(int)x + 1];
        unsigned c[3];
        for (int k = 0; k < 3; k++)
            c[k] = (unsigned)((float)a[k] + f * ((float)b[k] - (float)a[k]) + 0.5f);
        put(rgb, i, c[0], c[1], c[2]);
    }
}

/* --- the contact sheet ---------------------------------------------------------------------- */

static const struct column {
    unsigned flag;
    const char *name;
} columns[] = {{SAK_HAS_IMAGE, "image"}, {SAK_HAS_SEMSEG, "semseg"},
               {SAK_HAS_DEPTH, "depth"}, {SAK_HAS_NORMALS, "normals"},
               {SAK_HAS_EDGE, "edge"},   {SAK_HAS_SAL, "saliency"},
               {SAK_HAS_PARTS, "parts"}, {SAK_HAS_INSTANCE, "instance"}};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void paint(const sak_sample *x, unsigned flag, uint8_t *rgb)
{
    const int64_t n = (int64_t)x->H * x->W;
    switch (flag) {
    case SAK_HAS_IMAGE:
        memcpy(rgb, x->rgb, (size_t)n * 3);
        break;
    case SAK_HAS_SEMSEG:
        sak_colour_labels(x->semseg, n, rgb);
        break;
    case SAK_HAS_DEPTH:
        sak_colour_depth(x->depth, n, 0, 0, rgb);
        break;
    case SAK_HAS_NORMALS:
        sak_colour_normals(x->normals, n, rgb);
        break;
    case SAK_HAS_EDGE:
        sak_colour_mask(x->edge, n, rgb);
        break;
    case SAK_HAS_SAL:
        sak_colour_mask(x->sal, n, rgb);
        break;
    case SAK_HAS_PARTS:
        sak_colour_labels(x->parts, n, rgb);
        break;
    default:
        sak_colour_labels(x->instance, n, rgb);
        break;
    }
}

/* What the loss ignores is drawn as missing. */
static void hide_ignored(sak_sample *x)
{
    const int64_t n = (int64_t)x->H * x->W;
    for (int64_t i = 0; x->depth && i < n; i++)
        if (x->depth[i] == SAK_IGNORE)
            x->depth[i] = 0;
    for (int64_t i = 0; x->normals && i < 3 * n; i++)
        if (x->normals[i] == SAK_IGNORE)
            x->normals[i] = 0;
}

/* The sample of a row, in *view if it is augmented. */
static sak_status get_row(const sak_dataset *d, const sak_sheet_rows *which, int64_t index,
                          sak_sample *raw, sak_sample *view, const sak_sample **x, sak_error *err)
{
    SAK_TRY(d->read(d, index, raw, err));
    *x = raw;
    if (!which->augment)
        return SAK_OK;
    SAK_TRY(sak_augment_sample(which->augment, which->seed, 0, index, 0, raw, view, err));
    hide_ignored(view);
    *x = view;
    return SAK_OK;
}

static sak_status draw_row(const sak_dataset *d, const sak_sample *x, sak_sheet *s, int row,
                           sak_error *err)
{
    uint8_t *rgb;
    SAK_TRY(sak_alloc((void **)&rgb, (size_t)x->H * (size_t)x->W, 3, err));
    for (int k = 0, col = 0; k < COLUMNS; k++) {
        if (!(d->has & columns[k].flag))
            continue;
        char caption[128];
        float lo = INFINITY, hi = 0.0f;
        for (int64_t i = 0; columns[k].flag == SAK_HAS_DEPTH && i < (int64_t)x->H * x->W; i++)
            if (x->depth[i] > 0.0f) {
                lo = fminf(lo, x->depth[i]);
                hi = fmaxf(hi, x->depth[i]);
            }
        if (hi > 0.0f)
            snprintf(caption, sizeof caption, "%.1f-%.1f m", (double)lo, (double)hi);
        else
            snprintf(caption, sizeof caption, "%s", col || !x->id[0] ? columns[k].name : x->id);
        paint(x, columns[k].flag, rgb);
        sak_sheet_tile(s, row, col++, rgb, x->H, x->W, caption);
    }
    sak_free(rgb);
    return SAK_OK;
}

sak_status sak_sheet_samples(const sak_dataset *d, const sak_sheet_rows *which, const char *path,
                             sak_error *err)
{
    const int64_t first = which->first, last = first + (which->rows - 1) * which->stride;
    if (first < 0 || which->rows < 1 || which->stride < 1 || last >= d->count)
        return SAK_FAIL(err, SAK_EINVAL, "sheet: samples %lld … %lld of %lld", (long long)first,
                        (long long)last, (long long)d->count);
    int cols = 0;
    for (int k = 0; k < COLUMNS; k++)
        cols += (d->has & columns[k].flag) != 0;
    if (!cols)
        return SAK_FAIL(err, SAK_EINVAL, "sheet: %s has nothing to draw", d->name);
    /* Small pictures are enlarged by whole pixels to be looked at; mixed sizes share a 3:4 tile. */
    const int H = which->augment ? which->augment->H : d->H, W = which->augment ? which->augment->W : d->W;
    const int zoom = H ? H < 120 ? 120 / H + (120 % H > 0) : 1 : 1;
    sak_sheet s;
    SAK_TRY(sak_sheet_open(&s, which->rows, cols, H ? H * zoom : 192, W ? W * zoom : 256, err));
    sak_sample raw = {0}, view = {0};
    sak_status st = SAK_OK;
    for (int i = 0; i < which->rows && st == SAK_OK; i++) {
        const sak_sample *x;
        st = get_row(d, which, first + i * which->stride, &raw, &view, &x, err);
        if (st == SAK_OK)
            st = draw_row(d, x, &s, i, err);
    }
    if (st == SAK_OK)
        st = sak_sheet_write(&s, path, err);
    sak_sample_close(&raw);
    sak_sample_close(&view);
    sak_sheet_close(&s);
    return st;
}
