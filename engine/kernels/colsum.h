/* Sums over the rows of a matrix: gradients of biases. */
#ifndef SAK_KERNELS_COLSUM_H
#define SAK_KERNELS_COLSUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/real.h"

/* Elements of scratch that sak_column_sums needs. */
int64_t sak_column_sums_scratch(int64_t rows, int64_t n);
/* out[j] = sum_i x[i, j], or added to out; x (rows, n).  Chunks of rows in parallel, combined in
 * chunk order. */
void sak_column_sums(int64_t rows, int64_t n, const sak_real *x, sak_real *out, bool acc,
                     sak_real *scratch);
/* out[j] = sum_i parts[i, j], in order of i, or added to out; columns in parallel. */
void sak_combine(int64_t parts, int64_t n, const sak_real *part, sak_real *out, bool acc);

#endif
