/* Parameters: named tensors in one slab, with gradient and optimiser moments as parallel ranges.
 * Several graphs (training, evaluation) share one set; names follow timm / the published checkpoints. */
#ifndef SAK_GRAPH_PARAMS_H
#define SAK_GRAPH_PARAMS_H

#include <stdbool.h>

#include "base/alloc.h"
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
} sak_param;

typedef struct sak_params {
    sak_arena arena;
    sak_param *list;
    int n, cap;
    int64_t total; /* elements of a slab, padding included */
    uint64_t seed;
    sak_real *value, *grad, *m, *v; /* value after seal; the others when training needs them */
} sak_params;

void sak_params_open(sak_params *p, uint64_t seed);
void sak_params_close(sak_params *p);

/* Index of the named parameter, -1 if absent. */
int sak_params_find(const sak_params *p, const char *name);

/* Adds a parameter, or finds the existing one and checks that its shape agrees. */
sak_status sak_params_add(sak_params *p, const char *name, const sak_shape *shape, sak_init init,
                          bool buffer, int *index, sak_error *err);

/* Allocates and initialises the values; afterwards no parameter can be added.  Idempotent.
 * Initial values depend on (seed, name, element) only. */
sak_status sak_params_seal(sak_params *p, sak_error *err);
sak_status sak_params_need_grad(sak_params *p, sak_error *err);
sak_status sak_params_need_moments(sak_params *p, sak_error *err);

/* dst = momentum * dst + (1 - momentum) * src for every name they share (an EMA teacher). */
void sak_params_ema(sak_params *dst, const sak_params *src, double momentum);

#endif
