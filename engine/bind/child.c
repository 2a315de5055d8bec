/* Worker processes: core.spawn starts this program again with other arguments and talks to it over
 * its standard input and output, a line each; core.follow_parent makes a worker end with its parent. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bind/core.h"

#define CHILD "sak.child"
extern char **environ;

typedef struct child {
    pid_t pid;    /* 0 once it has been waited for */
    int in, out;  /* its standard input and output, -1 when closed */
    char line[512];
    size_t have;  /* bytes of an unfinished line */
    int status;
} child;

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Its own process group: a Ctrl-C at the terminal is for the parent, which decides. */
static int start(child *c, char *const *argv, const char *log, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, reset;
    sigemptyset(&none);
    sigemptyset(&reset);
    sigaddset(&reset, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &reset);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    const int code = posix_spawn(&c->pid, "/proc/self/exe", &files, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

/* core.spawn({arguments after the program's name}, log) -> child; its stderr goes to the file log */
static int spawn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *log = luaL_checkstring(L, 2);
    const lua_Integer n = luaL_len(L, 1);
    const char **argv = lua_newuserdatauv(L, (size_t)(n + 2) * sizeof *argv, 0);
    argv[0] = "sak";
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 1, i); /* the table keeps the string alive */
        argv[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    argv[n + 1] = NULL;
    child *c = lua_newuserdatauv(L, sizeof *c, 0);
    *c = (child){.in = -1, .out = -1};
    luaL_setmetatable(L, CHILD);
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0)
        return luaL_error(L, "cannot start a worker: %s", strerror(errno));
    if (pipe2(from, O_CLOEXEC) != 0) {
        const int code = errno;
        close(to[0]);
        close(to[1]);
        return luaL_error(L, "cannot start a worker: %s", strerror(code));
    }
    const int code = start(c, (char *const *)argv, log, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    c->in = to[1];
    c->out = from[0];
    fcntl(c->out, F_SETFL, O_NONBLOCK);
    if (code != 0) {
        c->pid = 0;
        return luaL_error(L, "cannot start a worker: %s", strerror(code));
    }
    return 1;
}

static child *to_child(lua_State *L)
{
    return luaL_checkudata(L, 1, CHILD);
}

static int c_pid(lua_State *L)
{
    lua_pushinteger(L, to_child(L)->pid);
    return 1;
}

/* child:send(text): a line; a child that is gone does not read it */
static int c_send(lua_State *L)
{
    child *c = to_child(L);
    const char *line = lua_pushfstring(L, "%s\n", luaL_checkstring(L, 2));
    lua_pushboolean(L, c->in >= 0 && write(c->in, line, strlen(line)) == (ssize_t)strlen(line));
    return 1;
}

/* child:receive() -> a line, or nil when there is none now */
static int c_receive(lua_State *L)
{
    child *c = to_child(L);
    for (;;) {
        char *end = memchr(c->line, '\n', c->have);
        if (end) {
            lua_pushlstring(L, c->line, (size_t)(end - c->line));
            c->have -= (size_t)(end + 1 - c->line);
            memmove(c->line, end + 1, c->have);
            return 1;
        }
        if (c->have == sizeof c->line)
            c->have = 0; /* no line of ours is that long */
        const ssize_t n =
            c->out >= 0 ? read(c->out, c->line + c->have, sizeof c->line - c->have) : 0;
        if (n <= 0)
            return 0;
        c->have += (size_t)n;
    }
}

/* child:poll() -> nil while it runs; then "exit", status or "signal", number */
static int c_poll(lua_State *L)
{
    child *c = to_child(L);
    if (c->pid && waitpid(c->pid, &c->status, WNOHANG) != c->pid)
        return 0;
    c->pid = 0;
    close_fd(&c->in);
    const bool killed = WIFSIGNALED(c->status);
    lua_pushstring(L, killed ? "signal" : "exit");
    lua_pushinteger(L, killed ? WTERMSIG(c->status) : WEXITSTATUS(c->status));
    return 2;
}

/* child:stop(): asks it to end after its current step */
static int c_stop(lua_State *L)
{
    child *c = to_child(L);
    if (c->pid)
        kill(c->pid, SIGTERM);
    return 0;
}

/* child:dismiss(): nothing more will be sent; a worker that waits for its first line ends */
static int c_dismiss(lua_State *L)
{
    close_fd(&to_child(L)->in);
    return 0;
}

/* A child that Lua drops is not waited for: it notices that its input has ended. */
static int c_gc(lua_State *L)
{
    child *c = to_child(L);
    close_fd(&c->in);
    close_fd(&c->out);
    return 0;
}

/* core.follow_parent(pid) -> whether pid still is the parent; from now on its end is a SIGTERM */
static int follow_parent(lua_State *L)
{
    const pid_t parent = (pid_t)luaL_checkinteger(L, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    lua_pushboolean(L, getppid() == parent);
    return 1;
}

/* core.sleep(seconds): a signal ends it early */
static int sleep_for(lua_State *L)
{
    const double seconds = luaL_checknumber(L, 1);
    const struct timespec t = {.tv_sec = (time_t)seconds,
                               .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
    return 0;
}

static int own_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

void sak_open_child(lua_State *L)
{
    static const luaL_Reg methods[] = {{"pid", c_pid},   {"send", c_send}, {"receive", c_receive},
                                       {"poll", c_poll}, {"stop", c_stop}, {"dismiss", c_dismiss},
                                       {NULL, NULL}};
    static const luaL_Reg functions[] = {{"spawn", spawn},
                                         {"follow_parent", follow_parent},
                                         {"sleep", sleep_for},
                                         {"pid", own_pid},
                                         {NULL, NULL}};
    sak_new_type(L, CHILD, methods, c_gc);
    luaL_setfuncs(L, functions, 0);
}
