/* The memory plan, in double, against brute force: a shadow of the slab that knows what each element
 * holds; and the mode that keeps buffers apart, with lifetimes made wrong on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drawn_graph.h"
#include "graph/memory.h"

enum { GRAPHS = 200, VALUE = 1 << 20, AGAIN = 2 << 20, SAVE = 3 << 20, GRAD = 4 << 20, SCRATCH = 5 << 20 };

typedef struct shadow {
    const drawn *d;
    int *holds; /* by element of the slab */
} shadow;

/* What the elements at p hold now. */
static void holds(shadow *s, const sak_real *p, int64_t count, int what)
{
    const ptrdiff_t at = p ? p - s->d->g.activation : -1;
    if (at < 0 || at >= s->d->g.activation_count) /* parameters, inputs */
        return;
    assert_true(at + count <= s->d->g.activation_count);
    for (int64_t i = 0; i < count; i++)
        s->holds[at + i] = what;
}

static void must_hold(const shadow *s, const sak_real *p, int64_t count, int what, int call)
{
    const ptrdiff_t at = p ? p - s->d->g.activation : -1;
    if (at < 0 || at >= s->d->g.activation_count)
        return;
    for (int64_t i = 0; i < count; i++)
        if (s->holds[at + i] != what)
            fail_msg("call %d reads %x where %x is:%s", call, (unsigned)what, (unsigned)s->holds[at + i],
                     s->d->text);
}

static int value_of(const sak_graph *g, int node, bool backward)
{
    const int root = g->node[node]->root;
    return root + (backward && g->node[root]->recomputed ? AGAIN : VALUE);
}

static int64_t save_of(const sak_node *node)
{
    return node->s.op->save ? node->s.op->save(&node->s) : 0;
}

static void shadow_forward(shadow *s, const sak_call *call, int c)
{
    const sak_graph *g = &s->d->g;
    const sak_node *node = g->node[call->node];
    for (int k = 0; k < node->s.n_in; k++)
        must_hold(s, call->c.x[k], sak_shape_count(&node->s.x[k]), value_of(g, node->in[k], call->again), c);
    holds(s, call->c.y, sak_shape_count(&node->s.y), call->node + (call->again ? AGAIN : VALUE));
    holds(s, call->c.save, save_of(node), call->node + SAVE);
}

static void shadow_backward(shadow *s, const sak_call *call, int c)
{
    const sak_graph *g = &s->d->g;
    const sak_node *node = g->node[call->node];
    const int64_t count = sak_shape_count(&node->s.y);
    if (call->node == g->loss)
        holds(s, call->c.dy, count, node->grad_root + GRAD);
    must_hold(s, call->c.dy, count, node->grad_root + GRAD, c);
    must_hold(s, call->c.save, save_of(node), call->node + SAVE, c);
    must_hold(s, call->c.y, count, value_of(g, call->node, true), c);
    for (int k = 0; k < node->s.n_in; k++) {
        const int64_t n = sak_shape_count(&node->s.x[k]);
        const int what = g->node[node->in[k]]->grad_root + GRAD;
        must_hold(s, call->c.x[k], n, value_of(g, node->in[k], true), c);
        if (call->c.acc[k])
            must_hold(s, call->c.dx[k], n, what, c);
        holds(s, call->c.dx[k], n, what);
    }
}

/* Walks a step; its result and the gradients must still be there at the end. */
static void walk_shadow(const drawn *d)
{
    const sak_graph *g = &d->g;
    shadow s = {d, calloc((size_t)g->activation_count + 1, sizeof(int))};
    assert_non_null(s.holds);
    for (int c = 0; c < g->n_calls; c++) {
        const sak_call *call = &g->call[c];
        if (call->scratch >= 0)
            holds(&s, call->c.shared, g->buffer[call->scratch].count, c + SCRATCH);
        (call->backward ? shadow_backward : shadow_forward)(&s, call, c);
    }
    const sak_real *loss = sak_graph_value(g, g->loss);
    must_hold(&s, loss, 1, value_of(g, g->loss, false), g->n_calls);
    for (int i = 0; i < d->p.n; i++)
        if (d->p.list[i].grad)
            for (int n = 0; n < g->n; n++)
                if (g->node[n]->kind == SAK_NODE_PARAM && g->node[n]->param == i)
                    must_hold(&s, d->p.list[i].grad, d->p.list[i].count, n + GRAD, g->n_calls);
    free(s.holds);
}

