/* Holding tensors of a graph against tensors of a file: what `sak verify` measures with.
 * Files hold PyTorch's layout (maps channel-first); the engine keeps channels last. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "weights/weights.h"

/* How element (b, c, y, x) of a channel-first file tensor lies in the engine's array. */
typedef struct layout {
    int64_t B, C, S;       /* batch, channels, positions (h * w) of the file's tensor */
    int64_t first_b;       /* the engine's image that file image 0 is */
    int64_t channels, step; /* the engine's channel count; file channel c is engine channel c * step */
    bool channel_first;
} layout;

static int64_t engine_index(const layout *l, int64_t i)
{
    if (!l->channel_first)
        return i;
    const int64_t s = i % l->S, c = i / l->S % l->C, b = i / l->S / l->C;
    return ((b + l->first_b) * l->S + s) * l->channels + c * l->step;
}

/* Options: channel_first, last_image (the file holds only the last image), channel_step. */
static layout read_layout(lua_State *L, int options, const sak_st_tensor *t, const sak_shape *s,
                          sak_error *err)
{
    layout l = {.channel_first = sak_opt_bool(L, options, "channel_first", false),
                .step = (int64_t)sak_opt_number(L, options, "channel_step", 1),
                .channels = sak_shape_last(s)};
    const int64_t count = sak_shape_count(s);
    err->code = SAK_OK;
    if (!l.channel_first) {
        if (t->count != count)
            SAK_FAIL(err, SAK_ESHAPE, "'%s' is %s in the file but %s here", t->name,
                     SAK_SHAPE_TEXT(&t->shape), SAK_SHAPE_TEXT(s));
        return l;
    }
    /* (B, C, …) there, (images, …, channels) here: the same images, every step-th channel, and each
     * length between them */
    const int n = t->shape.n;
    l.B = n ? t->shape.d[0] : 1;
    l.C = n > 1 ? t->shape.d[1] : 1;
    l.S = t->count / (l.B * l.C > 0 ? l.B * l.C : 1);
    const int64_t images = s->n ? s->d[0] : 1;
    const bool last = sak_opt_bool(L, options, "last_image", false);
    l.first_b = last ? images - l.B : 0;
    bool same = l.B == (last ? 1 : images) && l.C == (l.channels + l.step - 1) / l.step &&
                l.S * images * l.channels == count;
    for (int i = 2; i < n && n == 4 && s->n == 4; i++)
        same = same && t->shape.d[i] == s->d[i - 1];
    if (!same)
        SAK_FAIL(err, SAK_ESHAPE, "'%s' is %s in the file but %s (channels last) here", t->name,
                 SAK_SHAPE_TEXT(&t->shape), SAK_SHAPE_TEXT(s));
    return l;
}

static float *read_tensor(lua_State *L, const sak_st_tensor *t)
{
    float *x = lua_newuserdatauv(L, sizeof *x * (size_t)(t->count + 1), 0); /* collected by Lua */
    sak_st_copy_f32(t, x);
    return x;
}

/* The two sides of a call (graph | params, name, file, tensor, {what =, …layout}). */
typedef struct sides {
    sak_real *x;            /* ours; NULL where the graph has pruned it */
    const float *file;      /* theirs, t->count elements */
    const sak_st_tensor *t;
    layout l;
} sides;

/* write: the caller fills it. */
static sak_real *own_tensor(lua_State *L, bool write, sak_shape *shape)
{
    const char *name = luaL_checkstring(L, 2);
    if (luaL_testudata(L, 1, "sak.graph")) {
        sak_graph *g = &sak_to_graph(L, 1)->g;
        const int node = sak_graph_find(g, name);
        if (node < 0)
            luaL_error(L, "the graph has no input or output '%s'", name);
        *shape = g->node[node]->s.y;
        return sak_graph_value(g, node);
    }
    sak_params *p = sak_to_params(L, 1);
    const int i = sak_params_find(p, name);
    if (i < 0)
        luaL_error(L, "there is no parameter '%s'", name);
    *shape = p->list[i].shape;
    if (strcmp(sak_opt_text(L, 5, "what", "value"), "grad") == 0)
        return p->list[i].grad;
    sak_error err;
    if (sak_params_seal(p, &err) != SAK_OK)
        sak_raise(L, &err); /* does not return */
    sak_real *x = (sak_real *)(uintptr_t)sak_params_value(p, i);
    if (write && sak_params_write(p, i, &x, &err) != SAK_OK)
        sak_raise(L, &err);
    return x;
}

