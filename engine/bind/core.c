/* The module `sak.core`: what trusted Lua code drives the engine with. */
#include "bind/core.h"

#include <stdlib.h>
#include <string.h>

int sak_raise(lua_State *L, const sak_error *err)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.source[0] != '@' || ar.currentline <= 0)
            continue;
        lua_pushfstring(L, "%s:%d: %s", ar.short_src, ar.currentline, err->msg);
        return lua_error(L);
    }
    lua_pushstring(L, err->msg);
    return lua_error(L);
}

void sak_new_type(lua_State *L, const char *type, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(L, type);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, type);
    lua_setfield(L, -2, "__metatable");
    if (gc) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__close");
    }
    lua_pop(L, 1);
}

sak_shape sak_to_dims(lua_State *L, int i)
{
    luaL_checktype(L, i, LUA_TTABLE);
    const lua_Integer n = luaL_len(L, i);
    if (n < 0 || n > SAK_MAX_DIMS)
        luaL_error(L, "a shape has at most %d dimensions, got %d", SAK_MAX_DIMS, (int)n);
    sak_shape s = {.n = (int)n};
    for (int k = 0; k < s.n; k++) {
        lua_geti(L, i, k + 1);
        int ok = 0;
        s.d[k] = lua_tointegerx(L, -1, &ok);
        if (!ok)
            luaL_error(L, "a shape is a list of whole numbers; entry %d is %s", k + 1,
                       luaL_typename(L, -1));
        lua_pop(L, 1);
    }
    sak_shape size = s; /* ops multiply what they are given: it must not overflow */
    for (int k = 0; k < s.n; k++)
        size.d[k] = s.d[k] < 1 ? 1 : s.d[k];
    sak_error err;
    if (sak_shape_check(&size, &err) != SAK_OK)
        sak_raise(L, &err);
    return s;
}

sak_shape sak_to_shape(lua_State *L, int i)
{
    const sak_shape s = sak_to_dims(L, i);
    sak_error err;
    if (sak_shape_check(&s, &err) != SAK_OK)
        sak_raise(L, &err);
    return s;
}

void sak_push_shape(lua_State *L, const sak_shape *s)
{
    lua_createtable(L, s->n, 0);
    for (int k = 0; k < s->n; k++) {
        lua_pushinteger(L, s->d[k]);
        lua_seti(L, -2, k + 1);
    }
}

double sak_opt_number(lua_State *L, int i, const char *key, double def)
{
    double v = def;
    if (lua_istable(L, i)) {
        if (lua_getfield(L, i, key) != LUA_TNIL) {
            int ok = 0;
            v = lua_tonumberx(L, -1, &ok);
            if (!ok)
                luaL_error(L, "%s must be a number, got %s", key, luaL_typename(L, -1));
        }
        lua_pop(L, 1);
    }
    return v;
}

bool sak_opt_bool(lua_State *L, int i, const char *key, bool def)
{
    bool v = def;
    if (lua_istable(L, i)) {
        if (lua_getfield(L, i, key) != LUA_TNIL)
            v = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    return v;
}

const char *sak_opt_text(lua_State *L, int i, const char *key, const char *def)
{
    const char *v = def;
    if (lua_istable(L, i)) {
        if (lua_getfield(L, i, key) == LUA_TSTRING)
            v = lua_tostring(L, -1); /* the table keeps the string alive */
        lua_pop(L, 1);
    }
    return v;
}

void sak_push_values(lua_State *L, const sak_real *x, int64_t n)
{
    lua_createtable(L, (int)n, 0);
    for (int64_t i = 0; i < n; i++) {
        lua_pushnumber(L, x[i]);
        lua_seti(L, -2, i + 1);
    }
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void sak_to_meta(lua_State *L, int i, const char *out[SAK_META_MAX])
{
    int n = 0;
    memset(out, 0, sizeof *out * SAK_META_MAX);
    if (!lua_istable(L, i))
        return;
    lua_pushnil(L);
    while (lua_next(L, i)) {
        if (n + 2 >= SAK_META_MAX)
            luaL_error(L, "metadata has more than %d entries", SAK_META_MAX / 2);
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "metadata must be texts under names"); /* a number's text would be gone after the pop */
        out[n++] = lua_tostring(L, -2);
        out[n++] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    qsort(out, (size_t)n / 2, sizeof *out * 2, by_key); /* Lua's order is random */
}

int luaopen_sak_core(lua_State *L)
{
    lua_newtable(L);
    sak_open_tensor(L);
    sak_open_graph(L);
    sak_open_params(L);
    sak_open_weights(L);
    sak_open_checkpoint(L);
    sak_open_files(L);
    sak_open_lock(L);
    sak_open_train(L);
#ifndef SAK_DOUBLE /* the loader fills batches in float */
    sak_open_data(L);
    sak_open_features(L);
#endif
    sak_open_meter(L);
    sak_open_store(L);
    sak_open_compare(L);
    sak_open_progress(L);
    sak_open_sheet(L);
    sak_open_picture(L);
    sak_open_process(L);
    sak_open_bench(L);
    sak_open_memory(L);
    lua_pushinteger(L, (lua_Integer)(8 * sizeof(sak_real))); /* 32 in the product */
    lua_setfield(L, -2, "real_bits");
    sak_open_sweep(L);
    sak_open_child(L);
    return 1;
}
