/* Optimisers: one fused pass over the parameter slab. */
#ifndef SAK_TRAIN_OPTIM_H
#define SAK_TRAIN_OPTIM_H

#include "graph/params.h"

typedef enum sak_optim_kind { SAK_ADAMW, SAK_ADAM, SAK_SGD } sak_optim_kind;

typedef struct sak_optim {
    sak_optim_kind kind;
    double beta1, beta2, eps, momentum, weight_decay;
    int64_t step;        /* updates done: bias correction counts from 1 */
    double *partial;     /* per-chunk sums of squares, combined in chunk order */
    int64_t partials;
} sak_optim;

/* Defaults of PyTorch: betas 0.9/0.999, eps 1e-8, momentum 0.9. */
sak_status sak_optim_open(sak_optim *o, sak_optim_kind kind, sak_params *p, sak_error *err);
void sak_optim_close(sak_optim *o);

/* Global L2 norm of all gradients (before clipping). */
double sak_optim_grad_norm(sak_optim *o, const sak_params *p);

/* One update of every trainable parameter that has a gradient.  clip > 0 scales the gradients by
 * min(1, clip / (norm + 1e-6)).  AdamW: decoupled decay (Loshchilov & Hutter, ICLR 2019); Adam and
 * SGD add the decay to the gradient.  Weight decay applies to every parameter. */
void sak_optim_step(sak_optim *o, sak_params *p, double lr, double clip, double norm);

#endif
