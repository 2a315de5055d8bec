/* The gradient check: one function that tries to refute an op row.
 *
 * gradcheck_row() runs every case string of a row with several seeds, in training and evaluation:
 *   - y must be written completely and nothing beyond it (poisoned memory, guard words);
 *   - inputs must stay as they were, except those named in `mutates`, in training;
 *   - the same call gives the same y;
 *   - backward sees only what `keep` names (all else is NULL), poisoned scratch and dx, and must
 *     equal central differences of <dy, y> for a random dy, norm-wise and element by element;
 *   - with acc it must add to what is there; asked for one dx alone it must give the same.
 *
 * Cases (see op.h): "x=2x3x4 weight=5x4; axis=-1".  Inputs come in the row's order.  After a shape:
 *   :int(a,b)  integers a … b-1, about one in eight replaced by 255 (ignore)
 *   :id(a,b)   integers a … b-1        :in(a,b)  uniform in [a, b)
 *   :pos       uniform in [0.1, 2)     :01       0 or 1
 *   :unit      last axis of norm 1     :prob     last axis positive with sum 1
 *   :distinct  all values at least 0.01 apart (for max, sort, top-k)
 * Attributes: numbers, true/false, a choice by name, dims as 2x3.
 *
 * Include once per test program, on the double core. */
#ifndef SAK_TESTS_GRADCHECK_H
#define SAK_TESTS_GRADCHECK_H

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/rng.h"
#include "ops/op.h"

#define GRADCHECK_REL 1e-6   /* relative, norm-wise and per element */
#define GRADCHECK_FLOOR 2e-8 /* absolute, per element, times (1 + largest gradient) */
#define GRADCHECK_GUARD 16
#define GRADCHECK_MAGIC ((sak_real)-7654321.125)

/* ---- failures ---------------------------------------------------------------------------------- */

typedef struct gradcheck {
    const sak_op *op;
    const char *text; /* the case */
    int seed;
    bool training, quiet;
    int failures;
    unsigned kept_unread; /* keep bits that no run needed so far */
} gradcheck;

static char gradcheck_now[256]; /* what runs, for the crash message */

__attribute__((format(printf, 2, 3))) static void gradcheck_fail(gradcheck *g, const char *fmt, ...)
{
    if (g->failures++ >= 3 || g->quiet)
        return;
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    fprintf(stderr, "gradcheck: %s [%s] seed %d, %s: %s\n", g->op->name, g->text ? g->text : "",
            g->seed, g->training ? "training" : "evaluation", msg);
}

/* A wrong `keep` ends in a NULL dereference: say whose. */
static void gradcheck_crash(int sig)
{
    static const char head[] = "gradcheck: crash (a wrong keep? NULL is passed for what it does "
                               "not name) in ";
    ssize_t n = write(2, head, sizeof head - 1);
    n += write(2, gradcheck_now, strlen(gradcheck_now));
    n += write(2, "\n", 1);
    (void)n;
    signal(sig, SIG_DFL);
    raise(sig);
}

/* ---- guarded buffers --------------------------------------------------------------------------- */

typedef struct gradcheck_buf {
    sak_real *base, *p;
    int64_t n;
} gradcheck_buf;

static void gradcheck_poison(gradcheck_buf *b)
{
    for (int64_t i = 0; i < b->n; i++)
        b->p[i] = (sak_real)NAN;
}

static gradcheck_buf gradcheck_take(int64_t n)
{
    gradcheck_buf b = {.n = n};
    void *p = NULL;
    sak_error err;
    if (n < 0 || sak_alloc(&p, (size_t)n + 2 * GRADCHECK_GUARD, sizeof(sak_real), &err) != SAK_OK) {
        fprintf(stderr, "gradcheck: no memory for %lld elements (%s)\n", (long long)n,
                gradcheck_now);
        exit(99);
    }
    b.base = p;
    b.p = b.base + GRADCHECK_GUARD;
    for (int i = 0; i < GRADCHECK_GUARD; i++)
        b.base[i] = b.p[n + i] = GRADCHECK_MAGIC;
    gradcheck_poison(&b);
    return b;
}

static bool gradcheck_intact(const gradcheck_buf *b)
{
    for (int i = 0; b->base && i < GRADCHECK_GUARD; i++)
        if (b->base[i] != GRADCHECK_MAGIC || b->p[b->n + i] != GRADCHECK_MAGIC)
            return false;
    return true;
}

