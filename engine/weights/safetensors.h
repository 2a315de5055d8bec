/* safetensors files: a JSON header that names tensors, then their bytes.
 * Format: https://huggingface.co/docs/safetensors.  Everything in the header is checked on open,
 * so that no tensor of an open file can reach outside it. */
#ifndef SAK_WEIGHTS_SAFETENSORS_H
#define SAK_WEIGHTS_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
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

const char *sak_st_dtype_name(sak_st_dtype t); /* "F32" … */
size_t sak_st_dtype_size(sak_st_dtype t);      /* bytes of one element */

typedef struct sak_st_tensor {
    const char *name;
    sak_st_dtype dtype;
    sak_shape shape;
    int64_t count;    /* elements */
    const void *data; /* little-endian; not necessarily aligned to its type */
    size_t bytes;
} sak_st_tensor;

typedef struct sak_safetensors {
    char *path;
    sak_map map;
    int64_t count;
    const sak_st_tensor *tensors;  /* in the order of their bytes */
    const sak_st_tensor **by_name; /* sorted */
    int64_t metas;
    const char *(*meta)[2]; /* key, value */
    void *json;             /* owns the names */
} sak_safetensors;

/* SAK_EFORMAT names the file, and the tensor where there is one. */
sak_status sak_safetensors_open(sak_safetensors *st, const char *path, sak_error *err);
void sak_safetensors_close(sak_safetensors *st);

const sak_st_tensor *sak_safetensors_find(const sak_safetensors *st,
                                          const char *name);                  /* or NULL */
const char *sak_safetensors_meta(const sak_safetensors *st, const char *key); /* or NULL */

/* All elements, converted; out holds t->count. */
void sak_safetensors_copy_f32(const sak_st_tensor *t, float *out);
void sak_safetensors_copy_f64(const sak_st_tensor *t, double *out);

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
