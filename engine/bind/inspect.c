/* Looking at datasets in Lua: sums over samples, odd names, contact sheets. */
#include "bind/data.h"
#include "data/folder.h"
#include "data/inspect.h"
#include "data/sheet.h"

typedef struct problems {
    lua_State *L;
    int n;
} problems;

/* Appends to the list on top of the stack. */
static void on_problem(void *ctx, int64_t index, const sak_error *err)
{
    problems *p = ctx;
    (void)index;
    lua_pushstring(p->L, err->msg);
    lua_seti(p->L, -2, ++p->n);
}

static void set_counts(lua_State *L, const char *key, const int64_t count[256])
{
    lua_createtable(L, 256, 0);
    for (int i = 0; i < 256; i++) {
        lua_pushinteger(L, count[i]);
        lua_seti(L, -2, i);
    }
    lua_setfield(L, -2, key);
}

static void set_list(lua_State *L, const char *key, const double *v, int n)
{
    lua_createtable(L, n, 0);
    for (int i = 0; i < n; i++) {
        lua_pushnumber(L, v[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, key);
}

static void push_sums(lua_State *L, const sak_inspection *s)
{
    const struct {
        const char *key;
        int64_t v;
    } whole[] = {{"read", s->read},
                 {"bad", s->bad},
                 {"pixels", s->pixels},
                 {"edge", s->edge},
                 {"sal", s->sal},
                 {"people", s->people},
                 {"deep", s->deep},
                 {"facing", s->facing},
                 {"depth_samples", s->depth_samples},
                 {"normal_samples", s->normal_samples}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        lua_pushinteger(L, whole[i].v);
        lua_setfield(L, -2, whole[i].key);
    }
    set_list(L, "H", (const double[]){s->H[0], s->H[1]}, 2);
    set_list(L, "W", (const double[]){s->W[0], s->W[1]}, 2);
    set_list(L, "rgb", s->rgb, 3);
    set_list(L, "rgb2", s->rgb2, 3);
    set_list(L, "normal", s->normal, 3);
    set_list(L, "depth", (const double[]){s->depth, s->depth_min, s->depth_max}, 3);
    set_counts(L, "semseg", s->semseg);
    set_counts(L, "human_parts", s->parts);
}

/* dataset:inspect(n, each, done) -> sums, problems: reads n samples, `each` at a time, calling
 * done(read) after each part. */
int sak_dataset_inspect(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    const int64_t n = luaL_checkinteger(L, 2), each = luaL_checkinteger(L, 3);
    luaL_argcheck(L, n >= 0 && n <= d->count && each > 0, 2, "no such samples");
    lua_settop(L, 4);
    sak_inspection *sum = lua_newuserdatauv(L, sizeof *sum, 0);
    *sum = (sak_inspection){0};
    lua_newtable(L);
    problems p = {.L = L};
    sak_error err;
    for (int64_t from = 0; from < n; from += each) {
        const int64_t to = n - from < each ? n : from + each;
        SAK_CHECK(L, &err, sak_inspect(d, from, to, sum, on_problem, &p, &err));
        lua_pushvalue(L, 4);
        lua_pushinteger(L, to);
        lua_call(L, 1, 0);
    }
    push_sums(L, sum);
    lua_insert(L, -2);
    return 2;
}

static void set_odd(lua_State *L, const char *key, int64_t n, const char *example)
{
    if (n == 0)
        return;
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "count");
    lua_pushstring(L, example);
    lua_setfield(L, -2, "first");
    lua_setfield(L, -2, key);
}

/* dataset:oddities() -> {twice = {count, first}?, case_twins = …?, misnamed = …?} */
int sak_dataset_oddities(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    sak_oddities odd = {0};
    sak_error err;
    if (sak_is_folder(d))
        SAK_CHECK(L, &err, sak_folder_oddities(d, &odd, &err));
    lua_newtable(L);
    set_odd(L, "twice", odd.twice, odd.twin);
    set_odd(L, "case_twins", odd.case_twins, odd.case_twin);
    set_odd(L, "misnamed", odd.misnamed, odd.misnamed_image);
    return 1;
}

/* dataset:orphans() -> {{task =, count =, first =}, …}: labels without an image */
int sak_dataset_orphans(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    sak_error err;
    lua_newtable(L);
    if (!sak_is_folder(d))
        return 1;
    sak_orphans *o = lua_newuserdatauv(L, sizeof *o, 0);
    SAK_CHECK(L, &err, sak_folder_orphans(d, o, &err));
    const sak_folder *f = d->state;
    lua_Integer n = 0;
    for (int k = 0; k < f->layout.n; k++) {
        if (!o->n[k])
            continue;
        lua_createtable(L, 0, 3);
        lua_pushstring(L, sak_modality_name(f->layout.m[k].flag));
        lua_setfield(L, -2, "task");
        lua_pushinteger(L, o->n[k]);
        lua_setfield(L, -2, "count");
        lua_pushstring(L, o->first[k]);
        lua_setfield(L, -2, "first");
        lua_seti(L, -3, ++n);
    }
    lua_pop(L, 1);
    return 1;
}

int sak_dataset_sheet(lua_State *L)
{
    const sak_dataset *d = sak_to_dataset(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    sak_sheet_rows which = {.first = (int64_t)sak_opt_number(L, 2, "first", 0),
                            .stride = (int64_t)sak_opt_number(L, 2, "stride", 1),
                            .rows = (int)sak_opt_number(L, 2, "rows", 1),
                            .seed = (uint64_t)sak_opt_number(L, 2, "seed", 0)};
    sak_augment augment;
    if (lua_getfield(L, 2, "augment") == LUA_TTABLE) {
        augment = sak_to_augment(L, lua_gettop(L), d);
        which.augment = &augment;
    }
    sak_error err;
    SAK_CHECK(L, &err, sak_sheet_samples(d, &which, sak_opt_text(L, 2, "path", "sheet.png"), &err));
    return 0;
}
