/* `sak verify`: the Lua side compares; with --cross f64 the engine built in double does, which lies
 * beside this program as sak-f64. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/real.h"
#include "cli/verbs.h"

/* The program's own path with "-f64" at its end. */
static bool sibling(char *path, size_t size)
{
    static const char suffix[] = "-f64";
    const ssize_t n = readlink("/proc/self/exe", path, size);
    if (n < 0 || (size_t)n + sizeof suffix > size)
        return false;
    memcpy(path + n, suffix, sizeof suffix);
    return true;
}

/* Becomes sak-f64 with the same command line but for --cross; returns only if that fails. */
static int cross(const sak_options *o)
{
    char path[4096];
    if (!sibling(path, sizeof path))
        return sak_usage(NULL, "cannot tell where this program lies: %s", strerror(errno));
    const char **argv = calloc((size_t)o->n_args + 8, sizeof *argv);
    char threads[32];
    if (!argv)
        return sak_usage(NULL, "out of memory");
    int n = 0;
    argv[n++] = path;
    argv[n++] = o->args[0];
    if (o->json)
        argv[n++] = "--json";
    if (o->quiet)
        argv[n++] = "--quiet";
    if (o->threads) {
        snprintf(threads, sizeof threads, "--threads=%lld", (long long)o->threads);
        argv[n++] = threads;
    }
    argv[n++] = "--";
    for (int i = 1; i < o->n_args; i++)
        argv[n++] = o->args[i];
    execv(path, (char *const *)argv);
    const int why = errno;
    free(argv);
    return sak_usage("build it with: cmake --build build --target sak-f64", "--cross f64 runs %s: %s",
                     path, strerror(why));
}

int sak_verb_verify(const sak_options *o)
{
    if (!o->cross)
        return sak_verb_lua(o);
    if (strcmp(o->cross, "f64") != 0)
        return sak_usage(NULL, "--cross must be f64, got '%s'", o->cross);
    if (sizeof(sak_real) == sizeof(double))
        return sak_usage(NULL, "this is sak-f64 already");
    return cross(o);
}
