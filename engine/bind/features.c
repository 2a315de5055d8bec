/* The feature cache in Lua: one call per batch fills a graph's inputs with a teacher's features. */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "bind/data.h"
#include "data/feature_cache.h"

#define TYPE "sak.features"

/* What to do with an image of the batch once the teacher's graph is there. */
typedef enum todo { TODO_NOTHING, TODO_COMPUTE, TODO_COMPARE, TODO_DAMAGED } todo;

typedef struct lfeatures {
    sak_feature_cache *c;
    int parts;
    int64_t count[SAK_FEATURE_PARTS];
    double verify; /* share of what is found that is computed again */
    sak_real *part[SAK_FEATURE_PARTS]; /* of the graph that is being filled */
    const sak_batch *batch;
    int64_t batch_size;
    unsigned char *todo; /* batch_size */
    sak_real *again;     /* an image's features, computed again; `total` */
    int64_t total;
    int64_t found, computed, compared, differing, damaged;
} lfeatures;

static lfeatures *to_features(lua_State *L, int i)
{
    return luaL_checkudata(L, i, TYPE);
}

static int f_close(lua_State *L)
{
    lfeatures *f = to_features(L, 1);
    sak_feature_cache_close(f->c);
    free(f->todo);
    free(f->again);
    *f = (lfeatures){0};
    return 0;
}

