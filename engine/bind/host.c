/* sak.host: files, hashes, JSON, guarded calls, and where in a script a value was made. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "bind/host.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "bind/json.h"
#include "bind/sandbox.h"
#include "kernels/gemm.h"

enum { FILE_MAX = 64 << 20 };
static const char MARKS[] = "sak.marks"; /* registry: weak table, value -> {kind, file, line, name} */

/* --- files ------------------------------------------------------------------------------------- */

typedef struct text {
    const void *data;
    size_t size;
} text;

static int push_text(lua_State *L)
{
    const text *t = lua_touserdata(L, 1);
    lua_pushlstring(L, t->data, t->size);
    return 1;
}

sak_status sak_host_push_file(lua_State *L, const char *path, sak_error *err)
{
    void *data = NULL;
    text t = {0};
    SAK_TRY(sak_file_read(path, FILE_MAX, &data, &t.size, err));
    t.data = data;
    lua_pushcfunction(L, push_text); /* protected, so that data is released in any case */
    lua_pushlightuserdata(L, &t);
    const int status = lua_pcall(L, 1, 1, 0);
    sak_free(data);
    if (status == LUA_OK)
        return SAK_OK;
    lua_pop(L, 1);
    return SAK_FAIL(err, SAK_ENOMEM, "%s: no memory to read it", path);
}

