/* SIGBUS: a page of a mapped file that the file no longer has. */
#include "cli/lost_file.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/verbs.h"

/* Only what POSIX allows in a handler. */
static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void on_bus_error(int signal_, siginfo_t *info, void *context)
{
    (void)context;
    const char *path = sak_mapping_at(info->si_addr);
    if (!path) { /* not ours: as without a handler */
        (void)signal(signal_, SIG_DFL);
        return;
    }
    say("error: ");
    say(path);
    say(": the file became shorter while it was read\n"
        "help: run it again; replace a file by renaming another over it, never in place\n");
    _exit(SAK_EXIT_FAILED);
}

void sak_lost_file_watch(void)
{
    struct sigaction act = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
    sigemptyset(&act.sa_mask);
    (void)sigaction(SIGBUS, &act, NULL);
}
