/* Every op's gradient equals central differences, in double; and the check itself can fail.
 * SAK_GRADCHECK=gelu,softmax restricts it to some rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gradcheck.h"

#ifndef SAK_DOUBLE
#error "the gradient check proves something only on the double core"
#endif

#define SEEDS 3

static bool selected(const char *name)
{
    const char *only = getenv("SAK_GRADCHECK");
    const size_t n = strlen(name);
    if (!only || !*only)
        return true;
    for (const char *at = strstr(only, name); at; at = strstr(at + 1, name))
        if ((at == only || at[-1] == ',') && (at[n] == ',' || at[n] == 0))
            return true;
    return false;
}

static void every_row_matches_central_differences(void **state)
{
    (void)state;
    int bad = 0, rows = 0, checked = 0;
    const sak_op *op = NULL;
    for (int i = 0; (op = sak_op_at(i)); i++) {
        if (!selected(op->name))
            continue;
        rows++;
        checked += op->backward != NULL;
        if (gradcheck_row(op, SEEDS, false) > 0) {
            fprintf(stderr, "gradcheck: FAILED %s\n", op->name);
            bad++;
        }
    }
    fprintf(stderr, "gradcheck: %d rows, %d with a gradient, %d failed\n", rows, checked, bad);
    assert_true(rows > 0);
    assert_int_equal(bad, 0);
}

static void names_are_unique_and_rows_are_documented(void **state)
{
    (void)state;
    const sak_op *op = NULL;
    for (int i = 0; (op = sak_op_at(i)); i++) {
        if (!op->doc || !op->eq || !op->shape || (!op->forward && !op->view))
            fail_msg("%s lacks doc, eq, shape or forward", op->name);
        if (sak_op_find(op->name) != op)
            fail_msg("two rows are called %s", op->name);
    }
}

/* ---- mutants: what the check must catch -------------------------------------------------------- */

static const sak_op *original; /* the row the running mutant was made from */

static int64_t first_count(const sak_opcall *c)
{
    return sak_shape_count(&c->s->x[0]);
}

static void backward_one_percent_off(const sak_opcall *c)
{
    original->backward(c);
    if (c->dx[0])
        for (int64_t i = 0; i < first_count(c); i++)
            c->dx[0][i] *= (sak_real)1.01;
}

static void backward_one_element_off(const sak_opcall *c)
{
    original->backward(c);
    if (c->dx[0])
        c->dx[0][first_count(c) - 1] += (sak_real)1e-5;
}

static void backward_ignores_acc(const sak_opcall *c)
{
    sak_opcall copy = *c;
    memset(copy.acc, 0, sizeof copy.acc);
    original->backward(&copy);
}

static void backward_leaves_one_unwritten(const sak_opcall *c)
{
    original->backward(c);
    if (c->dx[0] && !c->acc[0])
        c->dx[0][0] = (sak_real)NAN;
}

static void backward_writes_beyond(const sak_opcall *c)
{
    original->backward(c);
    if (c->dx[0])
        c->dx[0][first_count(c)] = 0;
}

static void backward_adds_poisoned_scratch(const sak_opcall *c)
{
    original->backward(c);
    if (c->dx[0])
        c->dx[0][0] += c->shared[0];
}

static void forward_leaves_one_unwritten(const sak_opcall *c)
{
    const sak_real before = c->y[0];
    original->forward(c);
    c->y[0] = before;
}

static void forward_changes_its_input(const sak_opcall *c)
{
    original->forward(c);
    ((sak_real *)(uintptr_t)c->x[0])[0] += 1;
}

static sak_scratch some_scratch(const sak_opshape *s)
{
    (void)s;
    return (sak_scratch){.shared = 4};
}

