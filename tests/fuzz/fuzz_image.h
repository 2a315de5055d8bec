/* Pictures through the decoder that their first bytes ask for, in every mode. */
#ifndef SAK_TESTS_FUZZ_IMAGE_H
#define SAK_TESTS_FUZZ_IMAGE_H

#include "base/alloc.h"
#include "data/image.h"
#include "fuzz/fuzz.h"

static inline void fuzz_image(const uint8_t *data, size_t size)
{
    for (int mode = SAK_IMAGE_RGB; mode <= SAK_IMAGE_LABEL; mode++) {
        uint8_t *out = NULL;
        int H = 0, W = 0;
        sak_error err;
        const sak_status st =
            sak_image_parse("fuzz", data, size, (sak_image_mode)mode, &out, &H, &W, &err);
        if ((st == SAK_OK) != (out != NULL))
            abort();
        volatile uint8_t last = 0; /* the whole picture is there */
        if (out)
            last = out[(size_t)H * (size_t)W * (mode == SAK_IMAGE_RGB ? 3 : 1) - 1];
        (void)last;
        sak_free(out);
    }
}

#endif
