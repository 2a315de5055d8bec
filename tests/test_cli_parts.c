/* The parts of the command line that a shell test cannot see: the progress line and suggestions. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/human.h"
#include "base/progress.h"
#include "base/file.h"
#include "base/suggest.h"
#include "cli/lost_file.h"

static void edit_distance_matches_known_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0},          {"", "abc", 3},          {"kitten", "sitting", 3},
                 {"run", "rnu", 1},    {"doctor", "docter", 1}, {"flaw", "lawn", 2},
                 {"show", "shwo", 1},  {"abcd", "badc", 2},     {"sql", "sql", 0},
                 {"ca", "abc", 3},     {"ls", "", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *a = cases[i].a, *b = cases[i].b;
        const size_t there = sak_edit_distance(a, strlen(a), b, strlen(b));
        const size_t back = sak_edit_distance(b, strlen(b), a, strlen(a));
        if (there != cases[i].distance || back != there)
            fail_msg("'%s' to '%s': %zu there, %zu back, expected %zu", a, b, there, back,
                     cases[i].distance);
    }
}

static const char *suggestion(const char *word)
{
    sak_suggest s = sak_suggest_open(word, strlen(word));
    static const char *const words[] = {"run", "check", "ls", "show", "sql", "completion"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        sak_suggest_try(&s, words[i]);
    return s.best;
}

static void suggestions_are_near_or_absent(void **state)
{
    (void)state;
    assert_string_equal(suggestion("chekc"), "check");
    assert_string_equal(suggestion("comp"), "completion"); /* an abbreviation */
    assert_null(suggestion("zebra"));
    char longest[300];
    memset(longest, 'c', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(suggestion(longest));
}

static char *text;
static size_t size;

static FILE *memory(void)
{
    free(text);
    text = NULL;
    FILE *f = open_memstream(&text, &size);
    assert_non_null(f);
    return f;
}

static void progress_line_shows_share_eta_rate_and_text(void **state)
{
    (void)state;
    FILE *f = memory();
    sak_progress *p = sak_progress_open(200, "distil", f, true);
    sak_progress_unit(p, 32, "images");
    sak_progress_update(p, 50, "loss 0.42");
    char line[256];
    sak_progress_text(p, 10, 200, line, sizeof line); /* 5 steps/s: 30 s for the other 150 */
    assert_string_equal(line, "distil   25%  50/200  30 s left  160 images/s  loss 0.42");
    sak_progress_text(p, 10, 9, line, sizeof line);
    assert_string_equal(line, "distil   ");
    sak_progress_update(p, 200, "größer");
    sak_progress_text(p, 10, 200, line, sizeof line);
    assert_null(strstr(line, "left"));
    const size_t bytes = (size_t)(strstr(line, "ß") - line) + strlen("ß");
    const size_t width = sak_human_width(line) - strlen("er");
    sak_progress_text(p, 10, width, line, sizeof line);
    assert_int_equal(strlen(line), bytes); /* cut by characters, never inside one */
    assert_int_equal(sak_human_width(line), width);
    sak_progress_close(p);
    fclose(f);
    assert_int_equal(text[0], '\r');
    assert_non_null(strstr(text, "\x1b[K"));
    assert_int_equal(text[size - 1], '\n');
}

static void progress_without_a_terminal_is_plain_and_sparse(void **state)
{
    (void)state;
    FILE *f = memory();
    sak_progress *p = sak_progress_open(1000, "multitask", f, false);
    for (int i = 1; i <= 1000; i++)
        sak_progress_update(p, i, "loss 1");
    sak_progress_note(p, "a note");
    sak_progress_close(p);
    fclose(f);
    assert_null(strchr(text, '\r'));
    assert_null(strchr(text, '\x1b'));
    int lines = 0;
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 2); /* the note and the closing line: it took less than a second */
    assert_non_null(strstr(text, "multitask  1000  "));
}

