/* safetensors files: a JSON header that names tensors, then their bytes.
 * Format: https://huggingface.co/docs/safetensors. */
#ifndef SAK_WEIGHTS_SAFETENSORS_H
#define SAK_WEIGHTS_SAFETENSORS_H

#include "weights/weights.h"

/* Adds the tensors and metadata of a file of `size` bytes; `path` stands in messages and must
 * outlive w.  SAK_EFORMAT for anything the format does not allow: a header longer than the file,
 * invalid JSON, a name twice, ranges that overlap, leave gaps or disagree with their shapes. */
sak_status sak_safetensors_parse(sak_weights *w, const char *path, const void *bytes, size_t size,
                                 sak_error *err);

/* What to write: `data` is already of type `dtype`. */
typedef struct sak_st_source {
    const char *name;
    sak_st_dtype dtype;
    sak_shape shape;
    const void *data;
} sak_st_source;

/* Replaces `path` atomically.  meta: key, value, key, value, …, NULL (or NULL).  sorted: widest
 * type first, then by name, as the reference implementation does (keeps every tensor aligned);
 * otherwise in the given order. */
sak_status sak_safetensors_write(const char *path, const sak_st_source *tensors, int64_t n,
                                 const char *const *meta, bool sorted, sak_error *err);

#endif
