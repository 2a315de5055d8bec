/* Shares of what lies somewhere without a list: parts of one fixed random order. */
#ifndef SAK_DATA_SHARE_H
#define SAK_DATA_SHARE_H

#include <stdint.h>

#include "base/status.h"

/* The part [from, to) of a permutation of 0 … n-1 that depends on n alone; adjoining parts are
 * disjoint and together everything.  Names go in order by class more often than not, so the first
 * tenth of them would be no sample of the whole.  *index: `count` of them, release with sak_free.
 * SAK_EINVAL, naming `what`, unless 0 <= from < to <= 1 and the part holds something. */
sak_status sak_share_take(const char *what, int64_t n, double from, double to, int64_t **index,
                          int64_t *count, sak_error *err);

#endif
