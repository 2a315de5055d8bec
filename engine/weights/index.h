/* Weights in several files: the index that says which tensor is where, and folders.
 * {"metadata": {…}, "weight_map": {"encoder.weight": "model-00001-of-00002.safetensors", …}} */
#ifndef SAK_WEIGHTS_INDEX_H
#define SAK_WEIGHTS_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/alloc.h"

typedef struct sak_index_row {
    const char *tensor;
    int file;
} sak_index_row;

typedef struct sak_index {
    sak_arena arena;
    sak_index_row *rows;
    int64_t n_rows;
    const char **files; /* plain names, each once */
    int n_files;
} sak_index;

bool sak_index_is(const void *bytes, size_t size); /* JSON text */

/* SAK_EFORMAT names `path` and the tensor.  Files are beside the index: no folders in their names. */
sak_status sak_index_parse(sak_index *x, const char *path, const void *bytes, size_t size,
                           sak_error *err);
void sak_index_close(sak_index *x);

/* The file of a folder to open: the one *.index.json (those of safetensors first), else
 * model.safetensors, else pytorch_model.bin.  Writes its path, of at most `room` bytes. */
sak_status sak_index_in_folder(const char *folder, char *out, size_t room, sak_error *err);

#endif
