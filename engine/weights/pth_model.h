/* From the values of a checkpoint to the list of its model's tensors. */
#ifndef SAK_WEIGHTS_PTH_MODEL_H
#define SAK_WEIGHTS_PTH_MODEL_H

#include "weights/pickle.h"
#include "weights/weights.h"

typedef struct sak_span {
    const unsigned char *data;
    size_t size;
} sak_span;

/* Where a storage's bytes are. */
typedef sak_status sak_find_storage(void *ctx, const sak_pk_storage *s, sak_span *out,
                                    sak_error *err);

/* Adds every tensor of the entry `key` of `root`, or of the one that pth.h's rule picks.  Sizes,
 * strides and offsets are checked against the storage. */
sak_status sak_pth_list(sak_weights *w, const char *path, const sak_pk_value *root, const char *key,
                        sak_find_storage *find, void *ctx, sak_error *err);

#endif