static void gradcheck_drop(gradcheck_buf *b)
{
    sak_free(b->base);
    *b = (gradcheck_buf){0};
}

/* ---- case strings ------------------------------------------------------------------------------ */

typedef struct gradcheck_input {
    sak_shape shape;
    char how[16];
    double a, b;
} gradcheck_input;

static bool gradcheck_dims(const char **at, sak_shape *s)
{
    s->n = 0;
    for (;;) {
        char *end = NULL;
        const long long v = strtoll(*at, &end, 10);
        if (end == *at || s->n == SAK_MAX_DIMS)
            return false;
        s->d[s->n++] = v;
        *at = end;
        if (**at != 'x')
            return true;
        ++*at;
    }
}

static void gradcheck_skip(const char **at)
{
    while (**at == ' ')
        ++*at;
}

static bool gradcheck_word(const char **at, char *word, size_t bytes)
{
    size_t n = 0;
    for (; isalnum((unsigned char)**at) || **at == '_'; ++*at)
        if (n + 1 < bytes)
            word[n++] = **at;
    word[n] = 0;
    return n > 0;
}

/* Name of input i as the row tells it, without `?`; false beyond the list. */
static bool gradcheck_input_name(const sak_op *op, int i, char *name, size_t bytes, bool *rest)
{
    const char *at = op->inputs ? op->inputs : "";
    *rest = false;
    for (int k = 0;; k++) {
        gradcheck_skip(&at);
        if (!gradcheck_word(&at, name, bytes))
            return false;
        *rest = strncmp(at, "\xe2\x80\xa6", 3) == 0 || strncmp(at, "...", 3) == 0;
        if (k == i || *rest)
            return true;
        while (*at && *at != ' ')
            at++;
    }
}

static bool gradcheck_parse_inputs(gradcheck *g, const char **at, gradcheck_input *in, int *n_in)
{
    *n_in = 0;
    for (gradcheck_skip(at); **at && **at != ';'; gradcheck_skip(at)) {
        char name[64], want[64];
        bool rest = false;
        gradcheck_input *x = &in[*n_in];
        *x = (gradcheck_input){0};
        if (*n_in == SAK_MAX_IN || !gradcheck_word(at, name, sizeof name) || *(*at)++ != '=' ||
            !gradcheck_dims(at, &x->shape)) {
            gradcheck_fail(g, "cannot read the case near \"%s\"", *at);
            return false;
        }
        if (!gradcheck_input_name(g->op, *n_in, want, sizeof want, &rest) ||
            (!rest && strcmp(want, name) != 0)) {
            gradcheck_fail(g, "input %d of the case is \"%s\" but the row's inputs are \"%s\"",
                           *n_in, name, g->op->inputs ? g->op->inputs : "");
            return false;
        }
        if (**at == ':') {
            ++*at;
            gradcheck_word(at, x->how, sizeof x->how);
            if (**at == '(') {
                char *end = NULL;
                x->a = strtod(*at + 1, &end);
                x->b = *end == ',' ? strtod(end + 1, &end) : 0;
                *at = end + (*end == ')');
            }
        }
        ++*n_in;
    }
    return true;
}

static bool gradcheck_choice(const char *choices, const char *word, double *v)
{
    int k = 0;
    for (const char *c = choices; c; k++) {
        const char *bar = strchr(c, '|');
        const size_t n = bar ? (size_t)(bar - c) : strlen(c);
        if (strlen(word) == n && strncmp(c, word, n) == 0) {
            *v = k;
            return true;
        }
        c = bar ? bar + 1 : NULL;
    }
    return false;
}

