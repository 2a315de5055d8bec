/* JPEG files.  Pictures of more than 2^20 pixels are left out: what they cost is time. */
#include "data/jpeg.h"
#include "fuzz/fuzz_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int H = 0, W = 0;
    sak_error err;
    if (size < 2 || data[0] != 0xFF || data[1] != 0xD8)
        return 0;
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "rb");
    if (!file)
        return 0;
    const sak_status st = sak_jpeg_header(file, "fuzz", &H, &W, &err);
    fclose(file);
    if (st != SAK_OK || (int64_t)H * W <= 1 << 20)
        fuzz_image(data, size);
    return 0;
}
