/* PyTorch checkpoints: what torch.save writes, as a zip archive (since 1.6) or, before, as a row of
 * pickles followed by the storages.  Nothing in them is executed (pickle.h).
 *
 * A checkpoint is often more than a state dict: {"model": {…}, "optimizer": {…}, "epoch": 3}.
 * Without a key, the model is the first of these entries that holds tensors, searched again inside
 * it: state_dict, model, module, model_state_dict, teacher, student; failing that, the checkpoint
 * itself where its own values are tensors.  Otherwise the error lists the entries there are. */
#ifndef SAK_WEIGHTS_PTH_H
#define SAK_WEIGHTS_PTH_H

#include <stdbool.h>

#include "weights/weights.h"

bool sak_pth_is_zip(const void *bytes, size_t size);
bool sak_pth_is_legacy(const void *bytes, size_t size);

/* Adds the tensors of the entry `key` ("ema", "a.b"; NULL: as above).  `path` stands in messages and
 * must outlive w.  SAK_EFORMAT for what is damaged, hostile, compressed, big-endian or no model. */
sak_status sak_pth_parse(sak_weights *w, const char *path, const void *bytes, size_t size,
                         const char *key, sak_error *err);

#endif