static void everything_read_is_what_was_written_last(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        drawn d;
        draw(&d, seed, seed % 2, seed % 3 == 2);
        walk_shadow(&d);
        close_drawn(&d);
    }
}

static void buffers_in_use_together_are_disjoint_and_the_slab_is_not_smaller_than_what_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        drawn d;
        draw(&d, seed, seed % 2, seed % 3 == 2);
        const sak_graph *g = &d.g;
        int64_t most = 0;
        for (int c = 0; c <= g->n_calls; c++) {
            int64_t live = 0;
            for (int i = 0; i < g->n_buffers; i++)
                live += sak_buffer_lives(&g->buffer[i], c) ? g->buffer[i].count : 0;
            most = live > most ? live : most;
        }
        assert_int_equal(sak_graph_peak(g).count, most); /* there are no inputs here */
        assert_true(g->activation_count >= most);
        for (int i = 0; i < g->n_buffers; i++)
            for (int j = 0; j < i; j++) {
                const sak_buffer *a = &g->buffer[i], *b = &g->buffer[j];
                const bool together = a->from <= b->to && b->from <= a->to;
                if (together && a->at < b->at + b->count && b->at < a->at + a->count)
                    fail_msg("graph %d: buffers %d and %d overlap:%s", (int)seed, i, j, d.text);
            }
        close_drawn(&d);
    }
}

static void step(drawn *d)
{
    sak_graph_forward(&d->g, 0);
    sak_graph_backward(&d->g, 0);
}

static bool all_finite(const drawn *d)
{
    bool finite = isfinite(*sak_graph_value(&d->g, d->loss));
    for (int i = 0; i < d->p.n; i++)
        for (int64_t k = 0; d->p.list[i].has_grad && k < d->p.list[i].count; k++)
            finite = finite && isfinite(d->p.list[i].grad[k]);
    return finite;
}

/* Loss and gradients of two graphs that were drawn alike. */
static void same_bits(const drawn *a, const drawn *b)
{
    assert_memory_equal(sak_graph_value(&a->g, a->loss), sak_graph_value(&b->g, b->loss), sizeof(sak_real));
    for (int i = 0; i < a->p.n; i++)
        if (a->p.list[i].has_grad)
            assert_memory_equal(a->p.list[i].grad, b->p.list[i].grad,
                                (size_t)a->p.list[i].count * sizeof(sak_real));
}

static void backward_calls_that_run_early_give_the_same_bits_in_no_more_memory(void **state)
{
    (void)state;
    int early = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        drawn plain, eager;
        draw(&plain, seed, seed % 2, true);
        draw(&eager, seed, seed % 2, false);
        for (int c = 0; c < eager.g.forward_end; c++)
            early += eager.g.call[c].backward && sak_shape_count(&eager.g.node[eager.g.call[c].node]->s.y) > 1;
        for (int c = 0; c < plain.g.forward_end; c++)
            assert_false(plain.g.call[c].backward);
        step(&plain);
        step(&eager);
        same_bits(&plain, &eager);
        assert_true(50 * sak_graph_peak(&eager.g).count <= 51 * sak_graph_peak(&plain.g).count);
        close_drawn(&plain);
        close_drawn(&eager);
    }
    assert_true(early > GRAPHS / 4); /* else this shows nothing */
}