/* read(path) -> text, or nil and a message */
static int host_read(lua_State *L)
{
    sak_error err = {0};
    if (sak_host_push_file(L, luaL_checkstring(L, 1), &err) == SAK_OK)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

/* same_file(a, b): do both paths lead to one file or folder? */
static int host_same_file(lua_State *L)
{
    lua_pushboolean(L, sak_file_same(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* exists(path) -> "file", "folder", "other" or nil */
static int host_exists(lua_State *L)
{
    struct stat s;
    if (stat(luaL_checkstring(L, 1), &s) != 0)
        return 0;
    lua_pushstring(L, S_ISREG(s.st_mode) ? "file" : S_ISDIR(s.st_mode) ? "folder" : "other");
    return 1;
}

/* realpath(path) -> absolute path without links, or nil and a message */
static int host_realpath(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char *real = realpath(path, NULL);
    if (real) {
        lua_pushstring(L, real);
        free(real);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", path, strerror(errno));
    return 2;
}

/* sha256(text) -> 64 hexadecimal digits */
static int host_sha256(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    char hex[SAK_HASH_TEXT];
    sak_hash_bytes(bytes, size, hex);
    lua_pushstring(L, hex);
    return 1;
}

/* sha256_file(path) -> the same of a file of any size, or nil and a message */
static int host_sha256_file(lua_State *L)
{
    char hex[SAK_HASH_TEXT];
    sak_error err = {0};
    if (sak_hash_file(luaL_checkstring(L, 1), hex, &err) == SAK_OK) {
        lua_pushstring(L, hex);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, err.msg);
    return 2;
}

/* note(text): one line to stderr, for scripts' print */
static int host_note(lua_State *L)
{
    fprintf(stderr, "%s\n", luaL_checkstring(L, 1));
    return 0;
}

/* module(name) -> text and file of an embedded module, or nothing */
static int host_module(lua_State *L)
{
    return sak_sandbox_module(L, luaL_checkstring(L, 1)) ? 2 : 0;
}

/* --- running what scripts wrote ---------------------------------------------------------------- */

/* compile(text, chunk, env) -> function with env as its globals, or nil and a message */
static int host_compile(lua_State *L)
{
    size_t size;
    const char *source = luaL_checklstring(L, 1, &size);
    const char *chunk = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    if (size > 0 && source[0] == LUA_SIGNATURE[0]) {
        lua_pushnil(L);
        lua_pushliteral(L, "precompiled Lua (bytecode) is not allowed; give the source text");
        return 2;
    }
    if (luaL_loadbufferx(L, source, size, chunk, "t") != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    lua_pushvalue(L, 3);
    lua_setupvalue(L, -2, 1);
    return 1;
}

/* guard(f, …) -> true and f's results, or false and a message; f runs under the sandbox's limits */
static int host_guard(lua_State *L)
{
    luaL_checkany(L, 1);
    const int status = sak_sandbox_guard(L, lua_gettop(L) - 1);
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* charge(work): counts `work` instructions that a library call is about to take in one */
static int host_charge(lua_State *L)
{
    const lua_Number work = luaL_checknumber(L, 1);
    sak_sandbox_charge(L, work > 0 && work < 1e18 ? (uint64_t)work : work > 0 ? UINT64_MAX : 0);
    return 0;
}

/* guarded() -> is a guarded call in progress?  limits() -> memory limit in bytes, unsafe mode? */
static int host_guarded(lua_State *L)
{
    lua_pushboolean(L, sak_sandbox_guarded(L));
    return 1;
}

static int host_limits(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)sak_sandbox_memory(L));
    lua_pushboolean(L, sak_sandbox_unsafe(L));
    return 2;
}

/* --- where a value was made -------------------------------------------------------------------- */

/* Pushes file and line of the innermost caller that is a script (chunk names "@…"; embedded modules
 * are "=…"), or nils. */
static void push_place(lua_State *L)
{
    lua_Debug ar;
    for (int level = 1; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.source[0] == '@' && ar.currentline > 0) {
            lua_pushstring(L, ar.source + 1);
            lua_pushinteger(L, ar.currentline);
            return;
        }
    }
    lua_pushnil(L);
    lua_pushnil(L);
}

/* here() -> file, line */
static int host_here(lua_State *L)
{
    push_place(L);
    return 2;
}

/* mark(t, kind [, file, line]) -> t, from now on known as a `kind` made here (or at file:line) */
static int host_mark(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstring(L, 2);
    lua_settop(L, 4);
    if (lua_isnil(L, 3)) {
        lua_settop(L, 2);
        push_place(L);
    } else if (lua_type(L, 3) != LUA_TSTRING || !lua_isinteger(L, 4)) {
        lua_settop(L, 2); /* place unknown */
        lua_pushboolean(L, 0);
        lua_pushboolean(L, 0);
    }
    lua_getfield(L, LUA_REGISTRYINDEX, MARKS);
    lua_pushvalue(L, 1);
    lua_createtable(L, 0, 3);
    for (int i = 2; i <= 4; i++) {
        static const char *const names[] = {"kind", "file", "line"};
        lua_pushvalue(L, i);
        lua_setfield(L, -2, names[i - 2]);
    }
    lua_rawset(L, -3);
    lua_settop(L, 1);
    return 1;
}

/* marked(t) -> {kind=, file=, line=} or nil */
static int host_marked(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, MARKS);
    lua_insert(L, 1);
    lua_rawget(L, 1);
    return 1;
}

/* describe(f) -> {source=, first=, last=, c=} of a function */
static int host_describe(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_Debug ar;
    lua_settop(L, 1);
    lua_getinfo(L, ">S", &ar);
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, ar.source, ar.srclen);
    lua_setfield(L, -2, "source");
    lua_pushinteger(L, ar.linedefined);
    lua_setfield(L, -2, "first");
    lua_pushinteger(L, ar.lastlinedefined);
    lua_setfield(L, -2, "last");
    lua_pushboolean(L, ar.what[0] == 'C');
    lua_setfield(L, -2, "c");
    return 1;
}

/* upvalue(f, i) -> name, value; nothing beyond the last */
static int host_upvalue(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    const char *name = lua_getupvalue(L, 1, (int)luaL_checkinteger(L, 2));
    if (!name)
        return 0;
    lua_pushstring(L, name);
    lua_insert(L, -2);
    return 2;
}

/* bf16_kernel() -> how products of bfloat16 run here, nil for not at all; see kernels/gemm.h */
static int host_bf16_kernel(lua_State *L)
{
    lua_pushstring(L, sak_gemm_bf16_kernel());
    return 1;
}

static const luaL_Reg FUNCTIONS[] = {
    {"read", host_read},         {"exists", host_exists},       {"realpath", host_realpath},
    {"sha256", host_sha256},     {"note", host_note},           {"module", host_module},
    {"compile", host_compile},   {"guard", host_guard},         {"guarded", host_guarded},
    {"charge", host_charge},
    {"limits", host_limits},     {"here", host_here},           {"mark", host_mark},
    {"marked", host_marked},     {"describe", host_describe},   {"upvalue", host_upvalue},
    {"encode", sak_json_encode}, {"decode", sak_json_decode},   {"array", sak_json_array},
    {"sha256_file", host_sha256_file}, {"same_file", host_same_file},
    {"bf16_kernel", host_bf16_kernel},
    {NULL, NULL},
};

int sak_host_open(lua_State *L)
{
    if (!luaL_getsubtable(L, LUA_REGISTRYINDEX, MARKS)) {
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "k");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    luaL_newlib(L, FUNCTIONS);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
