/* PNG files: read as pixels or as 16-bit values; RGB and grey are written. */
#ifndef SAK_DATA_PNG_H
#define SAK_DATA_PNG_H

#include <stdio.h>

#include "data/image.h"

/* As sak_image_read, of an open file; `name` is for messages.  16 bits are scaled to 8.  The file
 * stays the caller's. */
sak_status sak_png_decode(FILE *file, const char *name, sak_image_mode mode, uint8_t **out, int *H,
                          int *W, sak_error *err);
sak_status sak_png_header(FILE *file, const char *name, int *H, int *W, sak_error *err);

/* The values of a grey PNG of up to 16 bits, unscaled: depth in some unit, large label numbers. */
sak_status sak_png_read_values(const char *path, uint16_t **out, int *H, int *W, sak_error *err);

/* Writes H*W*channels bytes, channels 1 or 3.  The file appears whole or not at all (written aside,
 * then renamed). */
sak_status sak_png_write(const char *path, const uint8_t *pixels, int H, int W, int channels,
                         sak_error *err);

#endif
