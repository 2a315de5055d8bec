/* Sweeps and trials of the results database in Lua (results/sweep.h); a collector is core.collector. */
#include <stdlib.h>
#include <string.h>

#include "bind/core.h"
#include "results/sweep.h"

#define COLLECTOR "sak.collector"

/* store:sweep_create{name =, …}: the fields of sak_sweep_info -> id */
static int create(lua_State *L)
{
    sak_store *s = sak_to_store(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    sak_sweep_info info = {0};
    const struct {
        const char *key;
        const char **at;
    } texts[] = {{"name", &info.name},           {"script_name", &info.script_name},
                 {"script_path", &info.script_path}, {"script_text", &info.script_text},
                 {"spec_json", &info.spec_json}, {"identity", &info.identity},
                 {"frozen_json", &info.frozen_json}, {"question", &info.question},
                 {"objective", &info.objective}, {"goal", &info.goal}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i].at = sak_opt_text(L, 2, texts[i].key, NULL);
    luaL_argcheck(L, info.name, 2, "a sweep needs a name");
    int64_t id;
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_create(s, &info, &id, &err));
    lua_pushinteger(L, id);
    return 1;
}

/* store:sweep_add(sweep, {{label =, point_json =, arm =, arm_index =, cell =, seed =, …}, …}) */
static int add(lua_State *L)
{
    sak_store *s = sak_to_store(L, 1);
    const int64_t sweep = luaL_checkinteger(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    const lua_Integer n = luaL_len(L, 3);
    if (n == 0)
        return 0;
    sak_trial_info *list = lua_newuserdatauv(L, (size_t)n * sizeof *list, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_geti(L, 3, i); /* the list keeps the strings alive */
        list[i - 1] = (sak_trial_info){
            .label = sak_opt_text(L, -1, "label", NULL),
            .point_json = sak_opt_text(L, -1, "point_json", NULL),
            .arm = sak_opt_text(L, -1, "arm", NULL),
            .cell = sak_opt_text(L, -1, "cell", NULL),
            .config_json = sak_opt_text(L, -1, "config_json", NULL),
            .config_sha256 = sak_opt_text(L, -1, "config_sha256", NULL),
            .arm_index = (int)sak_opt_number(L, -1, "arm_index", 0),
            .seed = (int64_t)sak_opt_number(L, -1, "seed", 0)};
        lua_pop(L, 1);
    }
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_add(s, sweep, list, (size_t)n, &err));
    return 0;
}

/* store:sweep_describe(sweep, {question =, objective =, goal =}) */
static int describe(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_describe(sak_to_store(L, 1), luaL_checkinteger(L, 2),
                                          sak_opt_text(L, 3, "question", NULL),
                                          sak_opt_text(L, 3, "objective", NULL),
                                          sak_opt_text(L, 3, "goal", NULL), &err));
    return 0;
}

/* store:sweep_claim(sweep) */
static int claim(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_claim(sak_to_store(L, 1), luaL_checkinteger(L, 2), &err));
    return 0;
}

/* store:sweep_leave(sweep, state) */
static int leave(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_leave(sak_to_store(L, 1), luaL_checkinteger(L, 2),
                                       luaL_checkstring(L, 3), &err));
    return 0;
}

/* store:sweep_ask(sweep, state) -> pid of the process that was asked, 0: none */
static int ask(lua_State *L)
{
    int64_t pid;
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_ask(sak_to_store(L, 1), luaL_checkinteger(L, 2),
                                     luaL_checkstring(L, 3), &pid, &err));
    lua_pushinteger(L, pid);
    return 1;
}

/* store:sweep_settle(sweep) -> trials whose process lives */
static int settle(lua_State *L)
{
    int running;
    sak_error err;
    SAK_CHECK(L, &err,
              sak_sweep_settle(sak_to_store(L, 1), luaL_checkinteger(L, 2), &running, &err));
    lua_pushinteger(L, running);
    return 1;
}

/* store:sweep_retry(sweep) -> trials queued again */
static int retry(lua_State *L)
{
    int n;
    sak_error err;
    SAK_CHECK(L, &err, sak_sweep_retry(sak_to_store(L, 1), luaL_checkinteger(L, 2), &n, &err));
    lua_pushinteger(L, n);
    return 1;
}

/* store:trial_lease(trial, pid) -> whether it was there to be had */
static int lease(lua_State *L)
{
    bool got;
    sak_error err;
    SAK_CHECK(L, &err, sak_trial_lease(sak_to_store(L, 1), luaL_checkinteger(L, 2),
                                       luaL_checkinteger(L, 3), &got, &err));
    lua_pushboolean(L, got);
    return 1;
}

/* store:trial_fail(trial, text) */
static int fail(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_trial_fail(sak_to_store(L, 1), luaL_checkinteger(L, 2),
                                      luaL_checkstring(L, 3), &err));
    return 0;
}

/* store:blob(sha256) -> text */
static int blob(lua_State *L)
{
    char *text;
    size_t size;
    sak_error err;
    SAK_CHECK(L, &err, sak_store_blob(sak_to_store(L, 1), luaL_checkstring(L, 2), &text, &size,
                                      &err));
    lua_pushlstring(L, text, size);
    free(text);
    return 1;
}

/* --- collector ---------------------------------------------------------------------------------- */

static sak_collector *to_collector(lua_State *L)
{
    sak_collector **c = luaL_checkudata(L, 1, COLLECTOR);
    if (!*c)
        luaL_error(L, "the collector is closed");
    return *c;
}

/* core.collector(store) */
static int open_collector(lua_State *L)
{
    sak_store *s = sak_to_store(L, 1);
    sak_collector **own = lua_newuserdatauv(L, sizeof *own, 1);
    *own = NULL;
    luaL_setmetatable(L, COLLECTOR);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    sak_error err;
    SAK_CHECK(L, &err, sak_collector_open(s, own, &err));
    return 1;
}

static int c_add(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_collector_add(to_collector(L), luaL_checkstring(L, 2),
                                         (int)luaL_optinteger(L, 3, 1), &err));
    return 0;
}

static int c_step(lua_State *L)
{
    sak_error err;
    SAK_CHECK(L, &err, sak_collector_step(to_collector(L), &err));
    return 0;
}

static int c_drop(lua_State *L)
{
    sak_collector_drop(to_collector(L), luaL_checkstring(L, 2));
    return 0;
}

static int c_close(lua_State *L)
{
    sak_collector **c = luaL_checkudata(L, 1, COLLECTOR);
    sak_collector_close(*c);
    *c = NULL;
    return 0;
}

/* core.run_uid() */
static int run_uid(lua_State *L)
{
    char uid[13];
    sak_error err;
    SAK_CHECK(L, &err, sak_run_uid_new(uid, &err));
    lua_pushstring(L, uid);
    return 1;
}

const luaL_Reg sak_sweep_methods[] = {
    {"sweep_create", create}, {"sweep_add", add},     {"sweep_describe", describe},
    {"sweep_claim", claim},   {"sweep_leave", leave}, {"sweep_ask", ask},
    {"sweep_settle", settle}, {"sweep_retry", retry}, {"trial_lease", lease},
    {"trial_fail", fail},     {"blob", blob},         {NULL, NULL}};

void sak_open_sweep(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"add", c_add}, {"step", c_step}, {"drop", c_drop}, {"close", c_close}, {NULL, NULL}};
    sak_new_type(L, COLLECTOR, methods, c_close);
    lua_pushcfunction(L, open_collector);
    lua_setfield(L, -2, "collector");
    lua_pushcfunction(L, run_uid);
    lua_setfield(L, -2, "run_uid");
}
