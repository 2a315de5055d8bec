/* Parameters: named tensors in one slab, with optimiser moments as parallel ranges; the values of a
 * frozen model may instead be borrowed from the mapped file they are stored in.  Gradients lie in the
 * memory of the graph that computes them.
 * Several graphs (training, evaluation) share one set; names follow timm / the published checkpoints. */
#ifndef SAK_GRAPH_PARAMS_H
#define SAK_GRAPH_PARAMS_H

#include <stdbool.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/real.h"
#include "tensor/shape.h"

typedef enum sak_init_kind {
    SAK_INIT_ZEROS,
    SAK_INIT_CONSTANT,     /* a */
    SAK_INIT_NORMAL,       /* std a */
    SAK_INIT_TRUNC_NORMAL, /* std a, cut at 2 std */
    SAK_INIT_UNIFORM,      /* [-a, a] */
} sak_init_kind;

typedef struct sak_init {
    sak_init_kind kind;
    double a;
} sak_init;

typedef struct sak_param {
    char *name;
    sak_shape shape;
    int64_t offset, count; /* elements, in every slab */
    sak_init init;
    bool buffer;    /* running statistics: saved and loaded, never optimised */
    bool trainable; /* false = frozen */
    bool has_grad;  /* some training graph writes its gradient */
    bool given;     /* its value was loaded: not initialised */
    const sak_real *borrowed; /* where its value is read instead of the slab; NULL: in the slab */
    sak_real *grad; /* of the latest backward pass, until that graph's next step; NULL: none */
} sak_param;

typedef struct sak_params {
    sak_arena arena;
    sak_param *list;
    int n, cap;
    int64_t total; /* elements of a slab, padding included */
    uint64_t seed;
    bool sealed;
    sak_real *value, *m, *v; /* the slabs; m and v when training needs them */
    sak_mapping **kept; /* files that values are borrowed from */
    int n_kept;
} sak_params;

void sak_params_open(sak_params *p, uint64_t seed);
void sak_params_close(sak_params *p);

/* Index of the named parameter, -1 if absent. */
int sak_params_find(const sak_params *p, const char *name);

/* Adds a parameter, or finds the existing one and checks that its shape agrees. */
sak_status sak_params_add(sak_params *p, const char *name, const sak_shape *shape, sak_init init,
                          bool buffer, int *index, sak_error *err);

/* Allocates the values and initialises those not given; afterwards no parameter can be added and none
 * changes its place.  Idempotent.  Initial values depend on (seed, name, element) only. */
sak_status sak_params_seal(sak_params *p, sak_error *err);
sak_status sak_params_need_moments(sak_params *p, sak_error *err);

/* A graph's memory goes: the parameter's gradient too, if it is this one. */
void sak_params_forget_grad(sak_params *p, int i, const sak_real *grad);

/* SAK_EIO if a file that parameters are read from was written meanwhile. */
sak_status sak_params_check_files(const sak_params *p, sak_error *err);

/* Where the value of parameter i is, for reading; NULL before it was given or the set sealed. */
const sak_real *sak_params_value(const sak_params *p, int i);
/* Where the value of parameter i is written: it counts as given.  SAK_EINVAL if a sealed set borrows
 * it from a file. */
sak_status sak_params_write(sak_params *p, int i, sak_real **out, sak_error *err);
/* Likewise, holding the value it has: what was borrowed is copied. */
sak_status sak_params_change(sak_params *p, int i, sak_real **out, sak_error *err);
/* Reads the value of parameter i where it lies in a mapped file, in place of a copy.  *done is false,
 * and nothing happens, where that cannot be: a trainable parameter or a buffer, a sealed set, data not
 * aligned to sak_real. */
sak_status sak_params_borrow(sak_params *p, int i, const void *data, sak_mapping *file, bool *done,
                             sak_error *err);
/* A frozen parameter never has its value written by training.  SAK_EINVAL for one that is to be
 * trained and borrowed by a sealed set. */
sak_status sak_params_set_trainable(sak_params *p, int i, bool trainable, sak_error *err);

/* dst = momentum * dst + (1 - momentum) * src for every name they share (an EMA teacher). */
sak_status sak_params_ema(sak_params *dst, const sak_params *src, double momentum, sak_error *err);

#endif
