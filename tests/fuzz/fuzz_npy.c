/* .npy arrays. */
#include "base/alloc.h"
#include "data/npy.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float *v = NULL;
    sak_shape shape;
    sak_error err;
    const sak_status st = sak_npy_parse("fuzz", data, size, &v, &shape, &err);
    if ((st == SAK_OK) != (v != NULL))
        abort();
    sak_free(v);
    return 0;
}
