/* PNG files.  Pictures of more than 2^20 pixels are left out: what they cost is time. */
#include "fuzz/fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 2 && data[0] == 0xFF && data[1] == 0xD8)
        return 0;
    if (size >= 24) {
        const uint64_t W = (uint64_t)data[16] << 24 | data[17] << 16 | data[18] << 8 | data[19];
        const uint64_t H = (uint64_t)data[20] << 24 | data[21] << 16 | data[22] << 8 | data[23];
        if (W < 1 << 14 && H < 1 << 14 && W * H > 1 << 20)
            return 0;
    }
    fuzz_image(data, size);
    return 0;
}
