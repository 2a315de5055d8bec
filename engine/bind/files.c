/* Folders in Lua: what is in one, making one with its parents, removing one with all it holds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/core.h"

/* core.mkdir(path): with its parents. */
static int make_dirs(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char part[4096];
    if (strlen(path) >= sizeof part)
        return luaL_error(L, "path too long: %s", path);
    for (size_t i = 1;; i++) {
        if (path[i] != '/' && path[i])
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return luaL_error(L, "cannot create the folder %s: %s", part, strerror(errno));
        if (!path[i])
            return 0;
    }
}

/* core.files(path) -> names in a folder, sorted by byte; empty when there is no such folder. */
static int files(lua_State *L)
{
    struct dirent **list = NULL;
    const int n = scandir(luaL_checkstring(L, 1), &list, NULL, alphasort);
    lua_newtable(L);
    lua_Integer k = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0) {
            lua_pushstring(L, list[i]->d_name);
            lua_seti(L, -2, ++k);
        }
        free(list[i]);
    }
    free(list);
    return 1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

/* core.remove(path): a file, or a folder with all it holds; links are not followed. */
static int remove_tree(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    lua_pushboolean(L, nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
    return 1;
}

void sak_open_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"mkdir", make_dirs}, {"files", files}, {"remove", remove_tree}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
