/* Floats as stored in fewer bits. */
#include "weights/narrow.h"

#include <assert.h>
#include <string.h>

#include "kernels/half.h"

void sak_st_narrow(sak_st_dtype t, const float *x, int64_t n, void *out)
{
    if (t == SAK_ST_F32) {
        memcpy(out, x, sizeof *x * (size_t)n);
        return;
    }
    assert(t == SAK_ST_F16 || t == SAK_ST_BF16);
    if (t == SAK_ST_F16)
        sak_half_store(n, x, out);
    else
        sak_bfloat_store(n, x, out);
}
