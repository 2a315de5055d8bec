/* Pictures: PNG or JPEG, told apart by their first bytes and never by their names, so that a JPEG
 * called .png is read as what it is. */
#ifndef SAK_DATA_IMAGE_H
#define SAK_DATA_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SAK_IMAGE_MAX_SIDE = 16384, SAK_IMAGE_MAX_PIXELS = 1 << 26 };

typedef enum sak_image_mode {
    SAK_IMAGE_RGB,   /* 3 channels; grey is replicated, a palette is looked up */
    SAK_IMAGE_GREY,  /* 1 channel; colour by ITU-R 601 luma, as PIL's convert("L") */
    SAK_IMAGE_LABEL, /* 1 channel; the stored value: grey level or palette index (PASCAL VOC).
                        Colour or 16-bit files are errors, since they would need a guess, and so are
                        JPEGs, which do not keep values */
} sak_image_mode;

/* Reads `path` into *out (H*W*3 or H*W bytes, row-major, top row first; release with sak_free).
 * Alpha is dropped; gamma, profiles and orientation tags are ignored, as PIL does.  SAK_ENOENT: no
 * such file; SAK_EIO: it cannot be read; SAK_EFORMAT: neither PNG nor JPEG, not whole and sound, or
 * larger than the limits above. */
sak_status sak_image_read(const char *path, sak_image_mode mode, uint8_t **out, int *H, int *W,
                          sak_error *err);
/* The same of `size` bytes in memory; `name` is for messages. */
sak_status sak_image_parse(const char *name, const void *data, size_t size, sak_image_mode mode,
                           uint8_t **out, int *H, int *W, sak_error *err);
/* Size only, from the header; nothing is decoded. */
sak_status sak_image_size(const char *path, int *H, int *W, sak_error *err);

/* The limits, for decoders. */
sak_status sak_image_check_size(const char *name, int64_t H, int64_t W, sak_error *err);
/* raw (1 or 3 bytes a pixel) -> out (3 or 1): replicated, or PIL's integer luma. */
void sak_image_convert(const uint8_t *raw, size_t n, uint8_t *out, int channels);

#endif
