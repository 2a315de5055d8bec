/* A weight file of any kind behind one handle: names, types, shapes and places of its tensors.
 *   safetensors           https://huggingface.co/docs/safetensors
 *   PyTorch, zip          what torch.save writes since 1.6
 *   PyTorch, legacy       what it wrote before: a row of pickles, then the storages
 *   a sharded index       {"weight_map": {tensor: file}} beside its files, of either kind
 *   a folder              that holds an index, or model.safetensors, or pytorch_model.bin
 * The kind is told by the content, never by the name.  Files are mapped; everything they claim is
 * checked on open, so that no tensor of an open file can reach outside it.  Nothing in a file is
 * ever executed. */
#ifndef SAK_WEIGHTS_WEIGHTS_H
#define SAK_WEIGHTS_WEIGHTS_H

#include "base/alloc.h"
#include "base/file.h"
#include "weights/stored.h"

typedef struct sak_weights {
    char *path;
    const char *kind;              /* "safetensors", "pytorch zip", "pytorch legacy" */
    sak_arena arena;               /* names, metadata, lists */
    int64_t count, cap;
    sak_st_tensor *tensors;        /* safetensors: in the order of their bytes; else as listed */
    const sak_st_tensor **by_name; /* sorted */
    int64_t metas;
    const char *(*meta)[2]; /* key, value */
    sak_mapping **maps;     /* the files */
    int n_maps;
} sak_weights;

/* key: which entry of a nested PyTorch checkpoint holds the model, "ema" or "a.b"; NULL picks it
 * as pth.h says.  SAK_EFORMAT names the file, and the tensor where there is one. */
sak_status sak_weights_open(sak_weights *w, const char *path, const char *key, sak_error *err);
void sak_weights_close(sak_weights *w);

/* The same for bytes in memory, which must outlive the handle; an index or folder is refused.
 * `name` stands for the path in messages. */
sak_status sak_weights_parse(sak_weights *w, const char *name, const void *bytes, size_t size,
                             const char *key, sak_error *err);

const sak_st_tensor *sak_weights_find(const sak_weights *w, const char *name); /* or NULL */
const char *sak_weights_meta(const sak_weights *w, const char *key);           /* or NULL */
/* The mapping that holds t's bytes; NULL for bytes in memory. */
sak_mapping *sak_weights_mapping(const sak_weights *w, const sak_st_tensor *t);

/* For the parsers: appends a copy of t; its name is copied into the arena. */
sak_status sak_weights_add(sak_weights *w, const sak_st_tensor *t, sak_error *err);

#endif