/* Heads over one trunk: each is done, backward too, before the next one begins. */
static void heads_are_not_kept_for_one_another(void **state)
{
    (void)state;
    enum { HEADS = 6, ROWS_OF_HEAD = 256 };
    int64_t peak[2];
    for (int k = 0; k < 2; k++) {
        drawn d;
        open_drawn(&d);
        d.g.plain_order = k == 0;
        const sak_init some = {SAK_INIT_NORMAL, 0.5};
        const int x = param(&d, "x", SAK_SHAPE(ROWS_OF_HEAD, C), some);
        const int trunk = apply(&d, "tanh", 1, &x);
        int out[HEADS], total = -1;
        for (int i = 0; i < HEADS; i++) {
            char name[8];
            snprintf(name, sizeof name, "w%d", i);
            const int w = param(&d, name, SAK_SHAPE(8 * C, C), some);
            const int own = apply(&d, "gelu", 1, &trunk);
            const int wide = apply(&d, "linear", 2, (int[]){own, w});
            out[i] = apply(&d, "tanh", 1, &wide);
        }
        for (int i = 0; i < HEADS; i++) { /* losses come after all heads */
            const int loss = apply(&d, "mean_all", 1, &out[i]);
            total = i ? apply(&d, "add", 2, (int[]){total, loss}) : loss;
        }
        d.loss = total;
        plan_drawn(&d);
        step(&d);
        assert_true(all_finite(&d));
        peak[k] = sak_graph_peak(&d.g).count;
        close_drawn(&d);
    }
    const int64_t head = ROWS_OF_HEAD * 8 * C;
    assert_true(peak[0] >= HEADS * head);
    assert_true(peak[1] <= 4 * head);
}

static void buffers_apart_give_the_same_bits(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        drawn slab, apart;
        draw(&slab, seed, seed % 2, false);
        setenv("SAK_BUFFERS", "apart", 1);
        draw(&apart, seed, seed % 2, false);
        unsetenv("SAK_BUFFERS");
        assert_true(apart.g.apart && !slab.g.apart);
        for (int k = 0; k < 2; k++) {
            step(&slab);
            step(&apart);
        }
        same_bits(&slab, &apart);
        close_drawn(&slab);
        close_drawn(&apart);
    }
}

/* A step with buffer i's lifetime off by the given calls, in a process of its own: the address
 * sanitizer ends it.  Returns whether that went unnoticed. */
static bool passes_with(drawn *d, int i, int later, int earlier)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDERR_FILENO);
        d->g.buffer[i].from += later;
        d->g.buffer[i].to -= earlier;
        step(d);
        _exit(all_finite(d) ? 0 : 3);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void a_lifetime_that_is_too_short_is_noticed(void **state)
{
    (void)state;
    drawn d;
    setenv("SAK_BUFFERS", "apart", 1);
    draw(&d, 5, true, false);
    unsetenv("SAK_BUFFERS");
    step(&d);
    assert_true(all_finite(&d) && passes_with(&d, 0, 0, 0));
    int tried = 0;
    for (int i = 0; i < d.g.n_buffers; i++) {
        const sak_buffer *b = &d.g.buffer[i];
        if (b->from == b->to || b->kind == SAK_BUFFER_SCRATCH)
            continue;
        tried++;
        if (passes_with(&d, i, 1, 0))
            fail_msg("buffer %d from call %d on instead of %d", i, b->from + 1, b->from);
        if (b->to < d.g.n_calls && passes_with(&d, i, 0, 1))
            fail_msg("buffer %d to call %d instead of %d", i, b->to - 1, b->to);
    }
    assert_true(tried > 10);
    close_drawn(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_read_is_what_was_written_last),
        cmocka_unit_test(buffers_in_use_together_are_disjoint_and_the_slab_is_not_smaller_than_what_lives),
        cmocka_unit_test(backward_calls_that_run_early_give_the_same_bits_in_no_more_memory),
        cmocka_unit_test(heads_are_not_kept_for_one_another),
        cmocka_unit_test(buffers_apart_give_the_same_bits),
        cmocka_unit_test(a_lifetime_that_is_too_short_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
