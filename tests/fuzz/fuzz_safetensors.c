/* safetensors files and sharded indexes. */
#include "fuzz/fuzz.h"
#include "weights/index.h"
#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sak_error err;
    sak_weights w;
    if (sak_index_is(data, size)) {
        sak_index x;
        if (sak_index_parse(&x, "fuzz", data, size, &err) == SAK_OK)
            sak_index_close(&x);
    } else if (sak_weights_parse(&w, "fuzz", data, size, NULL, &err) == SAK_OK) {
        fuzz_read_all(&w);
    }
    return 0;
}
