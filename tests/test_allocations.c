/* A training step allocates nothing: counts calls of the C library's allocator while the engine's
 * step functions run, in both stages, teachers in the step included.  The functions are wrapped by the
 * linker (-Wl,--wrap), the allocator is this program's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "bind/bind.h"
#include "graph/graph.h"
#include "train/optim.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOOKED 0 /* sanitizers bring an allocator of their own */
#else
#define HOOKED 1
#endif

static atomic_bool counting;
static atomic_int allocations;
static int steps; /* engine calls since the case began */

#if HOOKED
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t),
    *__libc_memalign(size_t, size_t);

static void note(void)
{
    if (atomic_load(&counting))
        atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t n)
{
    note();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    note();
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    note();
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    note();
    return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    note();
    *out = __libc_memalign(align, n);
    return *out ? 0 : 12; /* ENOMEM */
}
#endif

/* Warm-up: scratch that threads keep (packed matrices) may come into being. */
enum { WARM_UP_CALLS = 3 * 2 };

static void begin(void)
{
    atomic_store(&counting, ++steps > WARM_UP_CALLS);
}

static void end(void)
{
    atomic_store(&counting, false);
}

void __real_sak_graph_forward(sak_graph *g, uint64_t step);
void __real_sak_graph_backward(sak_graph *g, uint64_t step);
void __real_sak_optim_step(sak_optim *o, sak_params *p, double lr, double clip, double norm);
void __wrap_sak_graph_forward(sak_graph *g, uint64_t step);
void __wrap_sak_graph_backward(sak_graph *g, uint64_t step);
void __wrap_sak_optim_step(sak_optim *o, sak_params *p, double lr, double clip, double norm);

void __wrap_sak_graph_forward(sak_graph *g, uint64_t step)
{
    begin();
    __real_sak_graph_forward(g, step);
    end();
}

void __wrap_sak_graph_backward(sak_graph *g, uint64_t step)
{
    begin();
    __real_sak_graph_backward(g, step);
    end();
}

void __wrap_sak_optim_step(sak_optim *o, sak_params *p, double lr, double clip, double norm)
{
    atomic_store(&counting, steps > WARM_UP_CALLS);
    __real_sak_optim_step(o, p, lr, clip, norm);
    end();
}

/* Runs a bench case; the allocator's calls within steps after the warm-up. */
static int count(const char *name, int threads)
{
    const char *const args[] = {name, "6", NULL}, *const none[] = {NULL};
    const sak_job job = {.verb = "bench", .args = args, .set = none, .db = "unused.db",
                         .threads = threads, .quiet = true, .argv = (char *[]){NULL}};
    steps = 0;
    atomic_store(&allocations, 0);
    fflush(stdout);
    const int out = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO); /* what the case prints */
    const int status = sak_bind_run(&job, stdout, stderr);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(null);
    assert_int_equal(status, 0);
    assert_true(steps > WARM_UP_CALLS + 8); /* the wrappers stand in the way */
    return atomic_load(&allocations);
}

static void the_counter_counts(void **state)
{
    (void)state;
    atomic_store(&allocations, 0);
    atomic_store(&counting, true);
    void *volatile p = malloc(10);
    end();
    free(p);
    assert_int_equal(atomic_load(&allocations), HOOKED);
}

static void steady_steps_allocate_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny_stage1", "tiny_stage2"};
    for (int k = 0; k < 2; k++)
        for (int threads = 1; threads <= 2; threads++) {
            const int n = count(names[k], threads);
            if (n > 0)
                fail_msg("%s on %d threads: %d allocations in its steps", names[k], threads, n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_counts),
        cmocka_unit_test(steady_steps_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
