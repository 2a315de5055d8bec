/* NumPy .npy files, versions 1 to 3: float32, float64 and uint8, C and Fortran order. */
#ifndef SAK_DATA_NPY_H
#define SAK_DATA_NPY_H

#include "base/status.h"
#include "tensor/shape.h"

/* Reads an array as float, in C order whatever the file's; release *out with sak_free.
 * SAK_EFORMAT names the file: not .npy, another element type, a size that does not fit the file. */
sak_status sak_npy_read(const char *path, float **out, sak_shape *shape, sak_error *err);

#endif
