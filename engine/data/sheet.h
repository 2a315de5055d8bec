/* Drawing sheets: a canvas of captioned tiles, and colourisers that turn labels or predictions into
 * RGB tiles. */
#ifndef SAK_DATA_SHEET_H
#define SAK_DATA_SHEET_H

#include <stdint.h>

#include "base/status.h"
#include "data/loader.h"

typedef struct sak_sheet {
    int rows, cols, tile_h, tile_w; /* tile size as drawn, captions excluded */
    int H, W;                       /* of the canvas */
    uint8_t *rgb;                   /* H*W*3 */
} sak_sheet;

/* rows x cols tiles of tile_h x tile_w pixels, each below one line of text. */
sak_status sak_sheet_open(sak_sheet *s, int rows, int cols, int tile_h, int tile_w, sak_error *err);
void sak_sheet_close(sak_sheet *s);
/* Draws an H x W picture in the middle of the tile, as large as it fits in its own proportions (nearest),
 * with a caption cut to the tile's width. */
void sak_sheet_tile(sak_sheet *s, int row, int col, const uint8_t *rgb, int H, int W,
                    const char *caption);
/* ASCII in a 5x7 font (6x8 cell), clipped to the canvas and to max_w pixels; others become '?'. */
void sak_sheet_text(sak_sheet *s, int x, int y, int max_w, const char *text, uint32_t colour);
sak_status sak_sheet_write(const sak_sheet *s, const char *path, sak_error *err);

/* Colourisers: n pixels into rgb (n*3).  255 (SAK_IGNORE) is drawn dark violet-grey. */
void sak_colour_labels(const uint8_t *label, int64_t n,
                       uint8_t *rgb); /* PASCAL VOC palette; 0 black */
void sak_colour_mask(const uint8_t *mask, int64_t n,
                     uint8_t *rgb); /* 0 black, 1 white: edge, saliency */
void sak_colour_unit(const float *x, int64_t n, uint8_t *rgb);      /* grey; 0 … 1, clamped */
void sak_colour_normals(const float *xyz, int64_t n, uint8_t *rgb); /* (n + 1) / 2; 0,0,0 black */
/* Near is yellow, far is violet (viridis); near >= far takes the range from the data.  Values that
 * are not positive and finite are black. */
void sak_colour_depth(const float *depth, int64_t n, float near, float far, uint8_t *rgb);

/* A contact sheet of a dataset: one row per sample (first, first + stride, …), one column per
 * modality.  With `augment` (may be NULL) as the loader would give them to a training step. */
typedef struct sak_sheet_rows {
    int64_t first, stride;
    int rows;
    const sak_augment *augment;
    uint64_t seed;
} sak_sheet_rows;
sak_status sak_sheet_samples(const sak_dataset *d, const sak_sheet_rows *which, const char *path,
                             sak_error *err);

#endif
