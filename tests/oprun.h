/* Runs one op row alone: buffers of the right size, poisoned outputs, random inputs. */
#ifndef SAK_TESTS_OPRUN_H
#define SAK_TESTS_OPRUN_H

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/rng.h"
#include "ops/op.h"

typedef struct oprun {
    const sak_op *op;
    sak_attrs attrs;
    sak_opshape s;
    sak_opcall c;
    sak_real *x[SAK_MAX_IN], *dx[SAK_MAX_IN], *dy;
    int64_t save, shared, each;
} oprun;

static inline sak_real *oprun_take(int64_t n)
{
    void *p = NULL;
    sak_error err;
    assert_int_equal(sak_alloc(&p, (size_t)(n > 0 ? n : 1), sizeof(sak_real), &err), SAK_OK);
    for (int64_t i = 0; i < n; i++)
        ((sak_real *)p)[i] = (sak_real)NAN;
    return p;
}

static inline void oprun_fill(sak_real *p, int64_t n, uint32_t which)
{
    sak_rng rng = sak_rng_open(17, SAK_RNG_TEST, 0, which);
    for (int64_t i = 0; i < n; i++)
        p[i] = (sak_real)sak_rng_normal(&rng);
}

static inline oprun oprun_of(const char *name)
{
    oprun r = {.op = sak_op_find(name)};
    assert_non_null(r.op);
    sak_op_defaults(r.op, &r.attrs);
    return r;
}

static inline void oprun_attr(oprun *r, const char *name, double v)
{
    const int i = sak_op_attr(r->op, name);
    assert_true(i >= 0);
    r->attrs.v[i] = v;
}

static inline void oprun_in(oprun *r, sak_shape shape)
{
    r->s.x[r->s.n_in++] = shape;
}

/* Buffers for `threads` workers; inputs and dy random.  The run must not move afterwards. */
static inline void oprun_open(oprun *r, int threads)
{
    sak_error err = {0};
    r->s.op = r->op;
    r->s.attr = &r->attrs;
    r->s.training = true;
    if (r->op->shape(&r->s, &err) != SAK_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(sak_pool_open(threads, &err), SAK_OK);
    const sak_scratch need = r->op->scratch ? r->op->scratch(&r->s) : (sak_scratch){0};
    r->save = r->op->save ? r->op->save(&r->s) : 0;
    r->shared = need.shared;
    r->each = (need.each + 15) / 16 * 16;
    r->c = (sak_opcall){.s = &r->s, .each_stride = r->each};
    r->c.save = oprun_take(r->save);
    r->c.shared = oprun_take(r->shared);
    r->c.each = oprun_take(r->each * threads);
    const int64_t n = sak_shape_count(&r->s.y);
    r->c.y = oprun_take(n);
    r->dy = oprun_take(n);
    r->c.dy = r->dy;
    oprun_fill(r->dy, n, 99);
    for (int i = 0; i < r->s.n_in; i++) {
        const int64_t m = sak_shape_count(&r->s.x[i]);
        r->x[i] = oprun_take(m);
        r->c.x[i] = r->x[i];
        r->dx[i] = oprun_take(m);
        oprun_fill(r->x[i], m, (uint32_t)i);
        if (!(r->op->no_grad >> i & 1))
            r->c.dx[i] = r->dx[i];
    }
}

static inline void oprun_forward(oprun *r)
{
    r->op->forward(&r->c);
}

static inline void oprun_backward(oprun *r)
{
    r->op->backward(&r->c);
}

static inline void oprun_close(oprun *r)
{
    sak_free(r->c.save);
    sak_free(r->c.shared);
    sak_free(r->c.each);
    sak_free(r->c.y);
    sak_free(r->dy);
    for (int i = 0; i < r->s.n_in; i++) {
        sak_free(r->x[i]);
        sak_free(r->dx[i]);
    }
    sak_pool_close();
}

/* |got - want| <= tol * (1 + |want|) for the k-th of some values. */
static inline void oprun_near(const char *what, int64_t k, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol * (1 + fabs(want))))
        fail_msg("%s: element %lld is %.9g, not %.9g", what, (long long)k, got, want);
}

static inline void oprun_same_bits(const char *what, const sak_real *a, const sak_real *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: element %lld is %.9g here and %.9g there", what, (long long)i,
                     (double)a[i], (double)b[i]);
}

/* Runs `make`'s op with 1, 2 and 4 threads and demands the same bits of y and every dx. */
static inline void oprun_any_threads(oprun (*make)(void))
{
    oprun a = make();
    oprun_open(&a, 1);
    oprun_forward(&a);
    oprun_backward(&a);
    for (int threads = 2; threads <= 4; threads += 2) {
        oprun b = make();
        oprun_open(&b, threads);
        oprun_forward(&b);
        oprun_backward(&b);
        oprun_same_bits(a.op->name, a.c.y, b.c.y, sak_shape_count(&a.s.y));
        for (int i = 0; i < a.s.n_in; i++)
            if (a.c.dx[i])
                oprun_same_bits(a.op->name, a.dx[i], b.dx[i], sak_shape_count(&a.s.x[i]));
        oprun_close(&b);
    }
    oprun_close(&a);
}

#endif
