/* JPEG files, baseline and progressive: grey, colour, CMYK and YCCK. */
#ifndef SAK_DATA_JPEG_H
#define SAK_DATA_JPEG_H

#include <stdio.h>

#include "data/image.h"

/* As sak_image_read, of an open file; `name` is for messages.  The file stays the caller's. */
sak_status sak_jpeg_decode(FILE *file, const char *name, sak_image_mode mode, uint8_t **out, int *H,
                           int *W, sak_error *err);
sak_status sak_jpeg_header(FILE *file, const char *name, int *H, int *W, sak_error *err);

#endif
