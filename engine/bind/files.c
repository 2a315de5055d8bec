/* Folders in Lua: what is in one, making one with its parents, removing one with all it holds. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "bind/core.h"

static const char *remedy(int code)
{
    return code == ENOTDIR || code == EEXIST ? "move it away, or put the results elsewhere with --db"
           : code == ENOSPC || code == EDQUOT
               ? "free some space, or put the results elsewhere with --db"
               : "make its parent writable, or put the results elsewhere with --db";
}

static sak_status make_dirs(const char *path, sak_error *err)
{
    char part[4096];
    if (strlen(path) >= sizeof part)
        return SAK_FAIL(err, SAK_EINVAL, "path too long: %s", path);
    for (size_t i = 1;; i++) {
        if (path[i] != '/' && path[i])
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        struct stat st;
        const int code = mkdir(part, 0777) == 0 ? 0 : errno;
        if (code == EEXIST && stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
            return SAK_FAIL(err, SAK_EIO, "%s is a file where a folder is needed; %s", part,
                            remedy(code));
        if (code != 0 && code != EEXIST)
            return SAK_FAIL(err, SAK_EIO, "cannot create the folder %s: %s; %s", part,
                            strerror(code), remedy(code));
        if (!path[i])
            return SAK_OK;
    }
}

/* core.mkdir(path): with its parents. */
static int f_mkdir(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, make_dirs(luaL_checkstring(L, 1), &err));
    return 0;
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

/* core.touch(path): written, or used, just now */
static int touch(lua_State *L)
{
    lua_pushboolean(L, utimensat(AT_FDCWD, luaL_checkstring(L, 1), NULL, 0) == 0);
    return 1;
}

/* core.file_info(path) -> {bytes =, used = (seconds since 1970), inode =}, or nil */
static int file_info(lua_State *L)
{
    struct stat st;
    if (stat(luaL_checkstring(L, 1), &st) != 0)
        return 0;
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)st.st_size);
    lua_setfield(L, -2, "bytes");
    lua_pushinteger(L, (lua_Integer)st.st_ino);
    lua_setfield(L, -2, "inode");
    lua_pushinteger(L, (lua_Integer)st.st_mtim.tv_sec);
    lua_setfield(L, -2, "used");
    return 1;
}

/* core.write(path, text): the file appears complete or not at all. */
static int write_file(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 2, &n);
    sak_error err;
    SAK_CHECK(L, &err, sak_file_write_atomic(luaL_checkstring(L, 1), text, n, &err));
    return 0;
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
        {"mkdir", f_mkdir}, {"files", files}, {"remove", remove_tree}, {"touch", touch},
        {"file_info", file_info}, {"write", write_file}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
