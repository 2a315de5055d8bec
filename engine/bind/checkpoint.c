/* Checkpoints in Lua: writing parameter sets with their optimiser's moments, and taking them back. */
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "weights/checkpoint.h"

#define TYPE "sak.checkpointer"
static const char *const moments[] = {"optim.m.", "optim.v."};

/* What a set adds to the file: tensors, and room for their prefixed names. */
typedef struct gathered {
    sak_st_source *list;
    int64_t n, cap;
    char *names; /* a chain of blocks, each beginning with a pointer to the one before */
} gathered;

static void release(gathered *g)
{
    while (g->names) {
        char *before;
        memcpy(&before, g->names, sizeof before);
        free(g->names);
        g->names = before;
    }
    free(g->list);
    *g = (gathered){0};
}

static bool add(gathered *g, const char *prefix, const sak_param *q, const sak_real *x)
{
    if (g->n == g->cap) {
        const int64_t cap = g->cap ? 2 * g->cap : 256;
        sak_st_source *list = realloc(g->list, (size_t)cap * sizeof *list);
        if (!list)
            return false;
        g->list = list;
        g->cap = cap;
    }
    const size_t room = strlen(prefix) + strlen(q->name) + 1;
    char *block = malloc(sizeof g->names + room);
    if (!block)
        return false;
    memcpy(block, &g->names, sizeof g->names);
    g->names = block;
    snprintf(block + sizeof g->names, room, "%s%s", prefix, q->name);
    g->list[g->n++] = (sak_st_source){block + sizeof g->names, SAK_ST_F32, q->shape, x};
    return true;
}

static bool add_set(gathered *g, const char *prefix, const sak_params *p)
{
    for (int i = 0; i < p->n; i++) {
        const sak_param *q = &p->list[i];
        if (!add(g, prefix, q, sak_params_value(p, i)))
            return false;
        if (!p->m || !p->v || !q->trainable || !q->has_grad)
            continue; /* their moments are 0 */
        if (!add(g, moments[0], q, p->m + q->offset) || !add(g, moments[1], q, p->v + q->offset))
            return false;
    }
    return true;
}

static sak_checkpointer *to_writer(lua_State *L, int i)
{
    return *(sak_checkpointer **)luaL_checkudata(L, i, TYPE);
}

/* core.checkpointer() */
static int new_writer(lua_State *L)
{
    sak_checkpointer **own = lua_newuserdatauv(L, sizeof *own, 0);
    *own = NULL;
    luaL_setmetatable(L, TYPE);
    sak_error err;
    SAK_CHECK(L, &err, sak_checkpointer_open(own, &err));
    return 1;
}

/* writer:save(path, state, {prefix, params, prefix, params, …}): a set's values under prefix .. name,
 * its moments, which one set may have, under optim.m.name and optim.v.name.  Returns before the file
 * is there: see result. */
static int w_save(lua_State *L)
{
    const char *path = luaL_checkstring(L, 2), *state = luaL_checkstring(L, 3);
    luaL_checktype(L, 4, LUA_TTABLE);
    if (sizeof(sak_real) != sizeof(float))
        return luaL_error(L, "only the engine in float saves checkpoints");
    gathered g = {0};
    bool ok = true;
    const lua_Integer n = luaL_len(L, 4);
    for (lua_Integer i = 1; ok && i + 1 <= n; i += 2) {
        lua_geti(L, 4, i);
        lua_geti(L, 4, i + 1);
        const sak_params *p = luaL_testudata(L, -1, "sak.params");
        const char *prefix = lua_tostring(L, -2); /* the list keeps it alive */
        ok = p && p->sealed && prefix && add_set(&g, prefix, p);
        lua_pop(L, 2);
    }
    sak_error err;
    const sak_status st = ok ? sak_checkpointer_save(to_writer(L, 1), path, state, g.list, g.n, &err)
                             : SAK_FAIL(&err, SAK_ENOMEM, "%s: no memory for a checkpoint", path);
    release(&g);
    return st == SAK_OK ? 0 : sak_raise(L, &err);
}

static int w_busy(lua_State *L)
{
    lua_pushboolean(L, sak_checkpointer_busy(to_writer(L, 1)));
    return 1;
}

/* writer:result([wait]) -> {path =, bytes =, seconds =, error = text or nil} of the latest save, once;
 * nil when there is none (yet). */
static int w_result(lua_State *L)
{
    sak_checkpoint_result r;
    if (!sak_checkpointer_result(to_writer(L, 1), lua_toboolean(L, 2), &r))
        return 0;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, r.path);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, (lua_Integer)r.bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, r.seconds);
    lua_setfield(L, -2, "seconds");
    if (r.status != SAK_OK) {
        lua_pushstring(L, r.error.msg);
        lua_setfield(L, -2, "error");
    }
    return 1;
}