static void progress_of_unknown_length_and_quiet_progress_work(void **state)
{
    (void)state;
    FILE *f = memory();
    sak_progress *p = sak_progress_open(0, "reading", f, true);
    sak_progress_update(p, 7, NULL);
    char line[64];
    sak_progress_text(p, 2, 60, line, sizeof line);
    assert_string_equal(line, "reading  7");
    sak_progress_close(p);
    fclose(f);
    assert_null(sak_progress_open(10, "quiet", NULL, true));
    sak_progress_unit(NULL, 1, "images");
    sak_progress_update(NULL, 1, "x");
    sak_progress_note(NULL, "x");
    sak_progress_close(NULL);
}

static void quantities_read_well(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        const char *want;
    } times[] = {{0.04, "0.0 s"},       {4.21, "4.2 s"},         {9.96, "10 s"},
                 {59.6, "1 min 00 s"},  {192, "3 min 12 s"},     {3599.7, "1 h 00 min"},
                 {7500, "2 h 05 min"}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char out[32];
        sak_human_seconds(times[i].seconds, out);
        assert_string_equal(out, times[i].want);
    }
    char out[32];
    sak_human_bytes(512, out);
    assert_string_equal(out, "512 bytes");
    sak_human_bytes(1.5 * 1024 * 1024 * 1024, out);
    assert_string_equal(out, "1.5 GiB");
}

/* Reads a page of a mapped file that is no longer there, in a process of its own: how that ended and what
 * it said.  ours: the mapping is one of sak's. */
static int read_lost_page(bool ours, char path[static 32], char said[static 512])
{
    strcpy(path, "/tmp/sak-lost-XXXXXX");
    const int fd = mkstemp(path);
    int ends[2];
    assert_true(fd >= 0 && ftruncate(fd, 1 << 16) == 0 && pipe(ends) == 0);
    const pid_t child = fork();
    if (child == 0) {
        sak_mapping *m;
        sak_error err;
        (void)dup2(ends[1], STDERR_FILENO);
        sak_lost_file_watch();
        const void *data = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE, fd, 0);
        if (ours)
            data = sak_mapping_open(&m, path, &err) == SAK_OK ? m->map.data : MAP_FAILED;
        if (data == MAP_FAILED || ftruncate(fd, 0) != 0)
            _exit(99);
        _exit(((const volatile char *)data)[5000]);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], said + n, 511 - n)) > 0;)
        n += (size_t)got;
    said[n] = 0;
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    close(ends[0]);
    close(fd);
    (void)unlink(path);
    return status;
}

static void a_mapped_file_that_shrinks_ends_the_program_with_its_name(void **state)
{
    (void)state;
    char path[32], said[512];
    const int status = read_lost_page(true, path, said);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || strncmp(said, "error: ", 7) != 0 ||
        !strstr(said, path) || !strstr(said, "became shorter"))
        fail_msg("status %d, '%s'", status, said);
}

/* A mapping of some library: no word of a file that is not known, and the signal does what it does. */
static void a_lost_page_that_is_not_of_ours_is_a_bus_error(void **state)
{
    (void)state;
    char path[32], said[512];
    const int status = read_lost_page(false, path, said);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS || *said)
        fail_msg("status %d, '%s'", status, said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edit_distance_matches_known_pairs),
        cmocka_unit_test(suggestions_are_near_or_absent),
        cmocka_unit_test(progress_line_shows_share_eta_rate_and_text),
        cmocka_unit_test(progress_without_a_terminal_is_plain_and_sparse),
        cmocka_unit_test(progress_of_unknown_length_and_quiet_progress_work),
        cmocka_unit_test(quantities_read_well),
        cmocka_unit_test(a_mapped_file_that_shrinks_ends_the_program_with_its_name),
        cmocka_unit_test(a_lost_page_that_is_not_of_ours_is_a_bus_error),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(text);
    return failed;
}