static sides both_sides(lua_State *L, bool write)
{
    sak_shape shape;
    sides s = {.x = own_tensor(L, write, &shape), .t = sak_stored_tensor(L, sak_to_weights(L, 3), luaL_checkstring(L, 4))};
    if (!s.x)
        return s;
    sak_error err;
    s.l = read_layout(L, 5, s.t, &shape, &err);
    if (err.code != SAK_OK)
        sak_raise(L, &err); /* does not return */
    s.file = read_tensor(L, s.t);
    return s;
}

/* core.compare(graph | params, name, file, tensor, {what = "value"|"grad", …layout,
 *              weak = tensor whose magnitude <= floor marks elements apart, floor =})
 * -> {relative, worst, worst_index, ours, theirs, max, weak_worst, count, distance, beyond};
 * distance: norm of the difference; beyond: the worst difference that is left when each stored
 * float32 may be off by half a unit in its last place */
static int compare(lua_State *L)
{
    const sides s = both_sides(L, false);
    if (!s.x)
        return luaL_error(L, "the graph has pruned '%s'", lua_tostring(L, 2));
    const sak_st_tensor *t = s.t;
    const sak_real *x = s.x;
    const float *want = s.file;
    const char *weak_name = sak_opt_text(L, 5, "weak", NULL);
    const float *weak = weak_name ? read_tensor(L, sak_stored_tensor(L, sak_to_weights(L, 3), weak_name)) : NULL;
    const double floor_ = sak_opt_number(L, 5, "floor", 0);
    double d2 = 0, n2 = 0, worst = -1, weak_worst = 0, max = 0, beyond = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < t->count; i++) {
        const double ours = x[engine_index(&s.l, i)], theirs = want[i], d = fabs(ours - theirs);
        d2 += d * d;
        n2 += theirs * theirs;
        max = fabs(theirs) > max ? fabs(theirs) : max;
        const double left = d - 0x1p-24 * fabs(theirs);
        beyond = left > beyond || isnan(left) ? left : beyond;
        if (weak && fabs(weak[i]) <= floor_) {
            weak_worst = d > weak_worst || isnan(d) ? d : weak_worst;
        } else if (d > worst || isnan(d)) {
            worst = d;
            at = i;
        }
    }
    lua_createtable(L, 0, 10);
    const struct {
        const char *key;
        double v;
    } out[] = {{"relative", n2 > 0 ? sqrt(d2 / n2) : sqrt(d2)},
               {"worst", worst < 0 ? 0 : worst},
               {"ours", x[engine_index(&s.l, at)]},
               {"theirs", want[at]},
               {"max", max},
               {"weak_worst", weak_worst},
               {"distance", sqrt(d2)},
               {"beyond", beyond},
               {"worst_index", (double)at},
               {"count", (double)t->count}};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        lua_pushnumber(L, out[i].v);
        lua_setfield(L, -2, out[i].key);
    }
    return 1;
}

/* core.fill(graph | params, name, file, tensor, {what = "value"|"grad", …layout}): an input, a
 * parameter or its gradient from a file's tensor. */
static int fill(lua_State *L)
{
    const sides s = both_sides(L, true); /* a pruned input is looked at by nothing: leave it */
    for (int64_t i = 0; s.x && i < s.t->count; i++)
        s.x[engine_index(&s.l, i)] = s.file[i];
    return 0;
}

void sak_open_compare(lua_State *L)
{
    static const luaL_Reg functions[] = {{"compare", compare}, {"fill", fill}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