static bool gradcheck_parse_attrs(gradcheck *g, const char *at, sak_attrs *attrs)
{
    sak_op_defaults(g->op, attrs);
    unsigned given = 0;
    if (*at == ';')
        at++;
    for (gradcheck_skip(&at); *at; gradcheck_skip(&at)) {
        char name[64], word[64];
        if (!gradcheck_word(&at, name, sizeof name) || *at++ != '=') {
            gradcheck_fail(g, "cannot read the attributes near \"%s\"", at);
            return false;
        }
        const int i = sak_op_attr(g->op, name);
        if (i < 0) {
            gradcheck_fail(g, "the row has no attribute \"%s\"", name);
            return false;
        }
        given |= 1u << i;
        const sak_attr_spec *spec = &g->op->attrs[i];
        bool ok = true;
        if (spec->type == SAK_ATTR_DIMS) {
            ok = gradcheck_dims(&at, &attrs->dims);
        } else {
            size_t n = 0;
            while (*at && *at != ' ' && n + 1 < sizeof word)
                word[n++] = *at++;
            word[n] = 0;
            char *end = NULL;
            if (spec->type == SAK_ATTR_CHOICE)
                ok = gradcheck_choice(spec->choices, word, &attrs->v[i]);
            else if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
                attrs->v[i] = word[0] == 't';
            else
                attrs->v[i] = strtod(word, &end), ok = end && !*end && end != word;
        }
        if (!ok || (*at && *at != ' ')) {
            gradcheck_fail(g, "cannot read the value of attribute \"%s\"", name);
            return false;
        }
    }
    for (int i = 0; g->op->attrs && g->op->attrs[i].type != SAK_ATTR_END; i++)
        if (g->op->attrs[i].required && !(given & (1u << i))) {
            gradcheck_fail(g, "the case lacks the required attribute \"%s\"", g->op->attrs[i].name);
            return false;
        }
    return true;
}

/* ---- drawing inputs ---------------------------------------------------------------------------- */

static bool gradcheck_draw(gradcheck *g, const gradcheck_input *in, gradcheck_buf *b, sak_rng *rng)
{
    const bool plain = g->op->domain.lo == 0 && g->op->domain.hi == 0;
    const double lo = plain ? -2 : g->op->domain.lo, hi = plain ? 2 : g->op->domain.hi;
    const char *how = in->how;
    const int64_t last = sak_shape_last(&in->shape);
    for (int64_t i = 0; i < b->n; i++) {
        double v = sak_rng_range(rng, lo, hi);
        if (strcmp(how, "int") == 0 || strcmp(how, "id") == 0) {
            v = in->a + (double)sak_rng_int(rng, (int64_t)(in->b - in->a));
            if (how[1] == 'n' && i > 0 && sak_rng_int(rng, 8) == 0)
                v = 255;
        } else if (strcmp(how, "in") == 0) {
            v = sak_rng_range(rng, in->a, in->b);
        } else if (strcmp(how, "pos") == 0) {
            v = sak_rng_range(rng, 0.1, 2);
        } else if (strcmp(how, "01") == 0) {
            v = (double)sak_rng_int(rng, 2);
        } else if (strcmp(how, "prob") == 0) {
            v = sak_rng_range(rng, 0.1, 1);
        } else if (strcmp(how, "distinct") == 0) {
            v = 0.02 * (double)i + sak_rng_range(rng, 0, 0.009);
        } else if (how[0] && strcmp(how, "unit") != 0) {
            gradcheck_fail(g, "unknown kind of input \":%s\"", how);
            return false;
        }
        b->p[i] = (sak_real)v;
    }
    if (strcmp(how, "distinct") == 0)
        for (int64_t i = b->n - 1; i > 0; i--) {
            const int64_t j = sak_rng_int(rng, i + 1);
            const sak_real t = b->p[i];
            b->p[i] = b->p[j];
            b->p[j] = t;
        }
    if (strcmp(how, "unit") == 0 || strcmp(how, "prob") == 0)
        for (int64_t r = 0; r + last <= b->n; r += last) {
            double sum = 0;
            for (int64_t i = 0; i < last; i++)
                sum += how[0] == 'u' ? (double)b->p[r + i] * (double)b->p[r + i] : (double)b->p[r + i];
            const double by = how[0] == 'u' ? sqrt(sum) : sum;
            for (int64_t i = 0; i < last; i++)
                b->p[r + i] = (sak_real)((double)b->p[r + i] / by);
        }
    return true;
}

/* ---- one case ---------------------------------------------------------------------------------- */

typedef struct gradcheck_run {
    gradcheck *g;
    sak_opshape s;
    sak_attrs attrs;
    gradcheck_buf x[SAK_MAX_IN], x0[SAK_MAX_IN]; /* as passed, as drawn */
    gradcheck_buf y, save, shared, each, dy;
    gradcheck_buf dx[SAK_MAX_IN], first[SAK_MAX_IN]; /* this call's, the reference call's */
    gradcheck_buf plus, minus;
    sak_opcall c;
    bool over; /* a dx lies where something is that the call reads: not poisoned */
} gradcheck_run;

