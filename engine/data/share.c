/* Parts of one fixed random order. */
#include "data/share.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

sak_status sak_share_take(const char *what, int64_t n, double from, double to, int64_t **index,
                          int64_t *count, sak_error *err)
{
    if (!(from >= 0 && from < to && to <= 1))
        return SAK_FAIL(err, SAK_EINVAL, "%s: the part from %g to %g of its images", what, from,
                        to);
    const int64_t first = llround(from * (double)n), end = llround(to * (double)n);
    if (first == end)
        return SAK_FAIL(err, SAK_EINVAL, "%s: the part from %g to %g of %lld images is empty", what,
                        from, to, (long long)n);
    SAK_TRY(sak_alloc((void **)index, (size_t)n, sizeof **index, err));
    int64_t *const at = *index;
    for (int64_t i = 0; i < n; i++)
        at[i] = i;
    sak_rng r = sak_rng_open(0, SAK_RNG_ORDER, 0, 0);
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = sak_rng_int(&r, i + 1), x = at[i];
        at[i] = at[j];
        at[j] = x;
    }
    memmove(at, at + first, (size_t)(end - first) * sizeof *at);
    *count = end - first;
    return SAK_OK;
}
