/* Parameter sets in Lua. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "bind/core.h"
#include "bind/real.h"
#include "kernels/gemm.h"
#include "kernels/resample.h"
#include "weights/safetensors.h"

#define TYPE "sak.params"

sak_params *sak_to_params(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

static int new_params(lua_State *L)
{
    sak_params *p = lua_newuserdatauv(L, sizeof *p, 0);
    sak_params_open(p, (uint64_t)luaL_optinteger(L, 1, 0));
    luaL_setmetatable(L, TYPE);
    return 1;
}

static int p_close(lua_State *L)
{
    sak_params_close(sak_to_params(L, 1));
    return 0;
}

/* params:list() -> {{name =, shape =, count =, buffer =, trainable =}, …} in order of creation. */
static int p_list(lua_State *L)
{
    const sak_params *p = sak_to_params(L, 1);
    lua_createtable(L, p->n, 0);
    for (int i = 0; i < p->n; i++) {
        const sak_param *q = &p->list[i];
        lua_createtable(L, 0, 5);
        lua_pushstring(L, q->name);
        lua_setfield(L, -2, "name");
        sak_push_shape(L, &q->shape);
        lua_setfield(L, -2, "shape");
        lua_pushinteger(L, q->count);
        lua_setfield(L, -2, "count");
        lua_pushboolean(L, q->buffer);
        lua_setfield(L, -2, "buffer");
        lua_pushboolean(L, q->trainable);
        lua_setfield(L, -2, "trainable");
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

static int find(lua_State *L, sak_params *p, int i)
{
    const char *name = luaL_checkstring(L, i);
    const int index = sak_params_find(p, name);
    if (index < 0)
        luaL_error(L, "there is no parameter '%s'", name);
    return index;
}

/* params:trainable(name, bool): before the graph that trains it is planned. */
static int p_trainable(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    sak_error err;
    SAK_CHECK(L, &err, sak_params_set_trainable(p, find(L, p, 2), lua_toboolean(L, 3), &err));
    return 0;
}

static int p_seal(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_params_seal(sak_to_params(L, 1), &err));
    return 0;
}

/* params:has_grad(name) -> did a planned backward pass reach it? */
static int p_has_grad(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    lua_pushboolean(L, p->list[find(L, p, 2)].has_grad);
    return 1;
}

/* params:get(name[, "grad"]) -> flat list */
static int p_get(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    const int i = find(L, p, 2);
    const sak_param *q = &p->list[i];
    const sak_real *x = lua_isnoneornil(L, 3) ? sak_params_value(p, i) : q->grad;
    if (!x)
        return luaL_error(L, "'%s' has no values yet", q->name);
    sak_push_values(L, x, q->count);
    return 1;
}

/* params:check_files(): raises if a file that frozen parameters are read from was written meanwhile. */
static int p_check_files(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_params_check_files(sak_to_params(L, 1), &err));
    return 0;
}

static int p_ema(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_params_ema(sak_to_params(L, 1), sak_to_params(L, 2),
                                      luaL_checknumber(L, 3), &err));
    return 0;
}

/* params:hash() -> SHA-256 of every name, shape and value: the identity of these weights. */
static int p_hash(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    sak_error err;
    SAK_CHECK(L, &err, sak_params_seal(p, &err));
    sak_hash h;
    sak_hash_open(&h);
    for (int i = 0; i < p->n; i++) {
        const sak_param *q = &p->list[i];
        sak_hash_add(&h, q->name, strlen(q->name) + 1);
        sak_hash_add(&h, q->shape.d, sizeof(int64_t) * (size_t)q->shape.n);
        sak_hash_add(&h, sak_params_value(p, i), sizeof(sak_real) * (size_t)q->count);
    }
    char text[SAK_HASH_TEXT];
    sak_hash_text(&h, text);
    lua_pushstring(L, text);
    return 1;
}

/* params:save(path, {key = value}, {prefix…} or nil): float32, names as they are; with prefixes,
 * only parameters that start with one of them. */
static bool chosen(lua_State *L, int table, const char *name)
{
    if (!lua_istable(L, table))
        return true;
    for (lua_Integer k = 1; lua_geti(L, table, k) == LUA_TSTRING; k++) {
        const char *prefix = lua_tostring(L, -1);
        const bool hit = strncmp(name, prefix, strlen(prefix)) == 0;
        lua_pop(L, 1);
        if (hit)
            return true;
    }
    lua_pop(L, 1);
    return false;
}

static int p_save(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    const char *path = luaL_checkstring(L, 2);
    sak_error err;
    SAK_CHECK(L, &err, sak_params_seal(p, &err));
    const char *meta[SAK_META_MAX];
    sak_to_meta(L, 3, meta);
    int n = 0;
    if (sizeof(sak_real) != sizeof(float))
        return luaL_error(L, "only the engine in float saves weights");
    sak_st_source *list = calloc((size_t)p->n + 1, sizeof *list);
    if (!list)
        return luaL_error(L, "out of memory while saving %s", path);
    for (int i = 0; i < p->n; i++)
        if (chosen(L, 4, p->list[i].name))
            list[n++] = (sak_st_source){p->list[i].name, SAK_ST_F32, p->list[i].shape,
                                        sak_params_value(p, i)};
    const sak_status st = sak_safetensors_write(path, list, n, meta, false, &err);
    free(list);
    return st == SAK_OK ? 0 : sak_raise(L, &err);
}

