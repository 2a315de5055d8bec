/* PyTorch checkpoints, both containers: with the model picked by the rule, and by a key. */
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {NULL, "model_ema"};
    for (int i = 0; i < 2; i++) {
        sak_error err;
        sak_weights w;
        if (sak_weights_parse(&w, "fuzz", data, size, keys[i], &err) == SAK_OK)
            fuzz_read_all(&w);
    }
    return 0;
}
