/* PNG files, as they are and with every chunk's CRC made right, so that what libpng and we do with a
 * chunk's contents is reached too.  Pictures of more than 2^20 pixels are left out: what they cost is
 * time. */
#include <zlib.h>

#include "fuzz/fuzz_image.h"

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 0xFF && data[1] == 0xD8)
        return 0;
    if (size >= 24) {
        const uint64_t W = big_endian(data + 16), H = big_endian(data + 20);
        if (W < 1 << 14 && H < 1 << 14 && W * H > 1 << 20)
            return 0;
    }
    fuzz_image(data, size);
    uint8_t *right = malloc(size ? size : 1);
    if (!right)
        return 0;
    if (size)
        memcpy(right, data, size);
    for (size_t at = 8; at + 12 <= size;) {
        const uint64_t n = big_endian(right + at);
        if (n > size - at - 12)
            break;
        const uint32_t crc = (uint32_t)crc32(0, right + at + 4, (uInt)n + 4);
        for (int i = 0; i < 4; i++)
            right[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += 12 + n;
    }
    if (size && memcmp(right, data, size) != 0)
        fuzz_image(right, size);
    free(right);
    return 0;
}