/* params:load(name, file, source[, first]): equal shapes, but for dimensions of size 1.  With
 * `first`, all of the tensor becomes the elements of the parameter from there on, counted from 0:
 * one part of a fused matrix.  A frozen parameter is read where it lies in the file, if it can be. */
static int p_load(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    const int i = find(L, p, 2);
    const sak_param *q = &p->list[i];
    const sak_weights *st = sak_to_weights(L, 3);
    const sak_st_tensor *t = sak_stored_tensor(L, st, luaL_checkstring(L, 4));
    const int64_t first = luaL_optinteger(L, 5, 0);
    const bool part = !lua_isnoneornil(L, 5);
    sak_error err;
    if (part ? first < 0 || t->count > q->count || first > q->count - t->count
             : !sak_shape_equal_squeezed(&t->shape, &q->shape)) {
        SAK_FAIL(&err, SAK_ESHAPE, "%s: '%s' is %s but the model's '%s' is %s", st->path, t->name,
                 SAK_SHAPE_TEXT(&t->shape), q->name, SAK_SHAPE_TEXT(&q->shape));
        return sak_raise(L, &err);
    }
    SAK_CHECK(L, &err, sak_st_require_float(t, &err));
    sak_mapping *map = sak_weights_mapping(st, t);
    bool borrowed = false;
    const bool same_type = t->dtype == (sizeof(sak_real) == 8 ? SAK_ST_F64 : SAK_ST_F32);
    if (!part && same_type && sak_st_is_dense(t))
        SAK_CHECK(L, &err, sak_params_borrow(p, i, t->data, map, &borrowed, &err));
    if (borrowed)
        return 0;
    sak_real *out;
    SAK_CHECK(L, &err, sak_params_write(p, i, &out, &err));
    sak_copy_stored(t, out + first);
    if (map) /* so that the file and its copy are not in memory both */
        sak_map_forget(t->data, t->bytes);
    return 0;
}

/* How a position table is resampled: {old_h, old_w}, {h, w}, prefix, mode at argument i. */
typedef struct grids {
    sak_shape from, to;
    int64_t prefix; /* rows before the grid: class token */
    sak_resize_mode mode;
} grids;

static grids to_grids(lua_State *L, int i)
{
    static const char *const modes[] = {"bilinear", "bicubic", "bicubic_antialias", NULL};
    return (grids){sak_to_shape(L, i), sak_to_shape(L, i + 1), luaL_checkinteger(L, i + 2),
                   (sak_resize_mode)luaL_checkoption(L, i + 3, NULL, modes)};
}

/* Resamples the n elements of x into q: prefix rows (zero where x has none), then the grid. */
static sak_status resample(sak_params *p, int i, const sak_real *x, int64_t n, const grids *g,
                           sak_error *err)
{
    const sak_param *q = &p->list[i];
    const int64_t C = sak_shape_last(&q->shape), prefix = g->prefix;
    const int64_t cells = g->from.n == 2 ? g->from.d[0] * g->from.d[1] : -1;
    const bool bare = n == cells * C;
    if (cells < 0 || g->to.n != 2 || prefix < 0 || (!bare && n != (prefix + cells) * C) ||
        q->count != (prefix + g->to.d[0] * g->to.d[1]) * C)
        return SAK_FAIL(err, SAK_ESHAPE, "a table of %lld values cannot be resampled to '%s' %s",
                        (long long)n, q->name, SAK_SHAPE_TEXT(&q->shape));
    sak_real *out;
    SAK_TRY(sak_params_write(p, i, &out, err));
    for (int64_t k = 0; k < prefix * C; k++)
        out[k] = bare ? 0 : x[k];
    return sak_resize_hwc(bare ? x : x + prefix * C, g->from.d[0], g->from.d[1], C, out + prefix * C,
                          g->to.d[0], g->to.d[1], g->mode, err);
}

/* params:load_resized(name, file, source, {old_h, old_w}, {h, w}, prefix, mode): a position table
 * (1, prefix + h*w, C), (1, h, w, C) or relative table (L, C), resampled to this grid. */
static int p_load_resized(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    const int i = find(L, p, 2);
    const sak_st_tensor *t = sak_stored_tensor(L, sak_to_weights(L, 3), luaL_checkstring(L, 4));
    const grids g = to_grids(L, 5);
    sak_error err;
    SAK_CHECK(L, &err, sak_st_require_float(t, &err));
    sak_real *x = malloc(sizeof *x * (size_t)(t->count + 1));
    if (!x)
        return luaL_error(L, "out of memory reading '%s'", t->name);
    sak_copy_stored(t, x);
    const sak_status s = resample(p, i, x, t->count, &g, &err);
    free(x);
    return s == SAK_OK ? 0 : sak_raise(L, &err);
}

