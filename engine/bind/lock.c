/* Locks between processes in Lua: a file that one of them holds.  The system lets go of it when the holder
 * ends, however that comes about. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/core.h"

#define LOCK "sak.lock"

typedef struct lock {
    int fd; /* -1: nothing is held */
    char path[4096];
} lock;

/* Is this still the file of that name?  Its last holder may have removed it in between. */
static bool in_place(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* lock:close(): the file goes too. */
static int l_close(lua_State *L)
{
    lock *own = luaL_checkudata(L, 1, LOCK);
    if (own->fd >= 0) {
        unlink(own->path); /* while it is held: nobody else's */
        close(own->fd);
    }
    own->fd = -1;
    return 0;
}

/* core.lock(path, holder) -> lock, which holds it until it is closed or this process ends; or nil and what
 * its holder calls itself.  A file that cannot be locked at all holds nobody up: then the lock is empty. */
static int take(lua_State *L)
{
    size_t n, m;
    const char *path = luaL_checklstring(L, 1, &n), *holder = luaL_checklstring(L, 2, &m);
    lock *own = lua_newuserdatauv(L, sizeof *own, 0);
    own->fd = -1;
    luaL_argcheck(L, n < sizeof own->path, 1, "path too long");
    memcpy(own->path, path, n + 1);
    luaL_setmetatable(L, LOCK);
    for (;;) {
        own->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (own->fd < 0)
            return 1;
        const int code = flock(own->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        if (code == 0 && in_place(own->fd, path)) {
            (void)!(ftruncate(own->fd, 0) == 0 && pwrite(own->fd, holder, m, 0)); /* for messages only */
            return 1;
        }
        char text[256];
        const ssize_t got = code == EWOULDBLOCK ? pread(own->fd, text, sizeof text, 0) : 0;
        close(own->fd);
        own->fd = -1;
        if (code == EWOULDBLOCK) {
            lua_pushnil(L);
            lua_pushlstring(L, text, got > 0 ? (size_t)got : 0);
            return 2;
        }
        if (code != 0 && code != EINTR)
            return 1;
    }
}

void sak_open_lock(lua_State *L)
{
    static const luaL_Reg methods[] = {{"close", l_close}, {NULL, NULL}};
    sak_new_type(L, LOCK, methods, l_close);
    lua_pushcfunction(L, take);
    lua_setfield(L, -2, "lock");
}
