/* Datasets and loaders in Lua; a batch goes straight into the graph's inputs of the same names. */
#include <stdlib.h>
#include <string.h>

#include "bind/data.h"
#include "data/archive.h"
#include "data/loader.h"
#include "data/rooms.h"

#define TYPE "sak.dataset"
#define LOADER "sak.loader"
enum { MAX_FIELDS = 16 };

/* A dataset, and the raw samples that its loaders share. */
typedef struct ldataset {
    sak_dataset d; /* first: what sak_to_dataset returns */
    sak_sample_cache cache;
} ldataset;

sak_dataset *sak_to_dataset(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

sak_dataset *sak_new_dataset(lua_State *L)
{
    ldataset *own = lua_newuserdatauv(L, sizeof *own, 0);
    memset(own, 0, sizeof *own);
    luaL_setmetatable(L, TYPE);
    return &own->d;
}

/* core.rooms{seed =, first =, count =, H =, W =} */
static int open_rooms(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    sak_dataset *d = sak_new_dataset(L);
    sak_error err;
    SAK_CHECK(L, &err,
              sak_rooms_open(d, (uint64_t)sak_opt_number(L, 1, "seed", 0),
                             (int64_t)sak_opt_number(L, 1, "first", 0),
                             (int64_t)sak_opt_number(L, 1, "count", 1),
                             (int)sak_opt_number(L, 1, "H", 64), (int)sak_opt_number(L, 1, "W", 96),
                             &err));
    return 1;
}

/* core.archive{path =, cache =, from =, to =} */
static int open_archive(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    sak_dataset *d = sak_new_dataset(L);
    sak_error err;
    SAK_CHECK(L, &err,
              sak_archive_open(d, sak_opt_text(L, 1, "path", ""), sak_opt_text(L, 1, "cache", NULL),
                               sak_opt_number(L, 1, "from", 0), sak_opt_number(L, 1, "to", 1), &err));
    return 1;
}

static int d_close(lua_State *L)
{
    ldataset *own = (ldataset *)(void *)sak_to_dataset(L, 1);
    sak_sample_cache_close(&own->cache);
    sak_dataset_close(&own->d);
    return 0;
}

/* dataset:info() -> {name, count, H, W, classes, parts, vocabulary, identity, has = {…}, names = {…}} */
static int d_info(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    static const struct {
        const char *name;
        unsigned bit;
    } has[] = {{"semseg", SAK_HAS_SEMSEG}, {"depth", SAK_HAS_DEPTH},      {"normals", SAK_HAS_NORMALS},
               {"edge", SAK_HAS_EDGE},     {"sal", SAK_HAS_SAL},          {"human_parts", SAK_HAS_PARTS},
               {"instance", SAK_HAS_INSTANCE}, {"caption", SAK_HAS_CAPTION}};
    lua_newtable(L);
    lua_pushstring(L, d->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, d->identity);
    lua_setfield(L, -2, "identity");
    const struct {
        const char *key;
        int64_t v;
    } numbers[] = {{"count", d->count},     {"H", d->H},         {"W", d->W},
                   {"classes", d->classes}, {"parts", d->parts}, {"vocabulary", d->vocabulary}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].v);
        lua_setfield(L, -2, numbers[i].key);
    }
    lua_newtable(L);
    for (size_t i = 0; i < sizeof has / sizeof *has; i++) {
        lua_pushboolean(L, (d->has & has[i].bit) != 0);
        lua_setfield(L, -2, has[i].name);
    }
    lua_setfield(L, -2, "has");
    lua_newtable(L);
    for (int i = 0; d->class_names && i < d->classes; i++) {
        lua_pushstring(L, d->class_names[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "names");
    return 1;
}

typedef struct lloader {
    sak_loader *l;
    const sak_batch *batch;
    char *field[MAX_FIELDS];
    int n;
} lloader;

static lloader *to_loader(lua_State *L, int i)
{
    return luaL_checkudata(L, i, LOADER);
}

const sak_batch *sak_to_batch(lua_State *L, int i)
{
    const sak_batch *batch = to_loader(L, i)->batch;
    luaL_argcheck(L, batch && batch->digest, i, "a loader with digests that has given a batch");
    return batch;
}

static int l_close(lua_State *L)
{
    lloader *ll = to_loader(L, 1);
    sak_loader_close(ll->l);
    ll->l = NULL;
    for (int i = 0; i < ll->n; i++)
        free(ll->field[i]);
    ll->n = 0;
    return 0;
}

static void read_fields(lua_State *L, lloader *ll)
{
    lua_getfield(L, 2, "fields");
    luaL_checktype(L, -1, LUA_TTABLE);
    for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TSTRING; i++) {
        if (ll->n == MAX_FIELDS)
            luaL_error(L, "a batch has at most %d fields", MAX_FIELDS);
        const size_t size = strlen(lua_tostring(L, -1)) + 1;
        ll->field[ll->n] = malloc(size);
        if (!ll->field[ll->n])
            luaL_error(L, "out of memory");
        memcpy(ll->field[ll->n++], lua_tostring(L, -1), size);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

sak_augment sak_to_augment(lua_State *L, int i, const sak_dataset *d)
{
    return (sak_augment){.H = (int)sak_opt_number(L, i, "H", d->H),
                         .W = (int)sak_opt_number(L, i, "W", d->W),
                         .train = sak_opt_bool(L, i, "train", false),
                         .scale_lo = sak_opt_number(L, i, "scale_lo", 1),
                         .scale_hi = sak_opt_number(L, i, "scale_hi", 1),
                         .random_crop = sak_opt_bool(L, i, "random_crop", false),
                         .max_class = sak_opt_number(L, i, "max_class", 0.75),
                         .resized_crop_lo = sak_opt_number(L, i, "resized_crop_lo", 0),
                         .resized_crop_hi = sak_opt_number(L, i, "resized_crop_hi", 0),
                         .flip = sak_opt_number(L, i, "flip", 0),
                         .photometric = sak_opt_bool(L, i, "photometric", false),
                         .greyscale = sak_opt_bool(L, i, "greyscale", false),
                         .views = (int)sak_opt_number(L, i, "views", 0),
                         .depth_max = sak_opt_number(L, i, "depth_max", 0)};
}

/* The samples that all loaders of the dataset share, as many as `bytes` of the first one to ask hold;
 * NULL for 0. */
static sak_sample_cache *shared_cache(lua_State *L, int i, double bytes)
{
    ldataset *own = (ldataset *)(void *)sak_to_dataset(L, i);
    sak_error err;
    if (!(bytes > 0))
        return NULL;
    if (!own->cache.entry &&
        sak_sample_cache_open(&own->cache, own->d.count, (size_t)bytes, &err) != SAK_OK)
        sak_raise(L, &err);
    return &own->cache;
}

/* core.loader(dataset, {fields = {…}, batch =, …}): the options of sak_loader_spec / sak_augment. */
static int new_loader(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    const sak_loader_spec spec = {
        .data = d,
        .batch = (int64_t)sak_opt_number(L, 2, "batch", 1),
        .limit = (int64_t)sak_opt_number(L, 2, "limit", 0),
        .seed = (uint64_t)sak_opt_number(L, 2, "seed", 0),
        .shuffle = sak_opt_bool(L, 2, "shuffle", false),
        .threads = (int)sak_opt_number(L, 2, "threads", 1),
        .cache = shared_cache(L, 1, sak_opt_number(L, 2, "cache_bytes", 0)),
        .digests = sak_opt_bool(L, 2, "digests", false),
        .skip_bad = sak_opt_bool(L, 2, "skip_bad", false),
        .prompts = (int)sak_opt_number(L, 2, "prompts", 0),
        .prompt_patch = (int)sak_opt_number(L, 2, "prompt_patch", 8),
        .mask_stride = (int)sak_opt_number(L, 2, "mask_stride", 4),
        .augment = sak_to_augment(L, 2, d),
    };
    lloader *ll = lua_newuserdatauv(L, sizeof *ll, 1);
    *ll = (lloader){0};
    luaL_setmetatable(L, LOADER);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    read_fields(L, ll);
    sak_error err;
    SAK_CHECK(L, &err, sak_loader_open(&spec, (const char *const *)ll->field, ll->n, &ll->l, &err));
    return 1;
}

static int l_shape(lua_State *L)
{
    sak_shape s;
    sak_error err;
    SAK_CHECK(L, &err, sak_loader_shape(to_loader(L, 1)->l, luaL_checkstring(L, 2), &s, &err));
    sak_push_shape(L, &s);
    return 1;
}

static int l_batches(lua_State *L)
{
    lua_pushinteger(L, sak_loader_batches(to_loader(L, 1)->l));
    return 1;
}

/* loader:next(graph…) -> valid, epoch: fills every input of every graph that is named like a field. */
static int l_next(lua_State *L)
{
    lloader *ll = to_loader(L, 1);
    sak_error err;
    SAK_CHECK(L, &err, sak_loader_next(ll->l, &ll->batch, &err));
    for (int i = 2; i <= lua_gettop(L); i++) {
        sak_graph *g = &sak_to_graph(L, i)->g;
        for (int f = 0; f < ll->n; f++) {
            const int node = sak_graph_find(g, ll->field[f]);
            if (node < 0 || !sak_graph_value(g, node))
                continue;
            sak_shape s;
            SAK_CHECK(L, &err, sak_loader_shape(ll->l, ll->field[f], &s, &err));
            if (!sak_shape_equal(&s, &g->node[node]->s.y))
                return luaL_error(L, "batch field '%s' is %s but the graph's input is %s",
                                  ll->field[f], SAK_SHAPE_TEXT(&s),
                                  SAK_SHAPE_TEXT(&g->node[node]->s.y));
            memcpy(sak_graph_value(g, node), ll->batch->field[f],
                   sizeof(sak_real) * (size_t)sak_shape_count(&s));
        }
    }
    lua_pushinteger(L, ll->batch->valid);
    lua_pushinteger(L, ll->batch->epoch);
    return 2;
}

/* loader:index(slot) -> sample that image `slot`, counted from 0, of the batch taken last was */
static int l_index(lua_State *L)
{
    const lloader *ll = to_loader(L, 1);
    const int64_t slot = luaL_checkinteger(L, 2);
    luaL_argcheck(L, ll->batch && slot >= 0 && slot < ll->batch->valid, 2, "the batch has no such image");
    lua_pushinteger(L, ll->batch->index[slot]);
    return 1;
}

static int l_seek(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_loader_seek(to_loader(L, 1)->l, luaL_checkinteger(L, 2), &err));
    return 0;
}

/* loader:stats() -> {read, cached, bad, wait_s} */
static int l_stats(lua_State *L)
{
    const sak_loader_stats s = sak_loader_get_stats(to_loader(L, 1)->l);
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, s.read);
    lua_setfield(L, -2, "read");
    lua_pushinteger(L, s.cached);
    lua_setfield(L, -2, "cached");
    lua_pushinteger(L, s.bad);
    lua_setfield(L, -2, "bad");
    lua_pushnumber(L, s.wait_s);
    lua_setfield(L, -2, "wait_s");
    return 1;
}

void sak_open_data(lua_State *L)
{
    static const luaL_Reg dataset[] = {{"info", d_info},
                                       {"inspect", sak_dataset_inspect},
                                       {"oddities", sak_dataset_oddities},
                                       {"orphans", sak_dataset_orphans},
                                       {"sheet", sak_dataset_sheet},
                                       {"picture", sak_dataset_picture},
                                       {"id", sak_dataset_id},
                                       {"close", d_close},
                                       {NULL, NULL}};
    static const luaL_Reg loader[] = {{"next", l_next},   {"shape", l_shape}, {"batches", l_batches},
                                      {"seek", l_seek},   {"index", l_index}, {"stats", l_stats}, {"close", l_close},
                                      {NULL, NULL}};
    sak_new_type(L, TYPE, dataset, d_close);
    sak_new_type(L, LOADER, loader, l_close);
    static const luaL_Reg functions[] = {
        {"rooms", open_rooms}, {"folder", sak_open_folder_dataset}, {"archive", open_archive},
        {"loader", new_loader}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
