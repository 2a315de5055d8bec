/* What fuzz targets share.  A target is one file, fuzz_<parser>.c, that defines
 * LLVMFuzzerTestOneInput; its seeds and the inputs that once failed are in corpus/<parser>/.
 * scripts/fuzz <parser> runs it under libFuzzer; in every ordinary build the test
 * fuzz_replay_<parser> feeds it its corpus. */
#ifndef SAK_TESTS_FUZZ_H
#define SAK_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "weights/weights.h"

/* 0 always; what is wrong ends the process (sanitizers, abort). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads every tensor of an open handle through both conversions. */
static inline void fuzz_read_all(sak_weights *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        const sak_st_tensor *t = &w->tensors[i];
        if (!sak_weights_find(w, t->name))
            abort();
        if (t->count > 1 << 16)
            continue;
        double *out = malloc(sizeof *out * (size_t)(t->count + 1));
        if (!out)
            continue;
        sak_st_copy_f64(t, out);
        sak_st_copy_f32(t, (float *)(void *)out);
        free(out);
    }
    sak_weights_close(w);
}

#endif