static void read_counts(lua_State *L, lfeatures *f, sak_feature_spec *spec)
{
    lua_getfield(L, 1, "counts");
    luaL_checktype(L, -1, LUA_TTABLE);
    f->parts = (int)luaL_len(L, -1);
    luaL_argcheck(L, f->parts >= 1 && f->parts <= SAK_FEATURE_PARTS, 1, "too many levels");
    for (int i = 0; i < f->parts; i++) {
        lua_geti(L, -1, i + 1);
        f->total += f->count[i] = spec->count[i] = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    spec->parts = f->parts;
    lua_pop(L, 1);
}

/* A size from a script or a command line: more than any disk has is as good as no limit. */
static uint64_t to_bytes(lua_Number n)
{
    return n < 0x1p63 ? (uint64_t)n : UINT64_C(1) << 63;
}

/* core.features{root =, key =, type = "fp16", counts = {…}, max_bytes =, verify =} */
static int new_features(lua_State *L)
{
    static const char *const types[] = {"fp32", "fp16", "bf16", NULL};
    luaL_checktype(L, 1, LUA_TTABLE);
    lfeatures *f = lua_newuserdatauv(L, sizeof *f, 0);
    *f = (lfeatures){.verify = sak_opt_number(L, 1, "verify", 0)};
    luaL_setmetatable(L, TYPE);
    sak_feature_spec spec = {.root = sak_opt_text(L, 1, "root", ""),
                             .key = sak_opt_text(L, 1, "key", ""),
                             .max_bytes = to_bytes(sak_opt_number(L, 1, "max_bytes", 0))};
    lua_getfield(L, 1, "type");
    spec.type = (sak_feature_type)luaL_checkoption(L, -1, NULL, types);
    lua_pop(L, 1);
    read_counts(L, f, &spec);
    sak_error err;
    SAK_CHECK(L, &err, sak_feature_cache_open(&f->c, &spec, &err));
    return 1;
}

static sak_real *value_of(lua_State *L, sak_graph *g, const char *name, int64_t count)
{
    const int node = sak_graph_find(g, name);
    sak_real *x = node < 0 ? NULL : sak_graph_value(g, node);
    if (!x || sak_shape_count(&g->node[node]->s.y) != count)
        luaL_error(L, "the graph has no '%s' of %d values", name, (int)count);
    return x;
}

/* Points part[i] to the graph's tensor of the i-th name in the list at `list`. */
static void find_parts(lua_State *L, int list, sak_graph *g, const lfeatures *f, int64_t images,
                       sak_real **part)
{
    for (int i = 0; i < f->parts; i++) {
        lua_geti(L, list, i + 1);
        part[i] = value_of(L, g, luaL_checkstring(L, -1), images * f->count[i]);
        lua_pop(L, 1);
    }
}

static void parts_of_image(const lfeatures *f, int64_t image, sak_real *part[SAK_FEATURE_PARTS])
{
    for (int i = 0; i < f->parts; i++)
        part[i] = f->part[i] + image * f->count[i];
}

/* Is this image among the share that is computed again?  By its digest: any process picks the same. */
static bool picked(const lfeatures *f, const uint8_t *digest)
{
    uint32_t x;
    memcpy(&x, digest + 8, sizeof x);
    return (double)x < f->verify * 4294967296.0;
}

static void fill_images(void *ctx, int64_t begin, int64_t end, int64_t chunk, int worker)
{
    (void)chunk, (void)worker;
    const lfeatures *f = ctx;
    for (int64_t b = begin; b < end; b++) {
        sak_real *part[SAK_FEATURE_PARTS];
        parts_of_image(f, b, part);
        const sak_feature_found found = sak_feature_cache_read(f->c, f->batch->digest[b], part);
        f->todo[b] = found == SAK_FEATURE_DAMAGED ? TODO_DAMAGED
                     : found == SAK_FEATURE_ABSENT ? TODO_COMPUTE
                     : picked(f, f->batch->digest[b]) ? TODO_COMPARE
                                                      : TODO_NOTHING;
    }
}

/* features:fill(loader, graph, images, names) -> how many of the batch's images are left to compute()
 */
static int f_fill(lua_State *L)
{
    lfeatures *f = to_features(L, 1);
    f->batch = sak_to_batch(L, 2);
    sak_graph *g = &sak_to_graph(L, 3)->g;
    const int64_t n = luaL_checkinteger(L, 4);
    luaL_checktype(L, 5, LUA_TTABLE);
    if (n != f->batch_size) {
        free(f->todo);
        f->batch_size = 0;
        f->todo = malloc((size_t)n + 1);
        if (!f->todo)
            return luaL_error(L, "out of memory");
        f->batch_size = n;
    }
    find_parts(L, 5, g, f, n, f->part);
    sak_feature_cache_refresh(f->c);
    sak_parallel_for(n, 1, fill_images, f);
    int64_t left = 0;
    for (int64_t b = 0; b < n; b++) {
        if (f->todo[b] == TODO_DAMAGED) {
            sak_feature_cache_strike(f->c, f->batch->digest[b]);
            f->damaged++;
            f->todo[b] = TODO_COMPUTE;
        }
        left += f->todo[b] != TODO_NOTHING;
        f->found += f->todo[b] != TODO_COMPUTE;
    }
    lua_pushinteger(L, left);
    return 1;
}

/* Compares what was found of image b with what the teacher says now, and corrects it. */
static sak_status compare(lfeatures *f, int64_t b, const sak_real *const *fresh, sak_error *err)
{
    sak_real *part[SAK_FEATURE_PARTS], *again[SAK_FEATURE_PARTS], *at = f->again;
    bool same = true;
    parts_of_image(f, b, part);
    for (int i = 0; i < f->parts; at += f->count[i++])
        again[i] = at;
    SAK_TRY(sak_feature_cache_round(f->c, fresh, again, err));
    for (int i = 0; i < f->parts; i++) {
        const size_t bytes = sizeof(sak_real) * (size_t)f->count[i];
        same = same && memcmp(part[i], again[i], bytes) == 0;
    }
    f->compared++;
    if (same)
        return SAK_OK;
    f->differing++;
    sak_feature_cache_strike(f->c, f->batch->digest[b]);
    return sak_feature_cache_write(f->c, f->batch->digest[b], fresh, part, err);
}

/* features:compute(teacher, outputs, graph): what fill left, image by image, so that the bits depend on
 * the image alone; `teacher` is a graph of one image with the inputs "image" and these outputs. */
static int f_compute(lua_State *L)
{
    lfeatures *f = to_features(L, 1);
    sak_graph *t = &sak_to_graph(L, 2)->g, *g = &sak_to_graph(L, 4)->g;
    luaL_checktype(L, 3, LUA_TTABLE);
    const int node = sak_graph_find(t, "image");
    if (node < 0)
        return luaL_error(L, "the teacher's graph has no input 'image'");
    const int64_t pixels = sak_shape_count(&t->node[node]->s.y);
    sak_real *image = value_of(L, t, "image", pixels);
    const sak_real *images = value_of(L, g, "image", pixels * f->batch_size);
    sak_real *fresh[SAK_FEATURE_PARTS], *part[SAK_FEATURE_PARTS];
    find_parts(L, 3, t, f, 1, fresh);
    if (!f->again && !(f->again = malloc(sizeof(sak_real) * (size_t)f->total)))
        return luaL_error(L, "out of memory");
    sak_error err;
    for (int64_t b = 0; b < f->batch_size; b++) {
        if (f->todo[b] == TODO_NOTHING)
            continue;
        memcpy(image, images + b * pixels, sizeof *image * (size_t)pixels);
        sak_graph_forward(t, 0);
        const sak_real *const *in = (const sak_real *const *)fresh;
        if (f->todo[b] == TODO_COMPARE) {
            SAK_CHECK(L, &err, compare(f, b, in, &err));
            continue;
        }
        parts_of_image(f, b, part);
        SAK_CHECK(L, &err, sak_feature_cache_write(f->c, f->batch->digest[b], in, part, &err));
        f->computed++;
    }
    return 0;
}

/* features:stats() -> {found, computed, compared, differing, damaged, images, trouble = text or nil} */
static int f_stats(lua_State *L)
{
    const lfeatures *f = to_features(L, 1);
    const struct {
        const char *key;
        int64_t n;
    } counts[] = {{"found", f->found},         {"computed", f->computed}, {"compared", f->compared},
                  {"differing", f->differing}, {"damaged", f->damaged},
                  {"images", sak_feature_cache_images(f->c)}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        lua_pushinteger(L, counts[i].n);
        lua_setfield(L, -2, counts[i].key);
    }
    lua_pushstring(L, sak_feature_cache_trouble(f->c));
    lua_setfield(L, -2, "trouble");
    return 1;
}

static void push_folder(void *ctx, const sak_feature_folder *f)
{
    lua_State *L = ctx;
    const struct {
        const char *key;
        int64_t n;
    } numbers[] = {{"packs", f->packs},
                   {"images", f->records},
                   {"damaged", f->damaged},
                   {"bytes", (int64_t)f->bytes},
                   {"used", f->used}};
    lua_newtable(L);
    lua_pushstring(L, f->key);
    lua_setfield(L, -2, "key");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].n);
        lua_setfield(L, -2, numbers[i].key);
    }
    lua_seti(L, -2, luaL_len(L, -2) + 1);
}

/* core.feature_folders(root, check) -> {{key, packs, images, damaged, bytes, used}, …} */
static int feature_folders(lua_State *L)
{
    const char *root = luaL_checkstring(L, 1);
    const bool check = lua_toboolean(L, 2);
    lua_newtable(L);
    sak_feature_folders(root, check, push_folder, L);
    return 1;
}

/* core.feature_trim(root, max) -> bytes removed */
static int feature_trim(lua_State *L)
{
    const uint64_t max = to_bytes(luaL_checknumber(L, 2));
    lua_pushinteger(L, (lua_Integer)sak_feature_folder_trim(luaL_checkstring(L, 1), max, 0));
    return 1;
}

void sak_open_features(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"fill", f_fill}, {"compute", f_compute}, {"stats", f_stats}, {"close", f_close}, {NULL, NULL}};
    sak_new_type(L, TYPE, methods, f_close);
    static const luaL_Reg functions[] = {{"features", new_features},
                                         {"feature_folders", feature_folders},
                                         {"feature_trim", feature_trim},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
