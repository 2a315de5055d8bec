/* A weight file written again: other metadata, other element type. */
#ifndef SAK_WEIGHTS_CONVERT_H
#define SAK_WEIGHTS_CONVERT_H

#include "weights/weights.h"

/* Writes the tensors of w to `path` as F32, F16 or BF16, running statistics always as F32.  meta: key,
 * value, …, NULL.  SAK_EFORMAT for a tensor of integers, SAK_EINVAL, naming the tensor, for a finite
 * value that the type cannot hold. */
sak_status sak_weights_convert(const sak_weights *w, const char *path, const char *const *meta,
                               sak_st_dtype type, sak_error *err);

#endif
