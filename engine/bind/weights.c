/* Weight files in Lua: what they hold, and writing them again in another element type. */
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "bind/real.h"
#include "weights/convert.h"
#include "weights/weights.h"

#define TYPE "sak.weights"

sak_weights *sak_to_weights(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

const sak_st_tensor *sak_stored_tensor(lua_State *L, const sak_weights *w, const char *name)
{
    const sak_st_tensor *t = sak_weights_find(w, name);
    if (!t)
        luaL_error(L, "%s has no tensor '%s'", w->path, name);
    return t;
}

void sak_push_weights(lua_State *L, const sak_weights *w)
{
    sak_weights *own = lua_newuserdatauv(L, sizeof *own, 0);
    *own = *w;
    luaL_setmetatable(L, TYPE);
}

/* core.weights(path[, {key = "ema"}]): any kind of weight file; key: the entry of a nested PyTorch
 * checkpoint that holds the model. */
static int f_open(lua_State *L)
{
    sak_weights st;
    sak_error err;
    SAK_CHECK(L, &err,
              sak_weights_open(&st, luaL_checkstring(L, 1), sak_opt_text(L, 2, "key", NULL), &err));
    sak_push_weights(L, &st);
    return 1;
}

static int f_close(lua_State *L)
{
    sak_weights_close(sak_to_weights(L, 1));
    return 0;
}

/* file:shapes() -> {name = shape, …} */
static int f_shapes(lua_State *L)
{
    const sak_weights *st = sak_to_weights(L, 1);
    lua_newtable(L);
    for (int64_t i = 0; i < st->count; i++) {
        sak_push_shape(L, &st->tensors[i].shape);
        lua_setfield(L, -2, st->tensors[i].name);
    }
    return 1;
}

/* file:files() -> paths of the files that hold its tensors, in the order of their first one. */
static int f_files(lua_State *L)
{
    const sak_weights *w = sak_to_weights(L, 1);
    lua_newtable(L);
    lua_newtable(L); /* seen */
    lua_Integer n = 0;
    for (int64_t i = 0; i < w->count; i++) {
        const char *file = w->tensors[i].file;
        const bool seen = lua_getfield(L, -1, file) != LUA_TNIL;
        lua_pop(L, 1);
        if (seen)
            continue;
        lua_pushboolean(L, true);
        lua_setfield(L, -2, file);
        lua_pushstring(L, file);
        lua_seti(L, -3, ++n);
    }
    lua_pop(L, 1);
    return 1;
}

static int f_meta(lua_State *L)
{
    lua_pushstring(L, sak_weights_meta(sak_to_weights(L, 1), luaL_checkstring(L, 2)));
    return 1;
}

/* file:get(name) -> flat list */
static int f_get(lua_State *L)
{
    const sak_st_tensor *t = sak_stored_tensor(L, sak_to_weights(L, 1), luaL_checkstring(L, 2));
    sak_real *x = malloc(sizeof *x * (size_t)(t->count + 1));
    if (!x)
        return luaL_error(L, "out of memory reading '%s'", t->name);
    sak_copy_stored(t, x);
    sak_push_values(L, x, t->count);
    free(x);
    return 1;
}

/* core.export(source, path, {key = value}, "f32" | "f16" | "bf16") -> tensors, parameters: writes the
 * weight file again with this metadata and element type. */
static int export_weights(lua_State *L)
{
    static const char *const names[] = {"f32", "f16", "bf16", NULL};
    static const sak_st_dtype types[] = {SAK_ST_F32, SAK_ST_F16, SAK_ST_BF16};
    const char *source = luaL_checkstring(L, 1), *path = luaL_checkstring(L, 2);
    const char *meta[SAK_META_MAX];
    sak_to_meta(L, 3, meta);
    const sak_st_dtype type = types[luaL_checkoption(L, 4, "f32", names)];
    sak_weights w;
    sak_error err;
    SAK_CHECK(L, &err, sak_weights_open(&w, source, NULL, &err));
    const sak_status st = sak_weights_convert(&w, path, meta, type, &err);
    int64_t n = 0;
    for (int64_t i = 0; i < w.count; i++)
        n += w.tensors[i].count;
    const int64_t tensors = w.count;
    sak_weights_close(&w);
    if (st != SAK_OK)
        return sak_raise(L, &err);
    lua_pushinteger(L, tensors);
    lua_pushinteger(L, n);
    return 2;
}

void sak_open_weights(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"shapes", f_shapes}, {"meta", f_meta},   {"files", f_files},
        {"get", f_get},       {"close", f_close}, {NULL, NULL},
    };
    static const luaL_Reg functions[] = {
        {"weights", f_open}, {"export", export_weights}, {NULL, NULL}};
    sak_new_type(L, TYPE, methods, f_close);
    luaL_setfuncs(L, functions, 0);
}
