/* One measurement in a process of its own, so that its peak memory is its own. */
#define _GNU_SOURCE
#include "cli/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double sak_bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static _Noreturn void child(sak_bench_work *work, void *ctx, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* an interrupted bench leaves nothing running */
    dup2(out, STDOUT_FILENO);
    const int status = work(ctx);
    fflush(stdout);
    _exit(status);
}

json_t *sak_bench_child(sak_bench_work *work, void *ctx, int *status)
{
    int ends[2];
    *status = SAK_EXIT_FAILED;
    fflush(stdout);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return NULL;
    const pid_t pid = fork();
    if (pid == 0)
        child(work, ctx, ends[1]);
    close(ends[1]);
    FILE *f = fdopen(ends[0], "r");
    json_error_t wrong;
    json_t *row = pid > 0 && f ? json_loadf(f, JSON_DISABLE_EOF_CHECK, &wrong) : NULL;
    if (f)
        fclose(f);
    else
        close(ends[0]);
    int state = 0;
    struct rusage used = {0};
    while (pid > 0 && wait4(pid, &state, 0, &used) < 0 && errno == EINTR)
        ;
    *status = pid > 0 && WIFEXITED(state) ? WEXITSTATUS(state) : SAK_EXIT_FAILED;
    if (pid > 0 && WIFSIGNALED(state))
        fprintf(stderr, "error: the measuring process was ended: %s\n", strsignal(WTERMSIG(state)));
    if (*status != SAK_EXIT_OK || !row) {
        if (*status == SAK_EXIT_OK)
            *status = SAK_EXIT_FAILED;
        json_decref(row);
        return NULL;
    }
    json_object_set_new(row, "peak_rss_mb", json_real((double)used.ru_maxrss / 1024));
    return row;
}