/* params:copy_resized(name, other, source, …): likewise, from another set. */
static int p_copy_resized(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1), *o = sak_to_params(L, 3);
    const int i = find(L, p, 2), j = find(L, o, 4);
    const grids g = to_grids(L, 5);
    sak_error err;
    SAK_CHECK(L, &err, sak_params_seal(o, &err));
    SAK_CHECK(L, &err, resample(p, i, sak_params_value(o, j), o->list[j].count, &g, &err));
    return 0;
}

/* params:copy(name, other, source): values from another set. */
static int p_copy(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1), *o = sak_to_params(L, 3);
    const int i = find(L, p, 2), j = find(L, o, 4);
    const sak_param *q = &p->list[i], *r = &o->list[j];
    sak_error err;
    if (!sak_shape_equal_squeezed(&q->shape, &r->shape)) {
        SAK_FAIL(&err, SAK_ESHAPE, "'%s' is %s but '%s' is %s", r->name, SAK_SHAPE_TEXT(&r->shape),
                 q->name, SAK_SHAPE_TEXT(&q->shape));
        return sak_raise(L, &err);
    }
    SAK_CHECK(L, &err, sak_params_seal(o, &err));
    sak_real *out;
    SAK_CHECK(L, &err, sak_params_write(p, i, &out, &err));
    memcpy(out, sak_params_value(o, j), sizeof *out * (size_t)q->count);
    return 0;
}

/* A matrix of another set or of a weight file, for reading. */
typedef struct factor {
    const char *name;
    sak_shape shape;
    const sak_real *x;
} factor;

/* Of the tensor named at i, of the source at 3.  A file's values are left on Lua's stack. */
static factor to_factor(lua_State *L, int i)
{
    const char *name = luaL_checkstring(L, i);
    if (!luaL_testudata(L, 3, TYPE)) {
        const sak_st_tensor *t = sak_stored_tensor(L, sak_to_weights(L, 3), name);
        sak_error err;
        if (sak_st_require_float(t, &err) != SAK_OK)
            sak_raise(L, &err); /* does not return */
        sak_real *x = lua_newuserdatauv(L, sizeof *x * (size_t)(t->count + 1), 0);
        sak_copy_stored(t, x);
        return (factor){name, t->shape, x};
    }
    sak_params *o = sak_to_params(L, 3);
    const int k = find(L, o, i);
    sak_error err;
    if (sak_params_seal(o, &err) != SAK_OK)
        sak_raise(L, &err); /* does not return */
    return (factor){name, o->list[k].shape, sak_params_value(o, k)};
}

/* params:add_product(name, source, b, a, scale): W += scale B A, with B (out, rank) and A (rank, in)
 * of another set or of a weight file; W (out, in). */
static int p_add_product(lua_State *L)
{
    sak_params *p = sak_to_params(L, 1);
    const int i = find(L, p, 2);
    const sak_shape w = p->list[i].shape;
    const factor b = to_factor(L, 4), a = to_factor(L, 5);
    const double scale = luaL_checknumber(L, 6);
    sak_error err;
    if (w.n != 2 || b.shape.n != 2 || a.shape.n != 2 || b.shape.d[0] != w.d[0] ||
        b.shape.d[1] != a.shape.d[0] || a.shape.d[1] != w.d[1]) {
        SAK_FAIL(&err, SAK_ESHAPE, "'%s' %s and '%s' %s are no low-rank update of '%s' %s", b.name,
                 SAK_SHAPE_TEXT(&b.shape), a.name, SAK_SHAPE_TEXT(&a.shape), p->list[i].name,
                 SAK_SHAPE_TEXT(&w));
        return sak_raise(L, &err);
    }
    sak_real *out;
    SAK_CHECK(L, &err, sak_params_change(p, i, &out, &err));
    const int64_t rank = b.shape.d[1], in = w.d[1];
    sak_gemm_parallel(w.d[0], in, rank, (sak_mat){b.x, rank, 1}, (sak_mat){a.x, in, 1}, out, in,
                      (sak_real)scale, true);
    return 0;
}

void sak_open_params(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"list", p_list}, {"trainable", p_trainable}, {"seal", p_seal},
        {"get", p_get},   {"ema", p_ema},             {"hash", p_hash},
        {"save", p_save}, {"load", p_load},           {"load_resized", p_load_resized},
        {"copy", p_copy}, {"has_grad", p_has_grad},   {"copy_resized", p_copy_resized},
        {"close", p_close}, {"add_product", p_add_product}, {"check_files", p_check_files},
        {NULL, NULL},
    };
    sak_new_type(L, TYPE, methods, p_close);
    lua_pushcfunction(L, new_params);
    lua_setfield(L, -2, "params");
}
