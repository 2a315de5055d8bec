/* Checkpoint files: all that a training run needs to go on, as a safetensors file whose metadata
 * hold the state in words and a checksum of everything.
 *
 * Written behind the caller's back: save copies the tensors and returns, a thread of its own adds
 * up, writes, syncs and renames.  A crash, a full disk or a kill leaves the file that was there. */
#ifndef SAK_WEIGHTS_CHECKPOINT_H
#define SAK_WEIGHTS_CHECKPOINT_H

#include "weights/safetensors.h"

enum { SAK_CHECKPOINT_VERSION = 1 };

typedef struct sak_checkpointer sak_checkpointer;

/* What became of a file. */
typedef struct sak_checkpoint_result {
    const char *path; /* valid until the next save */
    size_t bytes;     /* of the tensors */
    double seconds;   /* from save to the end, behind the caller's back */
    sak_status status;
    sak_error error;
} sak_checkpoint_result;

sak_status sak_checkpointer_open(sak_checkpointer **out, sak_error *err);
void sak_checkpointer_close(sak_checkpointer *c); /* waits; NULL is fine */

/* Begins to write `path`; state is UTF-8 text of the caller's.  An earlier file that is still being
 * written is waited for, and its result lost unless it has been asked for.  Fails only where there
 * is no memory for the copy; what happens to the file, wait and poll say. */
sak_status sak_checkpointer_save(sak_checkpointer *c, const char *path, const char *state,
                                 const sak_st_source *tensors, int64_t n, sak_error *err);
bool sak_checkpointer_busy(const sak_checkpointer *c);
/* The result of the latest save, once; false when there is none, or none yet.  wait: until it is. */
bool sak_checkpointer_result(sak_checkpointer *c, bool wait, sak_checkpoint_result *out);

/* Opens a checkpoint as a weight file.  *state is valid as long as w is.  SAK_EFORMAT names the file
 * and says whether it is damaged, of another version, or no checkpoint at all. */
sak_status sak_checkpoint_open(sak_weights *w, const char *path, const char **state, sak_error *err);

#endif
