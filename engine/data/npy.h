/* NumPy .npy files, versions 1 to 3: real numbers and integers, little-endian, C or Fortran order.
 */
#ifndef SAK_DATA_NPY_H
#define SAK_DATA_NPY_H

#include "base/status.h"
#include "tensor/shape.h"

/* Reads an array as float, in C order whatever the file's; release *out with sak_free.
 * SAK_EFORMAT names the file: not .npy, another element type, a size that does not fit the file. */
sak_status sak_npy_read(const char *path, float **out, sak_shape *shape, sak_error *err);
/* The same of `size` bytes in memory; `name` is for messages. */
sak_status sak_npy_parse(const char *name, const void *data, size_t size, float **out,
                         sak_shape *shape, sak_error *err);

/* Writes an array of floats as version 1.0, little-endian, in C order.  The file appears whole or not
 * at all. */
sak_status sak_npy_write(const char *path, const float *v, const sak_shape *shape, sak_error *err);

#endif
