/* AdamW, Adam and SGD over the parameter slab, and the global gradient norm. */
#include "train/optim.h"

#include <math.h>
#include <stdlib.h>

#include "base/pool.h"
#include "kernels/simd.h"

enum { CHUNK = 32768 }; /* elements: fits L2 with its gradient and moments */

/* Work is listed per parameter, cut into chunks: chunk c of the whole pass is found by walking the
 * list, so boundaries depend on the parameters only. */
typedef struct job {
    sak_optim *o;
    sak_params *p;
    double lr;
    sak_real scale; /* of the gradients, by clipping */
} job;

static bool updated(const sak_param *q)
{
    return q->trainable && q->grad;
}

static int64_t chunks_of(const sak_param *q)
{
    return sak_chunks(q->count, CHUNK);
}

sak_status sak_optim_open(sak_optim *o, sak_optim_kind kind, sak_params *p, sak_error *err)
{
    *o = (sak_optim){.kind = kind, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .momentum = 0.9};
    SAK_TRY(sak_params_need_moments(p, err));
    for (int i = 0; i < p->n; i++)
        o->partials += chunks_of(&p->list[i]);
    o->partial = calloc((size_t)o->partials + 1, sizeof *o->partial);
    return o->partial ? SAK_OK : SAK_FAIL(err, SAK_ENOMEM, "out of memory for the optimiser");
}

void sak_optim_close(sak_optim *o)
{
    free(o->partial);
    *o = (sak_optim){0};
}

static void norm_param(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const job *j = ctx;
    int64_t c = 0;
    for (int i = 0; i < j->p->n; i++) {
        const sak_param *q = &j->p->list[i];
        const int64_t n = chunks_of(q);
        for (int64_t k = c < begin ? begin - c : 0; k < n && c + k < end; k++) {
            const int64_t at = k * CHUNK, left = q->count - at, size = left < CHUNK ? left : CHUNK;
            const sak_real *g = q->grad + at;
            double sum = 0;
            for (int64_t e = 0; updated(q) && e < size; e += 256) {
                const int64_t m = size - e < 256 ? size - e : 256;
                sum += (double)sak_simd_table()->dot(m, g + e, g + e);
            }
            j->o->partial[c + k] = sum;
        }
        c += n;
        if (c >= end)
            break;
    }
}

double sak_optim_grad_norm(sak_optim *o, const sak_params *p)
{
    job j = {.o = o, .p = (sak_params *)p};
    sak_parallel_for(o->partials, 32, norm_param, &j);
    double sum = 0;
    for (int64_t i = 0; i < o->partials; i++)
        sum += o->partial[i];
    return sqrt(sum);
}

static void sgd(const job *j, int64_t n, sak_real *x, const sak_real *g, sak_real *v)
{
    const sak_real mu = (sak_real)j->o->momentum, wd = (sak_real)j->o->weight_decay;
    const sak_real lr = (sak_real)j->lr;
    for (int64_t i = 0; i < n; i++) {
        const sak_real d = g[i] * j->scale + wd * x[i];
        v[i] = j->o->step == 1 ? d : mu * v[i] + d;
        x[i] -= lr * v[i];
    }
}

static void update(const job *j, const sak_param *q, int64_t at, int64_t n)
{
    const sak_optim *o = j->o;
    const int64_t off = q->offset + at;
    sak_real *x = j->p->value + off, *m = j->p->m + off, *v = j->p->v + off;
    const sak_real *g = q->grad + at;
    if (o->kind == SAK_SGD) {
        sgd(j, n, x, g, v);
        return;
    }
    sak_simd_table()->adamw(n, x, g, m, v, j->scale, (sak_real)j->lr, (sak_real)o->beta1,
                            (sak_real)o->beta2, (sak_real)o->eps, (sak_real)o->weight_decay,
                            (sak_real)(1 - pow(o->beta1, (double)o->step)),
                            (sak_real)(1 - pow(o->beta2, (double)o->step)), o->kind == SAK_ADAMW);
}

static void update_chunks(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk;
    (void)worker;
    const job *j = ctx;
    int64_t c = 0;
    for (int i = 0; i < j->p->n && c < end; i++) {
        const sak_param *q = &j->p->list[i];
        const int64_t n = chunks_of(q);
        for (int64_t k = c < begin ? begin - c : 0; k < n && c + k < end; k++) {
            const int64_t at = k * CHUNK, left = q->count - at;
            if (updated(q))
                update(j, q, at, left < CHUNK ? left : CHUNK);
        }
        c += n;
    }
}

void sak_optim_step(sak_optim *o, sak_params *p, double lr, double clip, double norm)
{
    o->step++;
    job j = {.o = o, .p = p, .lr = lr, .scale = 1};
    if (clip > 0 && clip / (norm + 1e-6) < 1)
        j.scale = (sak_real)(clip / (norm + 1e-6));
    sak_parallel_for(o->partials, 32, update_chunks, &j);
}
