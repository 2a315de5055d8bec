/* `sak bench start`: how long the program takes to begin, as a user waits for it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench.h"

enum { TRIES = 20 };

/* Seconds until the program has ended; negative when it could not be started. */
static double once(char *const *argv)
{
    const double start = sak_bench_now();
    const pid_t pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    int state = 0;
    if (pid < 0 || waitpid(pid, &state, 0) < 0 || !WIFEXITED(state) || WEXITSTATUS(state) == 127)
        return -1;
    return sak_bench_now() - start;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static json_t *row(const char *what, char *const *argv)
{
    double t[TRIES];
    for (int i = 0; i < TRIES; i++)
        t[i] = once(argv);
    qsort(t, TRIES, sizeof *t, by_value);
    return json_pack("{s:s, s:f, s:f}", "what", what, "median_ms", 1e3 * t[TRIES / 2], "min_ms",
                     1e3 * t[0]);
}

json_t *sak_bench_start(const sak_options *o)
{
    (void)o;
    /* `verify` without a folder brings everything up (BLIS, threads, Lua, its modules) and stops */
    return json_pack("{s:[s,s,s], s:[o,o]}", "columns", "what", "median_ms", "min_ms", "rows",
                     row("the program alone (sak --version)",
                         (char *[]){"sak", "--version", NULL}),
                     row("with engine and Lua (sak verify of nothing)",
                         (char *[]){"sak", "verify", "/proc/self/no-such-folder", NULL}));
}
