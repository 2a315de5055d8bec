/* PNG files: any PNG becomes 8-bit RGB, grey or label pixels; RGB and grey are written. */
#ifndef SAK_DATA_PNG_H
#define SAK_DATA_PNG_H

#include <stdint.h>

#include "base/status.h"

enum { SAK_PNG_MAX_SIDE = 16384, SAK_PNG_MAX_PIXELS = 1 << 26 };

typedef enum sak_png_mode {
    SAK_PNG_RGB,   /* 3 channels; grey is replicated, a palette is looked up */
    SAK_PNG_GREY,  /* 1 channel; colour by ITU-R 601 luma, as PIL's convert("L") */
    SAK_PNG_LABEL, /* 1 channel; the stored value: grey level or palette index (PASCAL VOC).  Colour
                      or 16-bit files are errors, since they would need a guess */
} sak_png_mode;

/* Reads `path` into *out (H*W*3 or H*W bytes, row-major, top row first; release with sak_free).
 * Alpha is dropped, 16 bits are scaled to 8, gamma chunks are ignored.  SAK_ENOENT: no such file;
 * SAK_EIO: it cannot be read; SAK_EFORMAT: not a whole, sound PNG, or larger than the limits above.
 */
sak_status sak_png_read(const char *path, sak_png_mode mode, uint8_t **out, int *H, int *W,
                        sak_error *err);

/* Size only, from the header; nothing is decoded. */
sak_status sak_png_size(const char *path, int *H, int *W, sak_error *err);

/* Writes H*W*channels bytes, channels 1 or 3.  The file appears whole or not at all (written aside,
 * then renamed). */
sak_status sak_png_write(const char *path, const uint8_t *pixels, int H, int W, int channels,
                         sak_error *err);

#endif