static void a_broken_backward_is_caught(void **state)
{
    (void)state;
    static void (*const broken[])(const sak_opcall *) = {
        backward_one_percent_off,      backward_one_element_off, backward_ignores_acc,
        backward_leaves_one_unwritten, backward_writes_beyond,   backward_adds_poisoned_scratch,
    };
    original = sak_op_find("gelu");
    assert_non_null(original);
    assert_int_equal(gradcheck_row(original, 1, false), 0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        sak_op mutant = *original;
        mutant.backward = broken[i];
        mutant.scratch = some_scratch;
        if (gradcheck_row(&mutant, 1, true) == 0)
            fail_msg("mutant %zu of gelu's backward passed the check", i);
    }
}

static int mutant_input;

static void backward_scales_one_input(const sak_opcall *c)
{
    original->backward(c);
    sak_real *dx = c->dx[mutant_input];
    if (dx && !c->acc[mutant_input])
        for (int64_t i = 0; i < sak_shape_count(&c->s->x[mutant_input]); i++)
            dx[i] *= (sak_real)1.01;
}

/* Or the row's cases say nothing about that input: its gradient is zero, or it never appears. */
static void each_rows_cases_catch_one_percent_in_each_input(void **state)
{
    (void)state;
    int bad = 0;
    for (int i = 0; (original = sak_op_at(i)); i++) {
        if (!original->backward || original->view || !selected(original->name))
            continue;
        const int inputs = original->max_in ? original->max_in : original->n_in;
        for (mutant_input = 0; mutant_input < inputs; mutant_input++) {
            char name[64];
            bool rest = false;
            sak_op mutant = *original;
            mutant.backward = backward_scales_one_input;
            if (!gradcheck_wants(original, mutant_input) ||
                !gradcheck_input_name(original, mutant_input, name, sizeof name, &rest))
                continue;
            if (gradcheck_row(&mutant, 1, true) == 0) {
                fprintf(stderr, "gradcheck: %s: no case notices a gradient of %s that is 1%% off\n",
                        original->name, name);
                bad++;
            }
            if (rest)
                break;
        }
    }
    assert_int_equal(bad, 0);
}

static void a_broken_forward_is_caught(void **state)
{
    (void)state;
    original = sak_op_find("gelu");
    assert_non_null(original);
    sak_op mutant = *original;
    mutant.forward = forward_leaves_one_unwritten;
    assert_true(gradcheck_row(&mutant, 1, true) > 0);
    mutant.forward = forward_changes_its_input;
    assert_true(gradcheck_row(&mutant, 1, true) > 0);
}

static void a_row_with_a_backward_but_no_cases_fails(void **state)
{
    (void)state;
    sak_op mutant = *sak_op_find("gelu");
    static const char *const none[] = {NULL};
    mutant.cases = NULL;
    assert_true(gradcheck_row(&mutant, 1, true) > 0);
    mutant.cases = none;
    assert_true(gradcheck_row(&mutant, 1, true) > 0);
    mutant.backward = NULL;
    assert_int_equal(gradcheck_row(&mutant, 1, true), 0);
}

static void a_case_that_cannot_be_read_fails(void **state)
{
    (void)state;
    static const char *const bad[] = {"x=2y3", "x=2x3:gauss", "x=2x3; colour=1", "y=2x3",
                                      "x=2x3 x=2x3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sak_op mutant = *sak_op_find("gelu");
        const char *const cases[] = {bad[i], NULL};
        mutant.cases = cases;
        if (gradcheck_row(&mutant, 1, true) == 0)
            fail_msg("the case \"%s\" passed", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_rows_are_documented),
        cmocka_unit_test(every_row_matches_central_differences),
        cmocka_unit_test(a_broken_backward_is_caught),
        cmocka_unit_test(each_rows_cases_catch_one_percent_in_each_input),
        cmocka_unit_test(a_broken_forward_is_caught),
        cmocka_unit_test(a_row_with_a_backward_but_no_cases_fails),
        cmocka_unit_test(a_case_that_cannot_be_read_fails),
    };
    sak_error err;
    signal(SIGSEGV, gradcheck_crash);
    if (sak_pool_open(2, &err) != SAK_OK)
        return 99;
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    sak_pool_close();
    return rc;
}