static bool gradcheck_is_kept(const sak_op *op, int i)
{
    return op->keep & SAK_KEEP_X(i);
}

static bool gradcheck_wants(const sak_op *op, int i)
{
    return !(op->no_grad & (1u << i));
}

static bool gradcheck_same(const sak_real *a, const sak_real *b, int64_t n)
{
    return n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static void gradcheck_forward(gradcheck_run *r, sak_real *y)
{
    for (int i = 0; i < r->s.n_in; i++)
        if (r->g->op->mutates & (1u << i))
            memcpy(r->x[i].p, r->x0[i].p, (size_t)r->x[i].n * sizeof(sak_real));
    sak_opcall c = r->c;
    gradcheck_poison(&r->save);
    gradcheck_poison(&r->shared);
    gradcheck_poison(&r->each);
    for (int i = 0; i < r->s.n_in; i++)
        c.x[i] = r->x[i].p;
    c.y = y;
    r->g->op->forward(&c);
}

/* mask: which dx are asked for; prefilled is NULL or the value each dx holds before. */
static void gradcheck_backward(gradcheck_run *r, unsigned mask, const double *prefilled)
{
    const sak_op *op = r->g->op;
    sak_opcall c = r->c;
    gradcheck_poison(&r->shared);
    gradcheck_poison(&r->each);
    for (int i = 0; i < r->s.n_in; i++) {
        c.x[i] = gradcheck_is_kept(op, i) ? r->x[i].p : NULL;
        if (!(mask & (1u << i)))
            continue;
        if (!r->over)
            gradcheck_poison(&r->dx[i]);
        for (int64_t k = 0; prefilled && k < r->dx[i].n; k++)
            r->dx[i].p[k] = (sak_real)(*prefilled + 0.25 * (double)(k % 7));
        c.dx[i] = r->dx[i].p;
        c.acc[i] = prefilled != NULL;
    }
    c.y = op->keep & SAK_KEEP_Y ? r->y.p : NULL;
    c.dy = r->dy.p;
    op->backward(&c);
}

static void gradcheck_guards(gradcheck_run *r, const char *when)
{
    const struct {
        const char *name;
        const gradcheck_buf *b;
    } all[] = {{"y", &r->y},       {"save", &r->save}, {"scratch.shared", &r->shared},
               {"scratch.each", &r->each}, {"dy", &r->dy}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (!gradcheck_intact(all[k].b))
            gradcheck_fail(r->g, "%s wrote outside %s (%lld elements)", when, all[k].name,
                           (long long)all[k].b->n);
    for (int i = 0; i < r->s.n_in; i++) {
        if (!gradcheck_intact(&r->x[i]))
            gradcheck_fail(r->g, "%s wrote outside x%d", when, i);
        if (!gradcheck_intact(&r->dx[i]))
            gradcheck_fail(r->g, "%s wrote outside dx%d", when, i);
        const bool may = r->s.training && (r->g->op->mutates & (1u << i));
        if (!may && !gradcheck_same(r->x[i].p, r->x0[i].p, r->x[i].n))
            gradcheck_fail(r->g, "%s changed input %d%s", when, i,
                           r->g->op->mutates & (1u << i) ? " in evaluation" : "");
    }
}

/* d<dy, y>/dx[i][k] by central differences with step h. */
static double gradcheck_difference(gradcheck_run *r, int i, int64_t k, double h)
{
    const sak_real at = r->x[i].p[k];
    const sak_real hi = (sak_real)((double)at + h), lo = (sak_real)((double)at - h);
    r->x[i].p[k] = r->x0[i].p[k] = hi;
    gradcheck_forward(r, r->plus.p);
    r->x[i].p[k] = r->x0[i].p[k] = lo;
    gradcheck_forward(r, r->minus.p);
    r->x[i].p[k] = r->x0[i].p[k] = at;
    long double sum = 0;
    for (int64_t j = 0; j < r->dy.n; j++)
        sum += (long double)r->dy.p[j] * ((long double)r->plus.p[j] - (long double)r->minus.p[j]);
    return (double)(sum / ((long double)hi - (long double)lo));
}

static void gradcheck_compare(gradcheck_run *r, int i)
{
    const int64_t n = r->first[i].n;
    const sak_real *got = r->first[i].p;
    double top = 0, norm = 0, apart = 0;
    for (int64_t k = 0; k < n; k++)
        top = fmax(top, fabs((double)got[k]));
    for (int64_t k = 0; k < n; k++) {
        if (r->g->quiet && r->g->failures)
            return;
        /* A step may straddle a kink, or be too small for a steep function: a wrong gradient
         * agrees with none of the three. */
        static const double steps[] = {1e-5, 1e-6, 2e-4};
        double best = INFINITY, want = 0;
        for (int t = 0; t < 3; t++) {
            const double d = gradcheck_difference(r, i, k, steps[t]);
            if (fabs(d - (double)got[k]) < best) {
                best = fabs(d - (double)got[k]);
                want = d;
            }
            if (best <= 0.1 * GRADCHECK_REL * fabs(want) + 0.1 * GRADCHECK_FLOOR)
                break;
        }
        norm += want * want;
        apart += best * best;
        if (!(best <= GRADCHECK_REL * fabs(want) + GRADCHECK_FLOOR * (1 + top)))
            gradcheck_fail(r->g, "dx%d[%lld]: backward says %.12g, differences say %.12g", i,
                           (long long)k, (double)got[k], want);
    }
    if (!(sqrt(apart) <= GRADCHECK_REL * sqrt(norm) + GRADCHECK_FLOOR))
        gradcheck_fail(r->g, "dx%d: |backward - differences| = %.3g of %.3g", i, sqrt(apart),
                       sqrt(norm));
}

static void gradcheck_matches(gradcheck_run *r, int i, double offset, const char *when)
{
    double top = 1;
    for (int64_t k = 0; k < r->dx[i].n; k++)
        top = fmax(top, fabs((double)r->first[i].p[k]));
    for (int64_t k = 0; k < r->dx[i].n; k++) {
        const double base = offset != 0 ? offset + 0.25 * (double)(k % 7) : 0;
        const double want = base + (double)r->first[i].p[k], got = (double)r->dx[i].p[k];
        if (!(fabs(got - want) <= 1e-11 * (top + fabs(base)))) {
            gradcheck_fail(r->g, "dx%d[%lld] %s is %.12g, not %.12g", i, (long long)k, when, got,
                           want);
            return;
        }
    }
}

/* Which kept tensors does backward really read?  Poison one and see whether a bit changes. */
static void gradcheck_unread(gradcheck_run *r, unsigned mask)
{
    const unsigned ask = r->g->kept_unread;
    for (int i = 0; i <= r->s.n_in; i++) {
        const bool is_y = i == r->s.n_in;
        const unsigned bit = is_y ? SAK_KEEP_Y : SAK_KEEP_X(i);
        if (!(ask & bit) || (!is_y && !gradcheck_wants(r->g->op, i)))
            continue;
        gradcheck_buf *b = is_y ? &r->y : &r->x[i];
        gradcheck_buf old = gradcheck_take(b->n);
        memcpy(old.p, b->p, (size_t)b->n * sizeof(sak_real));
        gradcheck_poison(b);
        gradcheck_backward(r, mask, NULL);
        memcpy(b->p, old.p, (size_t)b->n * sizeof(sak_real));
        gradcheck_drop(&old);
        for (int k = 0; k < r->s.n_in; k++)
            if ((mask & (1u << k)) && !gradcheck_same(r->dx[k].p, r->first[k].p, r->dx[k].n))
                r->g->kept_unread &= ~bit;
    }
}

/* With dx[i] in the memory of dy or of x[i], where the row allows it: the bits of one of its own. */
static void gradcheck_over(gradcheck_run *r, unsigned mask, int i, gradcheck_buf *b, const char *when)
{
    gradcheck_buf old = gradcheck_take(b->n), own = r->dx[i];
    memcpy(old.p, b->p, (size_t)b->n * sizeof(sak_real));
    r->dx[i] = *b;
    r->over = true;
    gradcheck_backward(r, mask, NULL);
    r->over = false;
    for (int k = 0; k < r->s.n_in; k++)
        if ((mask & (1u << k)) && !gradcheck_same(r->dx[k].p, r->first[k].p, r->dx[k].n))
            gradcheck_fail(r->g, "dx%d differs with dx%d %s", k, i, when);
    memcpy(b->p, old.p, (size_t)b->n * sizeof(sak_real));
    r->dx[i] = own;
    gradcheck_drop(&old);
}

static void gradcheck_gradients(gradcheck_run *r)
{
    const sak_op *op = r->g->op;
    unsigned mask = 0;
    for (int i = 0; i < r->s.n_in; i++)
        if (gradcheck_wants(op, i))
            mask |= 1u << i;
    gradcheck_backward(r, mask, NULL);
    gradcheck_guards(r, "backward");
    for (int i = 0; i < r->s.n_in; i++) {
        if (!(mask & (1u << i)))
            continue;
        for (int64_t k = 0; k < r->dx[i].n; k++)
            if (!isfinite((double)r->dx[i].p[k])) {
                gradcheck_fail(r->g, "backward left dx%d[%lld] unwritten or not finite", i,
                               (long long)k);
                return;
            }
        memcpy(r->first[i].p, r->dx[i].p, (size_t)r->dx[i].n * sizeof(sak_real));
    }
    gradcheck_unread(r, mask);
    for (int i = 0; i < r->s.n_in; i++) {
        if ((op->over_dy & mask) >> i & 1 && sak_shape_equal(&r->s.x[i], &r->s.y))
            gradcheck_over(r, mask, i, &r->dy, "in the memory of dy");
        if ((op->over_x & mask) >> i & 1)
            gradcheck_over(r, mask, i, &r->x[i], "in the memory of its x");
    }
    const double offset = 3.5;
    gradcheck_backward(r, mask, &offset);
    for (int i = 0; i < r->s.n_in; i++)
        if (mask & (1u << i))
            gradcheck_matches(r, i, offset, "with acc");
    for (int i = 0; i < r->s.n_in; i++)
        if (mask & (1u << i)) {
            gradcheck_backward(r, 1u << i, NULL);
            gradcheck_matches(r, i, 0, "asked for alone");
            gradcheck_backward(r, 1u << i, &offset);
            gradcheck_matches(r, i, offset, "asked for alone, with acc,");
        }
    gradcheck_guards(r, "backward with acc or a subset");
    if (r->g->quiet && r->g->failures)
        return;
    /* last: these run forward again and overwrite save */
    for (int i = 0; i < r->s.n_in; i++)
        if (mask & (1u << i))
            gradcheck_compare(r, i);
}

static void gradcheck_values(gradcheck_run *r)
{
    const sak_op *op = r->g->op;
    gradcheck_forward(r, r->y.p);
    gradcheck_guards(r, "forward");
    for (int64_t k = 0; k < r->y.n; k++)
        if (!isfinite((double)r->y.p[k])) {
            gradcheck_fail(r->g, "forward left y[%lld] unwritten or not finite", (long long)k);
            return;
        }
    gradcheck_forward(r, r->plus.p);
    if (!gradcheck_same(r->y.p, r->plus.p, r->y.n)) {
        gradcheck_fail(r->g, "the same call gave a different y");
        return;
    }
    if (op->backward)
        gradcheck_gradients(r);
}

static void gradcheck_case(gradcheck *g, const char *text)
{
    gradcheck_input in[SAK_MAX_IN];
    const char *at = text;
    gradcheck_run *r = calloc(1, sizeof *r);
    if (!r)
        exit(99);
    g->text = text;
    r->g = g;
    r->s = (sak_opshape){.op = g->op, .attr = &r->attrs, .training = g->training};
    snprintf(gradcheck_now, sizeof gradcheck_now, "%s [%s]", g->op->name, text);
    const int max_in = g->op->max_in ? g->op->max_in : g->op->n_in;
    sak_error err = {0};
    if (!gradcheck_parse_inputs(g, &at, in, &r->s.n_in) ||
        !gradcheck_parse_attrs(g, at, &r->attrs))
        goto done;
    if (r->s.n_in < g->op->n_in || r->s.n_in > max_in) {
        gradcheck_fail(g, "%d inputs, but the row takes %d to %d", r->s.n_in, g->op->n_in, max_in);
        goto done;
    }
    for (int i = 0; i < r->s.n_in; i++)
        r->s.x[i] = in[i].shape;
    if (g->op->shape(&r->s, &err) != SAK_OK) {
        gradcheck_fail(g, "the shape rule refused: %s", err.msg);
        goto done;
    }
    if (g->op->view) {
        if (sak_shape_count(&r->s.y) != sak_shape_count(&r->s.x[0]))
            gradcheck_fail(g, "a view must keep the number of elements");
        goto done;
    }
    sak_rng rng = sak_rng_open(1000u + (unsigned)g->seed, SAK_RNG_TEST, 0, 0);
    for (int i = 0; i < r->s.n_in; i++) {
        const int64_t n = sak_shape_count(&r->s.x[i]);
        r->x[i] = gradcheck_take(n);
        r->x0[i] = gradcheck_take(n);
        r->dx[i] = gradcheck_take(n);
        r->first[i] = gradcheck_take(n);
        if (!gradcheck_draw(g, &in[i], &r->x[i], &rng))
            goto done;
        memcpy(r->x0[i].p, r->x[i].p, (size_t)n * sizeof(sak_real));
    }
    const int64_t n_y = sak_shape_count(&r->s.y);
    const sak_scratch need = g->op->scratch ? g->op->scratch(&r->s) : (sak_scratch){0};
    const int64_t stride = (need.each + 7) / 8 * 8;
    r->y = gradcheck_take(n_y);
    r->dy = gradcheck_take(n_y);
    r->plus = gradcheck_take(n_y);
    r->minus = gradcheck_take(n_y);
    r->save = gradcheck_take(g->op->save ? g->op->save(&r->s) : 0);
    r->shared = gradcheck_take(need.shared);
    r->each = gradcheck_take(need.each ? stride * sak_pool_threads() - (stride - need.each) : 0);
    for (int64_t k = 0; k < n_y; k++)
        r->dy.p[k] = (sak_real)sak_rng_range(&rng, -1, 1);
    r->c = (sak_opcall){.s = &r->s,
                        .save = r->save.p,
                        .shared = r->shared.p,
                        .each = r->each.p,
                        .each_stride = stride,
                        .rng = {7u + (unsigned)g->seed, SAK_RNG_OP, 3, 11}};
    if (!g->op->forward)
        gradcheck_fail(g, "no forward, and not a view");
    else
        gradcheck_values(r);
done:
    for (int i = 0; i < SAK_MAX_IN; i++) {
        gradcheck_drop(&r->x[i]);
        gradcheck_drop(&r->x0[i]);
        gradcheck_drop(&r->dx[i]);
        gradcheck_drop(&r->first[i]);
    }
    gradcheck_buf *const rest[] = {&r->y,  &r->dy,   &r->plus,  &r->minus,
                                   &r->save, &r->shared, &r->each};
    for (size_t k = 0; k < sizeof rest / sizeof *rest; k++)
        gradcheck_drop(rest[k]);
    free(r);
}

/* Returns the number of failures and tells them on stderr; quiet: stops at the first, silently. */
static int gradcheck_row(const sak_op *op, int seeds, bool quiet)
{
    gradcheck g = {.op = op, .quiet = quiet, .kept_unread = op->backward ? op->keep : 0};
    const bool has_cases = op->cases && op->cases[0];
    if (op->backward && !has_cases)
        gradcheck_fail(&g, "has a backward but no cases to check it with");
    for (int k = 0; has_cases && op->cases[k]; k++)
        for (g.seed = 0; g.seed < seeds; g.seed++)
            for (int mode = 0; mode < 2 && !(quiet && g.failures); mode++) {
                g.training = mode == 0;
                gradcheck_case(&g, op->cases[k]);
            }
    unsigned unread = g.kept_unread & ~op->no_grad;
    if (!quiet && has_cases && !g.failures && unread)
        for (int i = 0; i <= SAK_MAX_IN; i++) {
            const unsigned bit = i == SAK_MAX_IN ? SAK_KEEP_Y : SAK_KEEP_X(i);
            char name[64];
            bool rest = false;
            if ((unread & bit) &&
                (i == SAK_MAX_IN || gradcheck_input_name(op, i, name, sizeof name, &rest)) && !rest)
                fprintf(stderr, "gradcheck: note: %s keeps %s but backward does not seem to read "
                                "it\n",
                        op->name, i == SAK_MAX_IN ? "y" : name);
        }
    if (g.failures > 3 && !quiet)
        fprintf(stderr, "gradcheck: %s: %d failures in all\n", op->name, g.failures);
    return g.failures;
}

#endif
