/* Shapes: up to six dimensions, row-major, right-aligned broadcasting as in NumPy. */
#ifndef SAK_TENSOR_SHAPE_H
#define SAK_TENSOR_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define SAK_MAX_DIMS 6
#define SAK_MAX_ELEMENTS (INT64_C(1) << 40) /* 4 TiB of float: sums and byte counts stay in int64_t */

typedef struct sak_shape {
    int n;
    int64_t d[SAK_MAX_DIMS];
} sak_shape;

#define SAK_SHAPE(...)                                                                             \
    ((sak_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

int64_t sak_shape_count(const sak_shape *s);           /* number of elements; 1 for n = 0 */
int64_t sak_shape_rows(const sak_shape *s);            /* count / last dimension */
int64_t sak_shape_last(const sak_shape *s);            /* last dimension; 1 for n = 0 */
bool sak_shape_equal(const sak_shape *a, const sak_shape *b);
/* Equal but for dimensions of size 1: the same elements in the same order. */
bool sak_shape_equal_squeezed(const sak_shape *a, const sak_shape *b);
/* SAK_ESHAPE unless every dimension is at least 1 and the product at most SAK_MAX_ELEMENTS. */
sak_status sak_shape_check(const sak_shape *s, sak_error *err);
/* "(2, 3, 4)"; returns buf. */
const char *sak_shape_text(const sak_shape *s, char *buf, size_t bytes);
#define SAK_SHAPE_TEXT(s) sak_shape_text((s), (char[96]){0}, 96)
sak_status sak_shape_broadcast(const sak_shape *a, const sak_shape *b, sak_shape *out,
                               sak_error *err);
/* axis in [-n, n) to [0, n). */
sak_status sak_shape_axis(const sak_shape *s, int64_t axis, int *out, sak_error *err);

#endif
