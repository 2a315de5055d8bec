/* A restricted reader of Python pickles (protocols 2 to 5): a small stack machine that builds plain
 * values and executes nothing.  What a pickle may name is a fixed table (pickle_globals.c): the
 * functions torch uses to rebuild tensors, storage types, containers, and classes that checkpoints
 * are known to carry along (argparse.Namespace, …), which become values without content.  Any other
 * name, os.system say, ends the reading with a message that gives module, name and byte.
 * Opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py. */
#ifndef SAK_WEIGHTS_PICKLE_H
#define SAK_WEIGHTS_PICKLE_H

#include "base/alloc.h"
#include "weights/stored.h"

#define SAK_PICKLE_BYTES ((size_t)32 << 20)   /* the longest pickle: real ones stay below 10 MB */
#define SAK_PICKLE_MEMORY ((size_t)256 << 20) /* bytes its values may take */

typedef enum sak_pk_kind {
    SAK_PK_NONE,
    SAK_PK_BOOL,  /* i */
    SAK_PK_INT,   /* i */
    SAK_PK_FLOAT, /* f */
    SAK_PK_TEXT,  /* text, length; strings and bytes */
    SAK_PK_TUPLE, /* item, n */
    SAK_PK_LIST,
    SAK_PK_DICT, /* item: key, value, key, value, …; n counts both */
    SAK_PK_GLOBAL,
    SAK_PK_STORAGE,
    SAK_PK_TENSOR,
    SAK_PK_OPAQUE, /* an object of a known harmless class, an integer beyond 64 bits */
} sak_pk_kind;

typedef struct sak_pk_storage {
    const char *key;
    sak_st_dtype dtype;
    int64_t numel;
    int64_t view_at, view_count; /* legacy: a part of it; view_count is -1 for all */
} sak_pk_storage;

typedef struct sak_pk_tensor {
    const sak_pk_storage *storage;
    int64_t offset; /* elements */
    size_t dims;    /* of which the first SAK_MAX_DIMS are kept */
    int64_t size[SAK_MAX_DIMS], stride[SAK_MAX_DIMS];
} sak_pk_tensor;

typedef struct sak_pk_value {
    sak_pk_kind kind;
    union {
        int64_t i;
        double f;
        struct {
            const char *text; /* followed by one 0 byte */
            size_t length;
        };
        struct {
            struct sak_pk_value **item;
            size_t n, cap;
            bool holds_tensors; /* a dict: among its own values */
        };
        const struct sak_pk_global *global;
        const sak_pk_storage *storage;
        const sak_pk_tensor *tensor;
    };
} sak_pk_value;

typedef struct sak_pickle {
    const char *path; /* for messages */
    sak_arena arena;  /* every value dies with it */
    size_t used;      /* bytes taken */
    const sak_pk_storage **storages;
    size_t n_storages, cap_storages;
} sak_pickle;

/* Reads the pickle that begins at byte `begin` of `bytes`; *end is the byte after it.  SAK_EFORMAT
 * names the path and the byte. */
sak_status sak_pickle_load(sak_pickle *p, const void *bytes, size_t size, size_t begin,
                           sak_pk_value **out, size_t *end, sak_error *err);
void sak_pickle_close(sak_pickle *p);

/* The value of a text key of a dict; NULL if absent. */
sak_pk_value *sak_pk_get(const sak_pk_value *dict, const char *key);

/* --- between pickle.c and pickle_globals.c --------------------------------------------------- */

/* Zeroed memory of the pickle's; NULL, with the error set, beyond SAK_PICKLE_MEMORY. */
void *sak_pk_take(sak_pickle *p, size_t bytes, sak_error *err);
sak_pk_value *sak_pk_new(sak_pickle *p, sak_pk_kind kind, sak_error *err);

/* `at` is the byte of the opcode, for messages. */
sak_status sak_pk_find_global(sak_pickle *p, const char *module, const char *name, size_t at,
                              sak_pk_value **out, sak_error *err);
/* What fn(*args) stands for. */
sak_status sak_pk_call(sak_pickle *p, const sak_pk_value *fn, const sak_pk_value *args, size_t at,
                       sak_pk_value **out, sak_error *err);
/* The storage a persistent id stands for. */
sak_status sak_pk_persistent(sak_pickle *p, const sak_pk_value *id, size_t at, sak_pk_value **out,
                             sak_error *err);

#endif
