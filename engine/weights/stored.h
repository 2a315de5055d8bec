/* Tensors as they are stored in a weight file: element type, shape, strides, and where the bytes
 * lie in the mapped file.  Conversion to the engine's floats happens on the way out. */
#ifndef SAK_WEIGHTS_STORED_H
#define SAK_WEIGHTS_STORED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "tensor/shape.h"

typedef enum sak_st_dtype {
    SAK_ST_F32 = 0,
    SAK_ST_F64,
    SAK_ST_F16,
    SAK_ST_BF16,
    SAK_ST_I64,
    SAK_ST_I32,
    SAK_ST_I16,
    SAK_ST_I8,
    SAK_ST_U64,
    SAK_ST_U32,
    SAK_ST_U16,
    SAK_ST_U8,
    SAK_ST_BOOL,
    SAK_ST_COUNT,
} sak_st_dtype;

const char *sak_st_dtype_name(sak_st_dtype t); /* "F32" …, as safetensors spells it */
size_t sak_st_dtype_size(sak_st_dtype t);      /* bytes of one element */
bool sak_st_dtype_is_float(sak_st_dtype t);
/* False if no type has this name. */
bool sak_st_dtype_find(const char *name, sak_st_dtype *out);

typedef struct sak_st_tensor {
    const char *name, *file; /* file: the one its bytes are in */
    sak_st_dtype dtype;
    sak_shape shape;
    int64_t stride[SAK_MAX_DIMS]; /* elements; never negative */
    int64_t count;                /* elements */
    const void *data; /* the first element; little-endian; not necessarily aligned to its type */
    size_t bytes;     /* from the first element to the end of the last; 0 when there is none */
} sak_st_tensor;

/* Sets shape, count and row-major strides.  SAK_EFORMAT, naming the tensor and its file, for more
 * than SAK_MAX_DIMS dimensions, a negative size, or a product that overflows. */
sak_status sak_st_set_shape(sak_st_tensor *t, const int64_t *dim, size_t n, sak_error *err);

/* Row-major without gaps. */
bool sak_st_is_dense(const sak_st_tensor *t);

/* SAK_EFORMAT, naming tensor and type, unless its elements are floats: what a model learns. */
sak_status sak_st_require_float(const sak_st_tensor *t, sak_error *err);

/* All elements in row-major order, converted; out holds t->count. */
void sak_st_copy_f32(const sak_st_tensor *t, float *out);
void sak_st_copy_f64(const sak_st_tensor *t, double *out);

#endif