static int w_close(lua_State *L)
{
    sak_checkpointer **own = luaL_checkudata(L, 1, TYPE);
    sak_checkpointer_close(*own);
    *own = NULL;
    return 0;
}

/* core.checkpoint(path) -> file, state; or nil, why it is refused, and whether it may be sound all the
 * same (no memory, no permission, a newer sak's).  The file is a core.weights. */
static int open_file(lua_State *L)
{
    sak_weights w;
    const char *state;
    sak_error err;
    if (sak_checkpoint_open(&w, luaL_checkstring(L, 1), &state, &err) != SAK_OK) {
        lua_pushnil(L);
        lua_pushstring(L, err.msg);
        lua_pushboolean(L, err.code != SAK_EFORMAT && err.code != SAK_ESHAPE);
        return 3;
    }
    sak_push_weights(L, &w);
    lua_pushstring(L, state);
    return 2;
}

/* One tensor of the file into x; moments that are not there are 0. */
static sak_status take(const sak_weights *w, const char *prefix, const sak_param *q, sak_real *x,
                       bool optional, sak_error *err)
{
    char name[1024];
    if (snprintf(name, sizeof name, "%s%s", prefix, q->name) >= (int)sizeof name)
        return SAK_FAIL(err, SAK_EINVAL, "%s: the name '%s' is too long", w->path, q->name);
    const sak_st_tensor *t = sak_weights_find(w, name);
    if (!t && optional) {
        memset(x, 0, sizeof *x * (size_t)q->count);
        return SAK_OK;
    }
    if (!t)
        return SAK_FAIL(err, SAK_EFORMAT, "%s: it has no '%s'", w->path, name);
    if (!sak_shape_equal(&t->shape, &q->shape) || t->dtype != SAK_ST_F32)
        return SAK_FAIL(err, SAK_ESHAPE, "%s: '%s' is %s of %s but the model's is %s", w->path, name,
                        SAK_SHAPE_TEXT(&t->shape), sak_st_dtype_name(t->dtype),
                        SAK_SHAPE_TEXT(&q->shape));
    memcpy(x, t->data, sizeof *x * (size_t)q->count);
    return SAK_OK;
}

/* core.restore(file, prefix, params): the values saved under that prefix, bit for bit, and the moments
 * of a set that has them (an optimiser was made for it). */
static int restore(lua_State *L)
{
    const sak_weights *w = sak_to_weights(L, 1);
    const char *prefix = luaL_checkstring(L, 2);
    sak_params *p = sak_to_params(L, 3);
    if (sizeof(sak_real) != sizeof(float))
        return luaL_error(L, "only the engine in float restores checkpoints");
    sak_error err;
    SAK_CHECK(L, &err, sak_params_seal(p, &err));
    for (int i = 0; i < p->n; i++) {
        const sak_param *q = &p->list[i];
        if (q->borrowed)
            continue; /* frozen, and read where its file lies: it has not changed */
        sak_real *x;
        SAK_CHECK(L, &err, sak_params_write(p, i, &x, &err));
        SAK_CHECK(L, &err, take(w, prefix, q, x, false, &err));
        if (!p->m || !p->v)
            continue;
        SAK_CHECK(L, &err, take(w, moments[0], q, p->m + q->offset, true, &err));
        SAK_CHECK(L, &err, take(w, moments[1], q, p->v + q->offset, true, &err));
    }
    return 0;
}

/* core.running(params[, bytes]) -> the running statistics of a set as bytes; with bytes, puts them
 * back. */
static int running(lua_State *L)
{
    const sak_params *p = sak_to_params(L, 1);
    size_t size = 0, at = 0;
    const char *from = luaL_optlstring(L, 2, NULL, &size);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 0; i < p->n; i++) {
        const sak_param *q = &p->list[i];
        const size_t bytes = sizeof *p->value * (size_t)q->count;
        if (!q->buffer || !p->sealed)
            continue; /* buffers are never borrowed */
        if (!from)
            luaL_addlstring(&b, (const char *)(p->value + q->offset), bytes);
        else if (bytes <= size - at)
            memcpy(p->value + q->offset, from + at, bytes);
        else
            return luaL_error(L, "these are not the running statistics of this set");
        at += bytes;
    }
    luaL_pushresult(&b);
    return from ? 0 : 1;
}

void sak_open_checkpoint(lua_State *L)
{
    static const luaL_Reg methods[] = {{"save", w_save},
                                       {"busy", w_busy},
                                       {"result", w_result},
                                       {"close", w_close},
                                       {NULL, NULL}};
    sak_new_type(L, TYPE, methods, w_close);
    static const luaL_Reg functions[] = {{"checkpointer", new_writer},
                                         {"checkpoint", open_file},
                                         {"restore", restore},
                                         {"running", running},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
